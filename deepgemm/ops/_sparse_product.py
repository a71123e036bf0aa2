"""Products of two sparse operands, within the memory there is."""

from __future__ import annotations

from typing import Any

from .. import _core
from ..config import Settings
from ..kernels import registry
from ..planner import machine as machines
from ..planner.account import FOR_GOOD
from ..planner.decision import Decision, decide, log
from ..planner.plan import Plan, SparsePlan, build
from ..sparse.base import SparseArray
from ..sparse.csr import CSR
from . import _budget as budget
from . import _request as request
from .estimate import predict

OP = "matmul"
# Decisions kept, found by what they depend on: making both specifications to look one up takes 20 us.
MOST_DECISIONS = 256
_decisions: dict[Any, Decision] = {}


def sparse_product(
    left: SparseArray,
    right: SparseArray,
    wanted: request.Options,
    env: Settings,
    granted: int | None = None,
) -> CSR:
    """Return the product as CSR; `granted` is the memory that the caller allows it."""
    request.check_shapes(OP, left, right)
    decision = _decided(left, right, wanted, env)
    kernel: Any = registry.find(OP, decision.choice.candidate.kernel)
    limit = budget.limit_for(left, right, granted)
    if not kernel.native:
        if limit:
            found = predict(left, right, env)
            if found.nbytes_range[1] > limit and found.nbytes > limit:
                budget.refuse(OP, limit, granted, lambda: found)
        plan: Any = build(decision, left, right, FOR_GOOD, wanted.threads, env)
        result: CSR = plan(right)
        return result
    if env.verbose:
        log(decision.explain())
    left._check_fresh()
    right._check_fresh()
    return _within(limit, decision, left, right, env, granted)


def _within(
    limit: int,
    decision: Decision,
    left: SparseArray,
    right: SparseArray,
    env: Settings,
    granted: int | None = None,
) -> CSR:
    """Run the native kernel that was decided for; entries may take `limit` bytes (0: any number)."""
    chosen = decision.choice.candidate
    kernel: Any = registry.find(OP, chosen.kernel)
    made: CSR | None = kernel.multiply(decision.problem, left, right, chosen.isa or None, limit)
    if made is None:
        budget.refuse(OP, limit, granted, lambda: predict(left, right, env))
    return made


def limit_plan(plan: Plan, env: Settings) -> Plan:
    """Return the plan; that of two sparse operands refuses what this machine cannot hold."""
    if (
        isinstance(plan, SparsePlan)
        and len(plan.problem.sparse_sides) == 2
        and registry.find(OP, plan.kernel).native
    ):
        fixed: Any = plan._owner
        decision = plan.decision

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
        registry.kernels(OP),
    )
    decision = _decisions.get(key)
    if decision is None:
        problem = request.problem_of(OP, left, right, "left", wanted, env)
        decision = decide(problem, machines.current(env.cache_dir))
        while len(_decisions) >= MOST_DECISIONS:
            _decisions.pop(next(iter(_decisions), None), None)
        _decisions[key] = decision
    return decision
