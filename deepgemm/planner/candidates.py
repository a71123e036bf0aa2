"""From a problem and a machine to ranked candidates and a choice: pure values, no state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import UnsupportedError
from ..kernels import registry
from .machine import Machine
from .problem import Problem
from .report import size

__all__ = ["Candidate", "Choice", "choose", "rank"]

# A layout must promise at least this much of the time saved, or prediction noise would buy it.
LEAST_GAIN = 0.05


class Candidate(NamedTuple):  # a tuple, because each plan makes one for every kernel
    """A kernel with what it would cost, or the reason why it cannot serve.

    Attributes
    ----------
    kernel, provider : str
        Name of the kernel, and who runs it.
    isa : str
        ISA of a native kernel, else empty.
    predicted : float
        Seconds of one call; infinite if refused.
    conversion : float
        Seconds before the first call for layouts that do not exist yet.
    workspace, layout_bytes : int
        Bytes used during a call, and kept between calls.
    layout : str or None
        Name of the copy of the fixed operand that is read.
    threads : int
        How many threads the prediction is for.
    measured : bool
        Whether `predicted` is a measurement of this very problem.
    refused : str or None
        The reason; None if the kernel can serve.
    """

    kernel: str
    provider: str = "native"
    isa: str = ""
    predicted: float = math.inf
    conversion: float = 0.0
    workspace: int = 0
    layout_bytes: int = 0
    layout: str | None = None
    threads: int = 1
    measured: bool = False
    refused: str | None = None

    @property
    def name(self) -> str:
        """Kernel and ISA, as `kernel=` takes them."""
        return f"{self.kernel}@{self.isa}" if self.isa else self.kernel


class Choice(NamedTuple):
    """The chosen candidate, why, and when to think again.

    Attributes
    ----------
    candidate : Candidate
        What runs.
    reason : str
        One sentence for `explain()`.
    target : Candidate or None
        The candidate whose layout is being saved for, or the next best one without a layout.
    price : float
        Seconds that may still be lost against `target` before it is worth its conversion; infinite
        if nothing else could be chosen.
    """

    candidate: Candidate
    reason: str
    target: Candidate | None = None
    price: float = math.inf


def rank(problem: Problem, machine: Machine) -> tuple[Candidate, ...]:
    """Return all kernels of the operation: those that can serve by predicted time, then the refused.

    With a quantised operand these are the kernels that read one, and without the others.

    Notes
    -----
    A time that was measured for this problem replaces the prediction. Kernels not yet measured get
    the benefit of the doubt: if the measured ones were faster than predicted, so may they be; if
    slower, the fault may be that kernel's alone. So a wrong prediction cannot hide a better kernel.
    """
    served, refused = _predict(problem.timeless, machine, registry.kernels(problem.op))
    if problem.measured:
        served = _correct(problem, served)
    return (*sorted(served, key=lambda candidate: (candidate.predicted, candidate.name)), *refused)


@lru_cache(maxsize=512)
def _predict(
    problem: Problem, machine: Machine, kernels: tuple[registry.Kernel, ...]
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    """Return the kernels that can serve, and the refused ones, without the account.

    Remembered, because a plan is thought over with another account and nothing else changed.
    """
    served: list[Candidate] = []
    refused: list[Candidate] = []
    quantized = bool(problem.quantized_sides)
    for kernel in kernels:
        reads = kernel.quantized == quantized and (kernel.codes or not problem.codes)
        if not reads and kernel.name != problem.choice.algorithm:
            continue  # as another operation: a table of all of them would hide the few that matter
        candidate = _evaluate(kernel, problem, machine)
        (served if candidate.refused is None else refused).append(candidate)
    served, extra = _exclude(problem, served)
    return tuple(served), (*refused, *extra)


def choose(problem: Problem, candidates: Sequence[Candidate]) -> Choice:
    """Return which candidate runs.

    With `reuse` the one of least conversion plus predicted time of all calls. Without it layouts are
    bought as a ski is rented: the fastest candidate that needs no conversion runs until the time
    lost against a better layout reaches that layout's price (M. Manasse, L. McGeoch and D. Sleator,
    "Competitive algorithms for server problems", J. Algorithms 11, 1990).

    Raises
    ------
    UnsupportedError
        If every kernel refused; the message gives the reasons.
    """
    served = [candidate for candidate in candidates if candidate.refused is None]
    if not served:
        raise UnsupportedError(_nothing(problem, candidates))
    if problem.reuse is not None:
        calls = max(problem.reuse, 1)
        best = min(served, key=lambda c: (c.conversion + calls * c.predicted, c.name))
        if calls == 1:
            return Choice(best, "least conversion plus predicted time of one call")
        return Choice(best, f"least conversion plus predicted time of {calls:,} calls (from reuse=)")
    free = [candidate for candidate in served if candidate.conversion == 0.0]
    if not free:
        best = min(served, key=lambda c: (c.conversion + c.predicted, c.name))
        reason = "least conversion plus one call; every candidate needs a conversion"
        return _with_outlook(problem, served, best, reason)
    current = min(free, key=lambda c: (c.predicted, c.name))
    paid = [c for c in _better(served, current) if problem.spent_on(c.layout or "") >= c.conversion]
    if paid:
        best = min(paid, key=lambda c: (c.predicted, c.name))
        lost = problem.spent_on(best.layout or "")
        reason = f"its layout is paid for: {lost:.3g} s were lost without it"
        return _with_outlook(problem, served, best, reason)
    return _with_outlook(problem, served, current, "fastest that needs no conversion")


def _better(served: Sequence[Candidate], current: Candidate) -> list[Candidate]:
    """Return the candidates that a conversion would make faster than the current one."""
    bar = current.predicted * (1.0 - LEAST_GAIN)
    return [c for c in served if c.conversion > 0.0 and c.predicted < bar]


def _with_outlook(problem: Problem, served: Sequence[Candidate], chosen: Candidate, reason: str) -> Choice:
    """Return the choice with what could replace it, and the time to lose before it does."""
    # Its own layout will exist by then, also for other kernels that read it.
    later = [c._replace(conversion=0.0) if c.conversion and c.layout == chosen.layout else c for c in served]
    better = _better(later, chosen)
    if not better:
        rivals = [c for c in later if c.conversion == 0.0 and c.name != chosen.name]
        if not rivals:
            return Choice(chosen, reason)
        return Choice(chosen, reason, min(rivals, key=lambda c: (c.predicted, c.name)), 0.0)
    # The one that pays for itself after the fewest calls comes first; others are weighed after it.
    target = min(better, key=lambda c: (c.conversion / (chosen.predicted - c.predicted), c.name))
    price = max(0.0, target.conversion - problem.spent_on(target.layout or ""))
    calls = math.ceil(price / (chosen.predicted - target.predicted))
    worth = f"{target.name} is worth its layout after {calls:,} more calls"
    return Choice(chosen, f"{reason}; {worth}", target, price)


def _evaluate(kernel: registry.Kernel, problem: Problem, machine: Machine) -> Candidate:
    choice = problem.choice
    isa = (choice.isa or machine.isas[0]) if kernel.native else ""
    reason = None
    if choice.algorithm is not None and choice.algorithm != kernel.name:
        reason = f"{choice.argument} asks for {choice.algorithm}"
    elif kernel.native and isa not in machine.isas:
        reason = f"{isa} does not run on this CPU or is not compiled in"
    elif choice.isa is not None and choice.algorithm is not None and not kernel.native:
        reason = "is not compiled for ISAs"
    elif kernel.quantized != bool(problem.quantized_sides):
        reason = "wants a quantised operand" if kernel.quantized else "reads no quantised operands"
    elif problem.codes and not kernel.codes:
        reason = "reads no sparse quantised operands"
    elif problem.kept_stack and not kernel.stacks:
        reason = "wants one matrix that is kept, not a stack"
    else:
        reason = kernel.refuse(problem)
    if reason is not None:
        return Candidate(kernel.name, kernel.provider, isa, refused=reason)
    cost = kernel.cost(problem, machine, isa or machine.isas[0])
    seconds = cost.seconds * machine.scale(kernel.name)
    if problem.epilogue and not kernel.epilogues:
        results = math.prod(problem.output_shape) * problem.itemsize
        seconds += machine.read(2 * results, 2 * results, cost.threads)
    return Candidate(
        kernel.name,
        kernel.provider,
        isa,
        seconds,
        cost.conversion,
        cost.workspace,
        cost.layout_bytes,
        cost.layout,
        cost.threads,
    )


def _correct(problem: Problem, served: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    measured = dict(problem.measured)
    ratios = [measured[c.name] / c.predicted for c in served if c.name in measured and c.predicted > 0]
    hope = min(1.0, *ratios) if ratios else 1.0
    return tuple(
        c._replace(predicted=measured[c.name], measured=True)
        if c.name in measured
        else c._replace(predicted=c.predicted * hope)
        if hope < 1.0
        else c
        for c in served
    )


def _exclude(problem: Problem, served: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Refuse what only the other candidates make superfluous."""
    limit = problem.layout_limit
    if problem.choice.isa is None and all(candidate.layout_bytes <= limit for candidate in served):
        return served, []
    kept, extra = [], []
    native = any(candidate.isa for candidate in served)
    fitting = any(candidate.layout_bytes <= limit for candidate in served)
    for candidate in served:
        reason = None
        if problem.choice.isa is not None and native and not candidate.isa:
            reason = f"{problem.choice.argument} asks for {problem.choice.isa}"
        elif fitting and candidate.layout_bytes > limit:
            reason = f"its layout takes {size(candidate.layout_bytes)}, more than layouts may"
        if reason is None:
            kept.append(candidate)
        else:
            extra.append(candidate._replace(predicted=math.inf, refused=reason))
    return kept, extra


def _nothing(problem: Problem, candidates: Sequence[Candidate]) -> str:
    choice = problem.choice
    formats = f"{problem.left.format} {problem.left.dtype} × {problem.right.format} {problem.right.dtype}"
    reasons = "; ".join(f"{c.kernel}: {c.refused}" for c in candidates)
    if choice.algorithm is not None:
        asked = next((c for c in candidates if c.kernel == choice.algorithm), None)
        why = asked.refused if asked is not None else "no such kernel"
        asks = f"{problem.op}: {choice.argument} asks for {choice.algorithm}"
        return f"{asks}, which cannot do {formats}: {why}"
    if choice.arithmetic is not None:
        able = [c for c in candidates if registry.find(problem.op, c.kernel).feature == choice.arithmetic]
        reasons = "; ".join(f"{c.kernel}: {c.refused}" for c in able)
        asks = f"{problem.op}: {choice.argument} asks for {choice.arithmetic} arithmetic"
        return f"{asks}, which no kernel has for {formats}" + (f" ({reasons})" if able else "")
    return f"{problem.op}: no kernel can do {formats} ({reasons})"
