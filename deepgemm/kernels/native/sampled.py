"""Products of two dense operands at the entries of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..registry import Cost, Kernel
from . import model

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

__all__ = ["SampledDots", "SampledExact"]

# Share of the FMA peak, of which real chains use half: two operands are loaded for each FMA. What an entry
# costs besides is csrc/core/sddmm.cpp's kEntryWork.
EFFICIENCY = 0.3
ENTRY_MADDS = 16
INTEGER_SECONDS = 1.5e-9  # of NumPy for each gathered pair of elements


class SampledDots(Kernel):
    """Each entry of the mask is the product of a row of X with a column of Y, in interleaved chains."""

    name = "sddmm_dots"
    op = "sddmm"
    summary = "dense × dense at the entries of a mask, a dot product for each"

    def refuse(self, problem: Problem) -> str | None:
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        assert problem.mask is not None
        _, inner, columns = problem.extents
        nnz = problem.mask.structure.nnz
        rate = machine.flop_rate(isa, problem.accumulator) * EFFICIENCY
        work = nnz * (inner + ENTRY_MADDS) * model.flops(problem) / rate
        y_bytes = inner * columns * problem.itemsize

        def seconds(threads: int) -> float:
            moved = machine.read(nnz * inner * problem.itemsize, y_bytes, threads)
            return max(work / threads, moved)

        once, threads = model.best_threads(problem, machine, max(nnz, 1), seconds)
        turned = 0 if problem.right.order == "F" else y_bytes
        return Cost(once + machine.read(2 * turned, 2 * turned) + machine.call, 0.0, turned, 0, threads)


class SampledExact(Kernel):
    """Whole numbers and truth values, whose sums do not round, through gathered rows and columns."""

    name = "sddmm_exact"
    op = "sddmm"
    provider = "numpy"
    native = False
    summary = "whole numbers and truth values at the entries of a mask"

    def refuse(self, problem: Problem) -> str | None:
        if problem.accumulator in model.DTYPES:
            return "is for whole numbers: its sums have no stated order"
        return model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        assert problem.mask is not None
        return Cost(problem.mask.structure.nnz * problem.extents[1] * INTEGER_SECONDS + machine.call)
