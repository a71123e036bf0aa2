"""Timing every candidate of a problem and the peers, with the figures that the bench's table shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import deepgemm as dg

from ..planner.candidates import Candidate
from ..planner.plan import Plan
from ..planner.report import seconds, size
from .accuracy import Reference
from .console import CommandError
from .files import available_memory
from .peers import Peer, PeerError
from .timing import Contender, Timing, interleave

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
    """

    results: tuple[Result, ...]
    flops: int
    traffic: int
    reuse: int

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
    """A prepared plan as a contender: it runs in this process, into one output array."""

    name: str
    plan: Plan
    other: npt.NDArray[Any]
    out: npt.NDArray[Any]

    def time(self, calls: int) -> list[float]:
        plan, other, out = self.plan, self.other, self.out
        plan(other, out=out)
        found = []
        for _ in range(calls):
            start = time.perf_counter()
            plan(other, out=out)
            found.append(time.perf_counter() - start)
        return found


@dataclass
class _Foreign:
    """A peer as a contender, under the name of its row."""

    name: str
    peer: Peer

    def time(self, calls: int) -> list[float]:
        return self.peer.time(calls)


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
    plan = dg.plan(A, X, reuse=reuse, threads=threads, reproducible=reproducible)
    first = plan(X)
    report("computing the reference")
    reference = Reference.of(A, X, first.dtype)
    wanted = _select(plan, kernels)
    results: list[Result] = []
    contenders: list[Contender] = []
    for candidate in wanted:
        result = _describe(candidate, plan)
        if kernels is None and result.refused is None:
            result = replace(result, refused=_excessive(candidate))
        contender = None
        if result.refused is None:
            report(f"preparing {result.name}")
            result, contender = _prepare(result, A, X, first, reference, reuse, threads, reproducible)
        if any(known.name == result.name for known in results):
            continue  # named twice, or fallen back to an ISA that is here already
        results.append(result)
        if contender is not None:
            contenders.append(contender)
    opened = [Peer(name, threads) for name in peers]
    try:
        for peer in opened:
            report(f"preparing {peer.name}")
            result = _prepare_peer(peer, A, X, reference)
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
    return Outcome(tuple(_with_timing(r, timings.get(r.name)) for r in results), flops, traffic, reuse)


def _select(plan: Plan, kernels: Sequence[str] | None) -> list[Candidate]:
    candidates = list(plan.candidates)
    if kernels is None:
        return candidates
    known = {candidate.kernel: candidate for candidate in candidates}
    found = []
    for name in kernels:
        kernel, at, isa = name.strip().lower().partition("@")
        if kernel not in known:
            raise CommandError(f"--kernels: {kernel!r} is no candidate here, expected of: {', '.join(known)}")
        candidate = known[kernel]
        found.append(replace(candidate, isa=isa) if at else candidate)
    return found


def _excessive(candidate: Candidate) -> str | None:
    """Return why a candidate that nobody named is better not tried."""
    free = available_memory()
    if free is not None and candidate.layout_bytes > free // 2:
        return f"its layout would take {size(candidate.layout_bytes)}, more than half of the free memory"
    if candidate.predicted > _LONGEST:
        return f"not timed: {seconds(candidate.predicted)} a product predicted (--kernels times it anyway)"
    return None


def _describe(candidate: Candidate, plan: Plan) -> Result:
    if candidate.refused is not None:
        return Result(candidate.name, refused=candidate.refused)
    return Result(
        candidate.name,
        chosen=candidate.name == plan.chosen.name,
        predicted=candidate.predicted,
        conversion_predicted=candidate.conversion,
        layout_bytes=candidate.layout_bytes,
        workspace=candidate.workspace,
    )


def _prepare(
    result: Result,
    A: dg.CSR,
    X: npt.NDArray[Any],
    first: npt.NDArray[Any],
    reference: Reference,
    reuse: int,
    threads: int,
    reproducible: bool,
) -> tuple[Result, Contender | None]:
    # A fresh operand owns no layouts, so the time of planning is that of the conversion; measuring its
    # structure is not part of it.
    fresh = dg.CSR(A.to_scipy())
    dg.structure(fresh)
    start = time.perf_counter()
    try:
        plan = dg.plan(fresh, X, kernel=result.name, reuse=reuse, threads=threads, reproducible=reproducible)
    except (ValueError, NotImplementedError) as error:
        return Result(result.name, refused=" ".join(str(error).split())), None
    elapsed = time.perf_counter() - start
    # Another ISA than the planner's own, or the next lower one where the table has no such entry.
    chosen = plan.chosen
    result = replace(result, name=chosen.name, predicted=chosen.predicted, conversion=elapsed)
    out = np.empty_like(first)
    plan(X, out=out)
    error = reference.error(out)
    same = bool(((out == first) | ((out != out) & (first != first))).all())
    result = replace(result, error=error, identical=same)
    if not reference.accepts(error):
        reason = f"wrong result: error {error:.2g}, at most {reference.bound:.2g} is rounding"
        return replace(result, refused=reason, wrong=True), None
    return result, _Native(result.name, plan, X, out)


def _prepare_peer(peer: Peer, A: dg.CSR, X: npt.NDArray[Any], reference: Reference) -> Result:
    try:
        out = peer.setup(A, X)
    except PeerError as error:
        return Result(peer.name, peer=True, refused=str(error))
    found = reference.error(out)
    result = Result(peer.label, peer=True, conversion=peer.prepared, error=found)
    if reference.accepts(found):
        return result
    reason = f"wrong result: error {found:.2g}, at most {reference.bound:.2g} is rounding"
    return replace(result, refused=reason, wrong=True)


def _with_timing(result: Result, timing: Timing | str | None) -> Result:
    if timing is None or result.refused is not None:
        return result
    if isinstance(timing, str):
        return replace(result, refused=timing)
    return replace(result, seconds=timing.median, fastest=timing.fastest, slowest=timing.slowest)
