"""Dense results of two sparse operands: entries added in place, or one operand made dense first."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..config import Settings
from ..errors import DTypeError, FormatError, ShapeError, UnsupportedError
from ..kernels import registry
from ..planner import machine as machines
from ..planner.account import FOR_GOOD
from ..planner.decision import Decision, decide, log
from ..planner.plan import build
from ..planner.problem import Side
from ..planner.report import Report
from ..rounding import rounded
from ..sparse.base import SparseArray
from . import _budget as budget
from . import _request as request
from ._sparse_product import OP, sparse_product


def dense_product(
    left: SparseArray,
    right: SparseArray,
    out: Any,
    wanted: request.Options,
    env: Settings,
    granted: int | None = None,
) -> Any:
    """Return the product as a dense array, written to `out` if there is one."""
    request.check_shapes(OP, left, right)
    chain, output = request.output_dtype(OP, left.dtype, right.dtype, right.shape[0], wanted.dtype)
    shape = (left.shape[0], right.shape[1])
    if out is None:
        budget.refuse_dense(OP, shape, shape[0] * shape[1] * output.itemsize, granted)
    else:
        _check_out(out, shape, output, left, right)
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
    if env.verbose:
        log(Report(f"plan for {OP} with a dense result", (("chosen", kernel.name),)))
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
        predicted = filling + decision.choice.candidate.predicted
        if predicted < direct or forced:
            direct, best = predicted, (decision, dense_side)
            if forced:
                break
    if best is None:
        if forced:
            raise UnsupportedError(
                f"{OP}: {wanted.choice.argument} asks for {wanted.choice.algorithm}, for which one operand "
                "is made dense, but the other holds inf or nan, which filled zeros must not meet"
            )
        return None
    decision, dense_side = best
    if dense_side == "right":
        return decision, left, right.toarray()
    return decision, left.toarray(), right


def _check_out(
    out: Any, shape: tuple[int, int], dtype: np.dtype[Any], left: SparseArray, right: SparseArray
) -> None:
    if not isinstance(out, np.ndarray):
        raise DTypeError(f"{OP}: out is a {type(out).__name__}, expected a NumPy array")
    if out.shape != shape:
        raise ShapeError(f"{OP}: out has shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise DTypeError(f"{OP}: out has dtype {out.dtype}, expected {dtype}")
    if not out.flags.writeable:
        raise FormatError(f"{OP}: out is read-only")
    if any(np.may_share_memory(out, part) for array in (left, right) for part in array._arrays):
        raise FormatError(f"{OP}: out shares memory with an operand")


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
