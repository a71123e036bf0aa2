"""Timing every candidate of a problem and the peers, with the figures that the bench's table shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import deepgemm as dg

from ..config import available_memory
from ..dtypes import is_inexact
from ..planner.candidates import Candidate
from ..planner.plan import Plan
from ..planner.report import seconds, size
from .accuracy import Reference
from .console import CommandError
from .peers import Peer, PeerError
from .timing import Contender, Timing, interleave, time_plan

__all__ = ["Outcome", "Result", "measure"]

# Rest before a turn when several libraries' pools are about: OpenMP's spin for up to 0.2 s after a call.
_SETTLE = 0.25
# Predicted seconds of a product beyond which a candidate is only timed if it is named: a round of it would
# take longer than all the others.
_LONGEST = 2.0


@dataclass(frozen=True)
class Result:
    """What was found of one candidate or peer.

    Attributes
    ----------
    name : str
        ``kernel@isa``, or the peer's name and version.
    peer : bool
        Whether it is a peer library.
    chosen : bool
        Whether the planner would run it.
    predicted, conversion_predicted : float or None
        Seconds of a product and of the conversion before the first one, as the planner sees them.
    seconds, fastest, slowest : float or None
        Measured seconds of a product: the median over rounds of the rounds' medians, and the extremes.
    conversion : float or None
        Measured seconds of preparing the first product.
    layout_bytes, workspace : int or None
        Bytes of the converted copy, and used during a product, as the planner sees them.
    error : float or None
        Largest deviation from the reference, as a share of the magnitudes that made the element.
    identical : bool or None
        Whether the result has the bits of the chosen kernel's; None for peers.
    refused : str or None
        Why it was not timed.
    wrong : bool
        Whether it was not timed because its result is wrong.
    """

    name: str
    peer: bool = False
    chosen: bool = False
    predicted: float | None = None
    conversion_predicted: float | None = None
    seconds: float | None = None
    fastest: float | None = None
    slowest: float | None = None
    conversion: float | None = None
    layout_bytes: int | None = None
    workspace: int | None = None
    error: float | None = None
    identical: bool | None = None
    refused: str | None = None
    wrong: bool = False

    def total(self, reuse: int) -> float:
        """Return the measured seconds of the conversion and `reuse` products; inf if not timed."""
        if self.seconds is None:
            return float("inf")
        return (self.conversion or 0.0) + reuse * self.seconds


@dataclass(frozen=True)
class Outcome:
    """All results of one problem.

    Attributes
    ----------
    results : tuple of Result
        Candidates in the planner's order, then peers.
    flops, traffic : int
        Of one product: multiplications and additions, and the bytes of both operands and the result.
    reuse : int
        The products that the choice was made for.
    bound : float
        The largest error that rounding explains.
    """

    results: tuple[Result, ...]
    flops: int
    traffic: int
    reuse: int
    bound: float = 0.0

    @property
    def best(self) -> Result | None:
        """The candidate with the least measured total, or None if none was timed."""
        timed = [result for result in self.results if not result.peer and result.seconds is not None]
        return min(timed, key=lambda result: result.total(self.reuse), default=None)

    @property
    def chosen(self) -> Result | None:
        """The candidate that the planner would run, or None if it was left out."""
        return next((result for result in self.results if result.chosen), None)

    @property
    def regret(self) -> float | None:
        """Measured total of the chosen candidate over that of the best; 1 is a perfect choice."""
        if self.best is None or self.chosen is None or self.chosen.seconds is None:
            return None
        return self.chosen.total(self.reuse) / self.best.total(self.reuse)


@dataclass
class _Native:
    """A prepared plan as a contender: it runs in this process, into an output array that it may share."""

    name: str
    plan: Plan
    other: npt.NDArray[Any]
    out: npt.NDArray[Any]

    def time(self, calls: int) -> list[float]:
        return time_plan(self.plan, self.other, self.out, calls)


@dataclass
class _Foreign:
    """A peer as a contender, under the name of its row."""

    name: str
    peer: Peer

    def time(self, calls: int) -> list[float]:
        return self.peer.time(calls)


@dataclass(frozen=True)
class _Workbench:
    """What all candidates and peers of one problem share while they are prepared."""

    A: dg.CSR
    X: npt.NDArray[Any]
    first: npt.NDArray[Any]
    out: npt.NDArray[Any]
    reference: Reference
    options: dict[str, Any]

    def candidate(self, result: Result) -> tuple[Result, Contender | None]:
        """Plan, run and check one candidate."""
        # A fresh operand owns no layouts, so the time of planning is that of the conversion; measuring its
        # structure is not part of it.
        fresh = dg.CSR((self.A.data, self.A.indices, self.A.indptr), shape=self.A.shape)
        dg.structure(fresh)
        start = time.perf_counter()
        try:
            plan = dg.plan(fresh, self.X, kernel=result.name, **self.options)
        except (ValueError, NotImplementedError) as error:
            return Result(result.name, refused=_line(error)), None
        elapsed = time.perf_counter() - start
        # Another ISA than the planner's own, or the next lower one where the table has no such entry.
        chosen = plan.chosen
        result = replace(result, name=chosen.name, predicted=chosen.predicted, conversion=elapsed)
        # What the candidate before wrote would be right, and hide that this one wrote nothing.
        self.out.fill(np.nan if is_inexact(self.out.dtype) else 85)
        plan(self.X, out=self.out)
        first = self.first
        same = bool(((self.out == first) | ((self.out != self.out) & (first != first))).all())
        result = self._checked(replace(result, identical=same), self.out)
        return result, None if result.wrong else _Native(result.name, plan, self.X, self.out)

    def peer(self, peer: Peer) -> Result:
        """Hand the operands to a peer and check its result."""
        try:
            out = peer.setup(self.A, self.X)
        except PeerError as error:
            return Result(peer.name, peer=True, refused=str(error))
        return self._checked(Result(peer.label, peer=True, conversion=peer.prepared), out)

    def _checked(self, result: Result, out: npt.NDArray[Any]) -> Result:
        """Return the result with its error, refused if rounding does not explain it."""
        error = self.reference.error(out)
        result = replace(result, error=error)
        if self.reference.accepts(error):
            return result
        reason = f"wrong result: error {error:.2g}, at most {self.reference.bound:.2g} is rounding"
        return replace(result, refused=reason, wrong=True)


def measure(
    A: dg.CSR,
    X: npt.NDArray[Any],
    *,
    reuse: int,
    threads: int,
    reproducible: bool = True,
    kernels: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    rounds: int = 5,
    report: Callable[[str], None] | None = None,
    expect: Callable[[int], None] | None = None,
) -> Outcome:
    """Run every candidate of ``A @ X``, check each result, and time those that are right.

    Parameters
    ----------
    A : CSR
        m × k.
    X : ndarray
        k × n, or k.
    reuse : int
        Products that the planner may count on.
    threads : int
        For our kernels and for the peers.
    reproducible : bool
        Whether kernels must round in the stated order.
    kernels : sequence of str, optional
        Time only these, each ``kernel`` or ``kernel@isa``.
    peers : sequence of str
        Names of peers to time as well.
    rounds : int
        Turns of each contender.
    report : callable, optional
        Told what is about to be done.
    expect : callable, optional
        Told how many steps, that is calls of `report`, the timing will take.

    Returns
    -------
    Outcome
    """
    report = report or (lambda _: None)
    report("planning")
    options: dict[str, Any] = {"reuse": reuse, "threads": threads, "reproducible": reproducible}
    plan = dg.plan(A, X, **options)
    first = plan(X)
    report("computing the reference")
    bench = _Workbench(A, X, first, np.empty_like(first), Reference.of(A, X, first.dtype), options)
    results, contenders = _candidates(bench, plan, kernels, report)
    opened = [Peer(name, threads) for name in peers]
    try:
        for peer in opened:
            report(f"preparing {peer.name}")
            result = bench.peer(peer)
            if result.refused is None:
                contenders.append(_Foreign(result.name, peer))
            results.append(result)
        if expect is not None:
            expect(rounds * len(contenders))
        timings = interleave(
            contenders,
            rounds=rounds,
            settle=_SETTLE if opened else 0.0,
            advance=lambda name: report(f"timing {name}"),
            failed=(PeerError,),
        )
    finally:
        for peer in opened:
            peer.close()
    columns = X.shape[1] if X.ndim == 2 else 1
    # A complex multiplication and addition is four of each.
    flops = (8 if "c" in (A.dtype.kind, X.dtype.kind) else 2) * A.nnz * columns
    traffic = A.nbytes + X.nbytes + first.nbytes
    timed = tuple(_with_timing(result, timings.get(result.name)) for result in results)
    return Outcome(timed, flops, traffic, reuse, bench.reference.bound)


def _candidates(
    bench: _Workbench, plan: Plan, kernels: Sequence[str] | None, report: Callable[[str], None]
) -> tuple[list[Result], list[Contender]]:
    """Prepare and check the candidates: a row for each, and those that are to be timed."""
    results: list[Result] = []
    contenders: list[Contender] = []
    for name, candidate in _select(plan, kernels):
        result = _describe(name, candidate, plan)
        if kernels is None and result.refused is None:
            result = replace(result, refused=_excessive(candidate))
        contender = None
        if result.refused is None:
            report(f"preparing {result.name}")
            try:
                result, contender = bench.candidate(result)
            except Exception as error:  # a bug in one kernel must not hide what the others do
                reason = f"failed: {type(error).__name__}: {_line(error)}"
                result = Result(result.name, chosen=result.chosen, refused=reason, wrong=True)
        if any(known.name == result.name for known in results):
            continue  # named twice, or fallen back to an ISA that is here already
        results.append(result)
        if contender is not None:
            contenders.append(contender)
    return results, contenders


def _select(plan: Plan, kernels: Sequence[str] | None) -> list[tuple[str, Candidate]]:
    """Return the candidates to be timed with the names to force them by."""
    if kernels is None:
        return [(candidate.name, candidate) for candidate in plan.candidates]
    known = {candidate.kernel: candidate for candidate in plan.candidates}
    found = []
    for name in kernels:
        kernel, at, isa = name.strip().lower().partition("@")
        if kernel not in known:
            raise CommandError(f"--kernels: {kernel!r} is no candidate here, expected of: {', '.join(known)}")
        found.append((f"{kernel}@{isa}" if at else known[kernel].name, known[kernel]))
    return found


def _excessive(candidate: Candidate) -> str | None:
    """Return why a candidate that nobody named is better not tried."""
    free = available_memory()
    if free is not None and candidate.layout_bytes > free // 2:
        return f"its layout would take {size(candidate.layout_bytes)}, more than half of the free memory"
    if candidate.predicted > _LONGEST:
        return f"not timed: {seconds(candidate.predicted)} a product predicted (--kernels times it anyway)"
    return None


def _describe(name: str, candidate: Candidate, plan: Plan) -> Result:
    if candidate.refused is not None:
        return Result(name, refused=candidate.refused)
    return Result(
        name,
        chosen=name == plan.chosen.name,
        predicted=candidate.predicted,
        conversion_predicted=candidate.conversion,
        layout_bytes=candidate.layout_bytes,
        workspace=candidate.workspace,
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _with_timing(result: Result, timing: Timing | str | None) -> Result:
    if timing is None or result.refused is not None:
        return result
    if isinstance(timing, str):
        return replace(result, refused=timing)
    return replace(result, seconds=timing.median, fastest=timing.fastest, slowest=timing.slowest)
