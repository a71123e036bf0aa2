"""The account of an operand: time lost for want of layouts, and the times that kernels really took."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from .candidates import Choice

__all__ = ["FOR_GOOD", "Account", "Terms", "settle", "terms", "total_spent"]

# A kernel's time counts once it has run this often: the fastest of three is rarely disturbed.
LEAST_CALLS = 3
# Thinking again costs 50 to 100 µs of Python. Where it may only lead to another kernel, ten times that must
# be at stake; where a layout is in sight, which will be bought, no less than that.
LEAST_PRICE = 1e-3
LEAST_LAYOUT_PRICE = 5e-5


class Account(NamedTuple):
    """What one kind of product on an operand has cost so far.

    Attributes
    ----------
    spent : tuple of (str, float)
        For layouts, the seconds lost by not having them.
    runs : tuple of (str, int, float)
        For kernels, how often they ran and their fastest time.
    last : str
        The kernel that ran last.
    repeats : int
        How often thinking again has led to that same kernel.
    """

    spent: tuple[tuple[str, float], ...] = ()
    runs: tuple[tuple[str, int, float], ...] = ()
    last: str = ""
    repeats: int = 0

    @property
    def measured(self) -> tuple[tuple[str, float], ...]:
        """The times that may replace predictions."""
        return tuple((kernel, fastest) for kernel, calls, fastest in self.runs if calls >= LEAST_CALLS)

    @property
    def seconds(self) -> float:
        """About how long all calls have taken."""
        return sum(calls * fastest for _, calls, fastest in self.runs)

    def without(self, layout: str | None) -> Account:
        """Return the account after `layout` was bought: a copy lost to eviction is saved for anew."""
        return self._replace(spent=tuple(entry for entry in self.spent if entry[0] != layout))


class Terms(NamedTuple):
    """When a running plan asks to be thought over.

    Attributes
    ----------
    best : float
        Seconds of a call of what could run instead. Each call loses what its kernel takes beyond them, by
        the fastest call of all.
    expected : float
        Seconds that were predicted of what runs. If it is faster, `best` is scaled alike, as `rank` does;
        0 if `best` was measured.
    price : float
        Seconds to lose before the plan is due.
    look : float
        Seconds that all calls may take before the operand is worth a closer look; infinite if it had that.
    """

    best: float
    expected: float
    price: float
    look: float


FOR_GOOD = Terms(0.0, 0.0, math.inf, math.inf)
"""The terms of a plan that the caller holds, which is a value and never asks to be thought over."""


def terms(choice: Choice, account: Account, look: float = math.inf) -> Terms:
    """Return the terms that a plan is bound with.

    Parameters
    ----------
    choice : Choice
        What the plan runs.
    account : Account
        Of this kind of product so far.
    look : float
        Seconds of calls after which the operand is worth a closer look; infinite if it had that.

    Notes
    -----
    A plan runs until the time lost against the layout in sight reaches what is left of its price.
    Against a kernel that needs no layout only thinking costs anything; each time that it changes
    nothing, twice as much must be lost before it is done again, or a busy machine would keep the
    planner busy as well. What runs faster than all that could replace it is never thought over.
    """
    candidate, target = choice.candidate, choice.target
    if target is None:
        return Terms(0.0, 0.0, math.inf, look)
    expected = 0.0 if target.measured else candidate.predicted
    if target.conversion > 0.0:
        return Terms(target.predicted, expected, max(choice.price, LEAST_LAYOUT_PRICE), look)
    repeats = account.repeats if candidate.name == account.last else 0
    return Terms(target.predicted, expected, LEAST_PRICE * 2.0 ** min(repeats, 40), look)


def settle(account: Account, choice: Choice, calls: int, lost: float, fastest: float) -> Account:
    """Return the account after a plan has run.

    Parameters
    ----------
    account : Account
        As it was when the plan was made.
    choice : Choice
        What the plan ran.
    calls, lost, fastest : int, float, float
        What the plan counted under its `terms`.
    """
    if calls == 0:
        return account
    candidate, target = choice.candidate, choice.target
    runs = {kernel: (count, best) for kernel, count, best in account.runs}
    before = runs.get(candidate.name, (0, math.inf))
    runs[candidate.name] = (before[0] + calls, min(before[1], fastest))
    spent = dict(account.spent)
    if target is not None and target.conversion > 0.0 and target.layout is not None:
        spent[target.layout] = spent.get(target.layout, 0.0) + lost
    repeats = account.repeats + 1 if candidate.name == account.last else 0
    kept = tuple((kernel, *run) for kernel, run in runs.items())
    return Account(tuple(spent.items()), kept, candidate.name, repeats)


def total_spent(accounts: Iterable[Account]) -> tuple[tuple[str, float], ...]:
    """Return what was lost for want of each layout in all kinds of product on one operand."""
    totals: dict[str, float] = {}
    for account in accounts:
        for layout, seconds in account.spent:
            totals[layout] = totals.get(layout, 0.0) + seconds
    return tuple(sorted(totals.items()))
