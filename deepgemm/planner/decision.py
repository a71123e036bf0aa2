"""Decisions: what was known, what was ranked and what was chosen, explained, saved and replayed."""

from __future__ import annotations

import json
import logging
import math
from functools import lru_cache
from typing import Any, NamedTuple

from ..kernels import registry
from ..sparse.quantized_blocks import described
from .candidates import Candidate, Choice, choose, rank
from .machine import Machine
from .problem import OperandSpec, Problem
from .report import Report, Table, count, join, seconds, size

__all__ = ["Decision", "decide", "describe", "log", "replay"]

FORMAT = 1  # of `to_json`

_log = logging.getLogger("deepgemm")


class Decision(NamedTuple):
    """What was decided for a problem on a machine; everything that `explain()` shows.

    Attributes
    ----------
    problem : Problem
    machine : Machine
    candidates : tuple of Candidate
        Ranked; the refused ones last.
    choice : Choice
    """

    problem: Problem
    machine: Machine
    candidates: tuple[Candidate, ...]
    choice: Choice

    def explain(self) -> Report:
        """Return the measurements, the ranking and the refusals as a readable table."""
        problem, chosen = self.problem, self.choice.candidate
        m, k, n = problem.extents
        facts = [
            ("operands", f"{describe(problem.left)} × {describe(problem.right)}"),
            ("product", f"{m} × {k} × {n}, accumulated in {problem.accumulator}, result {problem.output}"),
        ]
        if problem.mask is not None:
            facts.append(("at the entries of", f"{describe(problem.mask)}, {_structure(problem.mask)}"))
        facts += [
            (f"{side} structure", _structure(spec))
            for side, spec in (("left", problem.left), ("right", problem.right))
            if spec.sparse or spec.structure.zero_share is not None
        ]
        facts += [
            (f"{side} scaling", _scaling(spec))
            for side, spec in (("left", problem.left), ("right", problem.right))
            if spec.scaling is not None
        ]
        if problem.stack:
            how = "side by side as one matrix" if problem.folded else "one after the other"
            facts.append(("stack", f"{' × '.join(map(count, problem.stack))}, multiplied {how}"))
        if problem.kept_stack:
            facts.append(("stack kept", " × ".join(map(count, problem.kept_stack))))
        if problem.epilogue:
            facts.append(("epilogue", f"{problem.epilogue}, before the result is stored"))
        if problem.casts:
            facts.append(("conversions in each call", join(problem.casts)))
        if problem.fixed_spec.layouts:
            facts.append(("layouts held", join(problem.fixed_spec.layouts)))
        if problem.spent:
            lost = [f"{seconds(lost)} lost for want of {name}" for name, lost in problem.spent]
            facts.append(("account", join(lost)))
        rates = f"{self.machine.source} rates, up to {problem.threads} threads"
        facts.append(("machine", f"{self.machine.name}, {rates}"))
        order = "stated order" if problem.reproducible else "any order (reproducible=False)"
        facts.append(("rounding", order))
        facts.append(("chosen", f"{chosen.name}: {self.choice.reason}"))
        return Report(f"plan for {problem.op}", tuple(facts), (self._table(),))

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as plain values that JSON can hold."""
        return {
            "format": FORMAT,
            "problem": self.problem.to_dict(),
            "machine": self.machine.to_dict(),
            "candidates": [_finite(candidate._asdict()) for candidate in self.candidates],
            "chosen": self.choice.candidate.name,
            "reason": self.choice.reason,
        }

    def _table(self) -> Table:
        rows: list[tuple[str, ...]] = []
        bars: list[float | None] = []
        marked = None
        for number, candidate in enumerate(self.candidates):
            if candidate.refused is None:
                verdict = "chosen" if candidate == self.choice.candidate else ""
                if verdict:
                    marked = number
                elif candidate == self.choice.target and candidate.conversion:
                    verdict = "being saved for"
                rows.append(
                    (
                        candidate.name,
                        seconds(candidate.predicted) + (" (measured)" if candidate.measured else ""),
                        seconds(candidate.conversion),
                        size(candidate.workspace),
                        _layout(candidate),
                        str(candidate.threads),
                        verdict,
                    )
                )
                bars.append(candidate.predicted)
            else:
                rows.append((candidate.name, "", "", "", "", "", f"refused: {candidate.refused}"))
                bars.append(None)
        columns = ("candidate", "predicted>", "conversion>", "workspace>", "layout", "threads>", "")
        return Table(columns, tuple(rows), tuple(bars), marked)


def decide(problem: Problem, machine: Machine) -> Decision:
    """Return the decision for a problem on a machine: a pure function of its arguments.

    Without an account it is remembered, because programs wrap the same SciPy matrix, or make the same
    shapes, over and over; times that were measured are never the same again.
    """
    if problem.timeless is problem:
        return _remembered(problem, machine, registry.kernels(problem.op))
    return _decide(problem, machine)


def _decide(problem: Problem, machine: Machine) -> Decision:
    candidates = rank(problem, machine)
    return Decision(problem, machine, candidates, choose(problem, candidates))


@lru_cache(maxsize=512)
def _remembered(problem: Problem, machine: Machine, kernels: tuple[registry.Kernel, ...]) -> Decision:
    return _decide(problem, machine)


def replay(text: str) -> Decision:
    """Decide again from what `Plan.to_json` saved.

    Raises
    ------
    ValueError
        If the text is not what `to_json` of this version wrote.
    """
    try:
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}, expected {FORMAT}")
        return decide(Problem.from_dict(values["problem"]), Machine.from_dict(values["machine"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a plan saved by to_json: {error!r}") from error


def log(explained: Report) -> None:
    """Log what was decided, as DEEPGEMM_VERBOSE asks."""
    if not _log.hasHandlers():
        # Without any handler Python would drop what DEEPGEMM_VERBOSE=1 explicitly asked for.
        _log.addHandler(logging.StreamHandler())
    if not _log.isEnabledFor(logging.INFO):
        _log.setLevel(logging.INFO)
    _log.info("%s", explained)


def _layout(candidate: Candidate) -> str:
    return f"{candidate.layout} ({size(candidate.layout_bytes)})" if candidate.layout else "none"


def describe(spec: OperandSpec) -> str:
    """Return format, dtype and shape of an operand."""
    shape = " × ".join(map(count, spec.shape))
    return f"{spec.format} {spec.dtype} {shape}"


def _scaling(spec: OperandSpec) -> str:
    assert spec.scaling is not None
    block, dtype, zero_points, offsets = spec.scaling
    extra = " and zero point" if zero_points else " and offset" if offsets else ""
    return described((spec.shape[0], spec.shape[1]), block, dtype, extra)


def _structure(spec: OperandSpec) -> str:
    found = spec.structure
    if not spec.sparse:
        return f"{found.zero_share:.0%} of the sampled elements are zero"
    lines = {"row": "rows", "col": "columns"}[found.major]
    text = f"{count(found.nnz)} entries, density {found.density:.3g}"
    text += f", longest of the {lines} {count(found.max_row)}"
    if found.empty_rows:
        text += f", {count(found.empty_rows)} empty"
    if found.quantiles:
        text += f", median {count(found.quantiles[2])}"
    return text if found.canonical else text + ", not canonical (a sorted copy is kept)"


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: what was refused has no predicted time."""
    return {key: None if value == math.inf else value for key, value in values.items()}
