"""Timing several contenders fairly: in turns, each warmed up, with the median over rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import numpy.typing as npt

from ..planner.plan import Plan

__all__ = ["Contender", "Timing", "interleave", "time_plan"]


class Contender(Protocol):
    """What can be timed."""

    @property
    def name(self) -> str:
        """A name that no other contender has."""

    def time(self, calls: int) -> list[float]:
        """Return the seconds of each of `calls` calls, after one that is not timed."""


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median over rounds of each round's median, and the extreme rounds."""

    median: float
    fastest: float
    slowest: float
    calls: int


def interleave(
    contenders: Sequence[Contender],
    *,
    rounds: int = 5,
    budget: float = 0.1,
    settle: float = 0.0,
    advance: Callable[[str], None] | None = None,
    failed: tuple[type[Exception], ...] = (),
) -> dict[str, Timing | str]:
    """Time all contenders in turns, so that a slow minute of the machine hits each of them alike.

    Parameters
    ----------
    contenders : sequence of Contender
        Names must differ.
    rounds : int
        Turns of each contender.
    budget : float
        Seconds that a turn should take; the number of calls in it follows (3 to 1000).
    settle : float
        Seconds of rest before each turn. OpenMP pools spin for up to 0.2 s after a call, which would
        cost the next contender a core.
    advance : callable, optional
        Called with the contender's name after each turn.
    failed : tuple of exception classes
        Errors that end a contender, not the measurement.

    Returns
    -------
    dict
        For each name its `Timing`, or the message of the error that ended it.
    """
    found: dict[str, list[float]] = {}
    calls: dict[str, int] = {}
    out: dict[str, Timing | str] = {}
    for number in range(rounds):
        # Each round starts with another contender: whoever follows the same one always inherits its caches.
        for contender in _rotated(contenders, number):
            name = contender.name
            if name in out:
                continue
            time.sleep(settle)
            try:
                if name not in calls:
                    once = contender.time(1)[0]
                    calls[name] = max(3, min(1000, int(budget / max(once, 1e-7))))
                found.setdefault(name, []).append(median(contender.time(calls[name])))
            except failed as error:
                out[name] = str(error)
            if advance is not None:
                advance(name)
    for name, medians in found.items():
        if name not in out:
            out[name] = Timing(median(medians), min(medians), max(medians), calls[name] * len(medians))
    return out


def _rotated(contenders: Sequence[Contender], by: int) -> Iterable[Contender]:
    first = by % max(len(contenders), 1)
    return [*contenders[first:], *contenders[:first]]


def time_plan(plan: Plan, other: npt.NDArray[Any], out: npt.NDArray[Any], calls: int) -> list[float]:
    """Return the seconds of each of `calls` products into `out`, after one that is not timed."""
    plan(other, out=out)
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        plan(other, out=out)
        found.append(time.perf_counter() - start)
    return found
