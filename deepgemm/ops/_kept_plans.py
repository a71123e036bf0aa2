"""The plans that an operand keeps, and the account that says when one is to be thought over."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from ..config import Settings
from ..planner import machine as machines
from ..planner.account import Account, settle, terms
from ..planner.decision import decide
from ..planner.plan import Plan, build
from ..planner.problem import Side
from ..sparse.core import Factor
from ..sparse.quantized import Quantized
from . import _request as request
from . import _specs as specs
from . import batch
from ._openings import Opening, opening

__all__ = ["planned"]

# Plans kept with an operand. A caller who multiplies by ever new shapes must not fill the memory.
MOST_PLANS = 16
MOST_ACCOUNTS = 64


def planned(owner: Factor, fixed: Side, other: Any, wanted: request.Options, env: Settings) -> Plan | Opening:
    """Return the plan of `owner` with operands like `other`: the kept one, unless its account is due.

    Small operands that were never multiplied like this run an opening first.
    """
    flags = other.flags
    order = 0 if flags.c_contiguous else 1 if flags.f_contiguous else 2
    key = (fixed, other.shape, other.dtype, order, wanted, _core.limit(), env.check)
    plans = owner._plans
    plan: Plan | Opening | None = plans.get(key)
    if plan is not None and not plan._account[3]:
        return plan
    if plan is None and key not in owner._accounts:
        owner._check_fresh()
        first = opening(owner, fixed, other, wanted, env)
        if first is not None:
            _keep(owner, key, first)
            return first
    return _new_plan(owner, fixed, other, wanted, env, key)


def _new_plan(
    owner: Factor, fixed: Side, other: Any, wanted: request.Options, env: Settings, key: Any
) -> Plan:
    if isinstance(owner, Quantized):
        batch.refuse_stacks("matmul", *((owner, other) if fixed == "left" else (other, owner)))
    seen = batch.shown(other, fixed, request.arithmetic_dtype(owner))
    left, right = (owner, seen) if fixed == "left" else (seen, owner)
    request.check_shapes("matmul", left, right)
    owner._check_fresh()
    plans = owner._plans
    before = plans.pop(key, None)
    _settle(owner, key, before)
    account: Account = owner._accounts.get(key) or _NEW
    measured, problem = account.measured, None
    if isinstance(before, Plan):
        problem = request.problem_again(before.problem, owner, measured, env)
    if problem is None:
        stack = other.shape if other.ndim > 2 else ()
        problem = request.problem_of(
            "matmul", left, right, fixed, wanted, env, measured=measured, stack=stack
        )
    decision = decide(problem, machines.current(env.cache_dir))
    look = specs.LOOK_SECONDS if specs.unseen(owner) else math.inf
    plan = build(decision, left, right, terms(decision.choice, account, look), wanted.threads, env)
    chosen = decision.choice.candidate
    if chosen.conversion and owner._accounts:
        for kind, kept in list(owner._accounts.items()):
            owner._accounts[kind] = kept.without(chosen.layout)
    _keep(owner, key, plan)
    return plan


def _keep(owner: Factor, key: Any, plan: Plan | Opening) -> None:
    plans = owner._plans
    while len(plans) >= MOST_PLANS:
        oldest = next(iter(plans), None)
        _settle(owner, oldest, plans.pop(oldest, None))
    plans[key] = plan


_NEW = Account()


def _settle(owner: Factor, key: Any, plan: Plan | Opening | None) -> None:
    """Enter what a plan has cost into the operand's account; an opening ran on other terms."""
    if not isinstance(plan, Plan):
        return
    calls, lost, fastest, _ = plan._account
    accounts = owner._accounts
    before = accounts.pop(key, _NEW)
    while len(accounts) >= MOST_ACCOUNTS:
        accounts.pop(next(iter(accounts)), None)
    accounts[key] = settle(before, plan.decision.choice, calls, lost, fastest)
