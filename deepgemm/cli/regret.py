"""How good the planner's choices are: measured times of all candidates, regret, and the account's factor.

Regret of a hint (`reuse=`) is the measured total of conversion and products of the chosen kernel over
the least such total of any candidate. Without a hint a fresh operand runs on what needs no conversion, and
its choice is compared with such candidates; when it buys a layout is the account's business. The account's
factor is the wall time of plain `A @ X` on a fresh object, planning and conversions included, over the
total of the best choice in hindsight.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import deepgemm as dg

from ..planner.candidates import Candidate
from ..planner.plan import Plan
from .cases import Case
from .timing import Timing, interleave, time_plan

__all__ = ["LEAST_SECONDS", "Judged", "Summary", "Timed", "judge", "summarise"]

# Cases whose best candidate is faster than this are left out of the summary: there noise decides.
LEAST_SECONDS = 20e-6
# Seconds of a turn of each candidate.
_TURN = 0.015
# Timed that are predicted to take so many times the least total are not timed.
_HOPELESS = 20.0
# Plain products after which the account is looked at, within so many seconds.
_CALLS = (10, 100, 1000)
_ACCOUNT_SECONDS = 0.1


@dataclass(frozen=True)
class Timed:
    """One candidate of a case, predicted and measured, in seconds."""

    name: str
    predicted: float
    conversion_predicted: float
    seconds: float
    conversion: float

    def total(self, calls: int) -> float:
        """Return the measured seconds of the conversion and so many products."""
        return self.conversion + calls * self.seconds


@dataclass(frozen=True)
class Judged:
    """What was found of one case.

    Attributes
    ----------
    name : str
        Of the case.
    reuse : int
        The products of the hint.
    hinted, fresh : str
        What the planner chooses with the hint, and for the first product without one.
    candidates : tuple of Timed
        All that were timed.
    account : tuple of (int, float)
        Wall seconds of so many plain products on a fresh object.
    """

    name: str
    reuse: int
    hinted: str
    fresh: str
    candidates: tuple[Timed, ...]
    account: tuple[tuple[int, float], ...] = ()

    def best(self, calls: int) -> Timed:
        """Return the candidate that would have been the best choice for so many products."""
        return min(self.candidates, key=lambda candidate: candidate.total(calls))

    def best_at_once(self) -> Timed:
        """Return the fastest of the candidates that need no conversion, or of all if each needs one."""
        free = [candidate for candidate in self.candidates if candidate.conversion_predicted == 0.0]
        return min(free, key=lambda candidate: candidate.seconds) if free else self.best(1)

    def find(self, name: str) -> Timed:
        """Return the candidate of that name."""
        return next(candidate for candidate in self.candidates if candidate.name == name)

    def regret(self) -> float:
        """Return the total of what the hint chose over that of the best choice."""
        return self.find(self.hinted).total(self.reuse) / self.best(self.reuse).total(self.reuse)

    def regret_at_once(self) -> float:
        """Return the same for the first product of a fresh operand."""
        return self.find(self.fresh).total(1) / self.best_at_once().total(1)

    def factors(self) -> dict[int, float]:
        """Return the account's factor after each of the numbers of calls that were made."""
        return {calls: spent / self.best(calls).total(calls) for calls, spent in self.account}

    @property
    def counts(self) -> bool:
        """Whether the case is long enough for the summary."""
        return min(candidate.seconds for candidate in self.candidates) >= LEAST_SECONDS

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values that JSON can hold."""
        return {
            **asdict(self),
            "counts": self.counts,
            "regret": {"hint": self.regret(), "fresh": self.regret_at_once()},
            "best": {"hint": self.best(self.reuse).name, "fresh": self.best_at_once().name},
            "factors": {str(calls): factor for calls, factor in self.factors().items()},
        }


@dataclass(frozen=True)
class Summary:
    """Geometric mean and worst of one figure over the cases that count."""

    name: str
    cases: int
    mean: float
    worst: float
    worst_case: str


@dataclass
class _Prepared:
    """A candidate's plan as a contender."""

    name: str
    candidate: Candidate
    plan: Plan
    conversion: float
    other: npt.NDArray[Any]
    out: npt.NDArray[Any]

    def time(self, calls: int) -> list[float]:
        return time_plan(self.plan, self.other, self.out, calls)


