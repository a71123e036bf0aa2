"""Products of two sparse operands: the decision, the run within the memory there is, dense results."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..config import Settings
from ..errors import DTypeError, FormatError, ShapeError
from ..kernels import registry
from ..planner import machine as machines
from ..planner.account import FOR_GOOD
from ..planner.plan import Decision, Plan, SparsePlan, build, decide, log
from ..planner.problem import Side
from ..rounding import rounded
from ..sparse.base import SparseArray
from ..sparse.csr import CSR
from . import _budget as budget
from . import _request as request
from .estimate import predict

# Decisions kept, found by what they depend on: making both specifications to look one up takes 20 us.
MOST_DECISIONS = 256
_decisions: dict[Any, Decision] = {}


def sparse_product(
    left: SparseArray,
    right: SparseArray,
    wanted: request.Options,
    env: Settings,
    granted: int | None = None,
    op: str = "matmul",
) -> CSR:
    """Return the product as CSR; `granted` is the memory that the caller allows it."""
    request.check_shapes(op, left, right)
    decision = _decided(left, right, wanted, env)
    kernel: Any = registry.find("matmul", decision.choice.candidate.kernel)
    limit = budget.limit_for(left, right, granted)
    if not kernel.native:
        if limit:
            found = predict(left, right, env)
            if found.nbytes_range[1] > limit and found.nbytes > limit:
                budget.refuse(op, limit, granted, lambda: found)
        plan: Any = build(decision, left, right, FOR_GOOD, wanted.threads, env)
        result: CSR = plan(right)
        return result
    if env.verbose:
        log(decision.explain())
    left._check_fresh()
    right._check_fresh()
    return _within(limit, decision, left, right, env, granted, op)


def _within(
    limit: int,
    decision: Decision,
    left: SparseArray,
    right: SparseArray,
    env: Settings,
    granted: int | None = None,
    op: str = "matmul",
) -> CSR:
    """Run the native kernel that was decided for; entries may take `limit` bytes (0: any number)."""
    chosen = decision.choice.candidate
    kernel: Any = registry.find("matmul", chosen.kernel)
    made: CSR | None = kernel.multiply(decision.problem, left, right, chosen.isa or None, limit)
    if made is None:
        budget.refuse(op, limit, granted, lambda: predict(left, right, env))
    return made


def limit_plan(plan: Plan, env: Settings) -> Plan:
    """Return the plan; that of two sparse operands refuses what this machine cannot hold."""
    if isinstance(plan, SparsePlan) and registry.find("matmul", plan.kernel).native:
        fixed, decision = plan._owner, plan.decision

        def run(other: SparseArray, out: Any) -> CSR:
            left, right = (fixed, other) if decision.problem.fixed == "left" else (other, fixed)
            return _within(budget.limit_for(left, right, None), decision, left, right, env)

        plan._run = run
    return plan


def _decided(left: SparseArray, right: SparseArray, wanted: request.Options, env: Settings) -> Decision:
    """Return the decision; the candidates for two sparse operands look at shapes and entries only."""
    key = (
        *(left.format, left.shape, left.dtype, left._data.size),
        *(right.format, right.shape, right.dtype, right._data.size),
        *(left._arrays[1].dtype, right._arrays[1].dtype, wanted, _core.limit(), env.cache_dir),
        registry.kernels("matmul"),
    )
    decision = _decisions.get(key)
    if decision is None:
        problem = request.problem_of("matmul", left, right, "left", wanted, env)
        decision = decide(problem, machines.current(env.cache_dir))
        while len(_decisions) >= MOST_DECISIONS:
            _decisions.pop(next(iter(_decisions), None), None)
        _decisions[key] = decision
    return decision


# ---- dense results -----------------------------------------------------------------------------------


def dense_product(
    left: SparseArray,
    right: SparseArray,
    out: Any,
    wanted: request.Options,
    env: Settings,
    granted: int | None = None,
) -> Any:
    """Return the product as a dense array: entries added in place, or one operand made dense first."""
    op = "matmul"
    request.check_shapes(op, left, right)
    chain, output = request.output_dtype(op, left.dtype, right.dtype, right.shape[0], wanted.dtype)
    shape = (left.shape[0], right.shape[1])
    if out is None:
        budget.refuse_dense(op, shape, shape[0] * shape[1] * output.itemsize, granted)
    else:
        _check_out(op, out, shape, output, left, right)
    left._check_fresh()
    right._check_fresh()
    if chain.char not in "fdFD":
        return _delivered(sparse_product(left, right, wanted, env).toarray(), output, out)
    kernel: Any = registry.find("matmul_dense", "csr_csr_dense")
    if wanted.choice.algorithm != kernel.name:
        route = _densified(left, right, chain, kernel, wanted, env)
        if route is not None:
            decision, first, second = route
            return build(decision, first, second, FOR_GOOD, wanted.threads, env)(
                second if decision.problem.fixed == "left" else first, out=out
            )
    threads = request.thread_count(wanted)
    direct = out is not None and out.dtype == chain and _has_rows(out)
    result = out if direct else np.empty(shape, chain)
    kernel.fill(left, right, chain, wanted.choice.isa, threads, result)
    return result if direct else _delivered(result, output, out)


def _densified(
    left: SparseArray,
    right: SparseArray,
    chain: np.dtype[Any],
    kernel: Any,
    wanted: request.Options,
    env: Settings,
) -> tuple[Decision, Any, Any] | None:
    """Return the plan with one operand made dense, if that is predicted to be faster, and its operands.

    The zeros that are filled in meet the entries of the other operand, which therefore must be finite.
    """
    machine = machines.current(env.cache_dir)
    forced = wanted.choice.algorithm is not None
    direct = kernel.seconds_of(left, right, chain, machine, request.thread_count(wanted))
    best = None
    (*_, left_values), (*_, right_values) = kernel.rows(left, right, chain)
    sides = (("right", right, left_values), ("left", left, right_values))
    for dense_side, dense, values in sides:
        places = dense.shape[0] * dense.shape[1]
        filling = machine.read(2 * places * chain.itemsize, 2 * places * chain.itemsize)
        if not forced and filling >= direct:
            continue
        if not _core.all_finite(values):
            continue
        spec = np.empty(dense.shape, dense.dtype)  # only its shape and order are looked at
        first, second = (left, spec) if dense_side == "right" else (spec, right)
        side: Side = "left" if dense_side == "right" else "right"
        problem = request.problem_of("matmul", first, second, side, wanted, env)
        decision = decide(problem, machine)
        seconds = filling + decision.choice.candidate.predicted
        if seconds < direct or forced:
            direct, best = seconds, (decision, dense_side)
            if forced:
                break
    if best is None:
        return None
    decision, dense_side = best
    if dense_side == "right":
        return decision, left, right.toarray()
    return decision, left.toarray(), right


def _check_out(
    op: str, out: Any, shape: tuple[int, int], dtype: np.dtype[Any], left: SparseArray, right: SparseArray
) -> None:
    if not isinstance(out, np.ndarray):
        raise DTypeError(f"{op}: out is a {type(out).__name__}, expected a NumPy array")
    if out.shape != shape:
        raise ShapeError(f"{op}: out has shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise DTypeError(f"{op}: out has dtype {out.dtype}, expected {dtype}")
    if not out.flags.writeable:
        raise FormatError(f"{op}: out is read-only")
    if any(np.may_share_memory(out, part) for array in (left, right) for part in array._arrays):
        raise FormatError(f"{op}: out shares memory with an operand")


def _has_rows(out: Any) -> bool:
    """Whether the columns of an array are adjacent and its rows whole elements apart."""
    return (
        bool(out.flags.aligned)
        and out.dtype.isnative
        and (out.shape[1] <= 1 or out.strides[1] == out.itemsize)
        and out.strides[0] % out.itemsize == 0
    )


def _delivered(result: Any, dtype: np.dtype[Any], out: Any) -> Any:
    result = rounded(result, dtype)
    if out is None:
        return result
    np.copyto(out, result)
    return out
