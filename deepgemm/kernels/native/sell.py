"""Native product of slices of rows (SELL) with a vector: a vector register of rows at a time."""

# ruff: noqa: D102 -- the methods of kernels are documented in registry.Kernel
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Seconds per entry of one thread: one lane of a gather and of an FMA, at 16 lanes of float32. Lanes
# of a slice are sorted by length and stored without padding, so entries are all there is.
ENTRY_SECONDS = 0.25e-9
# Wider elements have fewer lanes; a gather costs about the same for each lane that it fills.
ENTRY_SECONDS_DOUBLE = 0.3e-9
# For each row: its share of a slice's set-up and of the scattered store.
ROW_SECONDS = 0.4e-9
# Indices are 32 bits wide in the slices.
INDEX_BYTES = 4
MOST_LINES = 2**31 - 1


class SellVector(Kernel):
    """Rows of similar length share a slice, one in each lane, so every chain stays in order.

    Follows M. Kreutzer et al., "A unified sparse matrix data format for efficient general sparse
    matrix-vector multiplication on modern processors with wide SIMD units", SIAM J. Sci. Comput. 36,
    2014, with windows sorted by length.
    """

    name = "sell_vector"
    summary = "rows in slices (a bought layout) × vector, the fastest order-keeping product with a vector"

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        form = problem.normal
        if form.n != 1:
            return f"wants a vector, this operand has {form.n} columns"
        if problem.accumulator.startswith("complex"):
            return "slices hold real values only"
        if max(form.m, form.k) > MOST_LINES:
            return "more than 2**31 - 1 rows or columns"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form = problem.normal
        near = operand.spec(problem).structure.near
        streamed = form.nnz * (problem.itemsize + INDEX_BYTES) + form.m * problem.itemsize
        per_entry = ENTRY_SECONDS if problem.itemsize == 4 else ENTRY_SECONDS_DOUBLE
        lanes = form.nnz * per_entry + form.m * ROW_SECONDS

        def seconds(threads: int) -> float:
            return model.spmv_seconds(problem, machine, isa, lanes, streamed, near, threads)

        once, threads = model.best_threads(problem, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row", "sell")
        return Cost(once + model.call_seconds(problem, machine), conversion, 0, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        slices = operand.slices(problem, left if stands_left else right)
        return Executable(_core.sell_product(isa, slices.sell), transposed=not stands_left)