def judge(case: Case, reuse: int, rounds: int = 3, account: bool = True) -> Judged:
    """Time all candidates of a case and compare the planner's choices with the best of them.

    Parameters
    ----------
    case : Case
    reuse : int
        Products of the hint.
    rounds : int
        Turns of each candidate; the median counts.
    account : bool
        Whether to run plain products on a fresh object as well.

    Returns
    -------
    Judged
    """
    X = case.other()
    operand = case.fresh()
    hinted = dg.plan(*case.operands(operand, X), reuse=reuse)
    fresh = dg.plan(*case.operands(case.fresh(), X))
    prepared = _prepare(case, X, hinted, fresh, operand._block_fill)
    timings = interleave(prepared, rounds=rounds, budget=_TURN)
    found = []
    for contender in prepared:
        timing = timings[contender.name]
        assert isinstance(timing, Timing)
        predicted = contender.candidate
        found.append(
            Timed(
                contender.name, predicted.predicted, predicted.conversion, timing.median, contender.conversion
            )
        )
    least = min(candidate.seconds for candidate in found)
    spent = _account(case, X, least, rounds) if account else ()
    return Judged(case.name, reuse, hinted.chosen.name, fresh.chosen.name, tuple(found), spent)


def _prepare(case: Case, X: npt.NDArray[Any], hinted: Plan, fresh: Plan, blocks: Any) -> list[_Prepared]:
    """Return the candidates that may be the best, each with layouts of its own and what they cost."""
    served = [candidate for candidate in hinted.candidates if candidate.refused is None]
    reuse = hinted.problem.reuse or 1
    least = {calls: min(c.conversion + calls * c.predicted for c in served) for calls in (1, reuse)}
    chosen = (hinted.chosen.name, fresh.chosen.name)
    out = np.empty(hinted.problem.output_shape, dtype=hinted.problem.output)
    found = []
    for candidate in served:
        hopeless = all(
            candidate.conversion + calls * candidate.predicted > _HOPELESS * bound
            for calls, bound in least.items()
        )
        if hopeless and candidate.name not in chosen:
            continue
        operand = case.fresh()
        operand._block_fill = blocks  # looked for whatever is chosen then, so it is no conversion
        start = time.perf_counter()
        dg.plan(*case.operands(operand, X), reuse=0)
        planned = time.perf_counter()
        plan = dg.plan(*case.operands(operand, X), reuse=reuse, kernel=candidate.name)
        conversion = time.perf_counter() - planned - (planned - start)
        if candidate.conversion == 0.0:
            conversion = 0.0
        found.append(_Prepared(candidate.name, candidate, plan, max(0.0, conversion), X, out))
    return found


def _account(case: Case, X: npt.NDArray[Any], least: float, rounds: int) -> tuple[tuple[int, float], ...]:
    """Return the wall seconds of plain products on a fresh object, as many as the time allows.

    The fastest of the rounds counts: a sum takes in whatever else the machine does, a median does not.
    """
    wanted = [calls for calls in _CALLS if calls * least <= _ACCOUNT_SECONDS]
    fastest = dict.fromkeys(wanted, math.inf)
    for _ in range(rounds):
        (left, right), spent = case.operands(case.fresh(), X), 0.0
        for call in range(1, max(wanted, default=0) + 1):
            start = time.perf_counter()
            left @ right
            spent += time.perf_counter() - start
            if call in fastest:
                fastest[call] = min(fastest[call], spent)
    return tuple(fastest.items())


def summarise(judged: Iterable[Judged]) -> list[Summary]:
    """Return regret with and without a hint, and the account's factors, over the cases that count."""
    counted = [case for case in judged if case.counts]
    figures: dict[str, list[tuple[float, str]]] = {}
    for case in counted:
        figures.setdefault(f"regret, reuse={case.reuse:,}", []).append((case.regret(), case.name))
        at_once = figures.setdefault("regret, first call without a hint", [])
        at_once.append((case.regret_at_once(), case.name))
        for calls, factor in case.factors().items():
            figures.setdefault(f"account, {calls:,} plain calls", []).append((factor, case.name))
    return [_summary(name, values) for name, values in figures.items()]


def _summary(name: str, values: Sequence[tuple[float, str]]) -> Summary:
    worst, where = max(values)
    mean = math.exp(sum(math.log(value) for value, _ in values) / len(values))
    return Summary(name, len(values), mean, worst, where)
