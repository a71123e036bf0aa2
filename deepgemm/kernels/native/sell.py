"""Native product of slices of rows (SELL) with a vector: a vector register of rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Seconds per entry of one thread with everything in L1, and for each row its share of a slice's ragged end
# and of the store. Elements of 4 bytes have twice the lanes, but each lane of a gather costs the same.
ENTRY_SECONDS = {4: 0.165e-9, 8: 0.19e-9}
ROW_SECONDS = {4: 0.55e-9, 8: 0.75e-9}
# Columns of a slice are 16-bit offsets where its rows reach no further, else 32 bits wide.
OFFSET_BYTES, COLUMN_BYTES = 2, 4
MOST_OFFSET = 2**16 - 1
MOST_LINES = 2**31 - 1


def index_bytes(problem: Problem) -> int:
    """Return the bytes of a column in a slice."""
    form, bandwidth = problem.normal, operand.spec(problem).structure.bandwidth
    reach = 2 * bandwidth if bandwidth else form.k
    return OFFSET_BYTES if min(form.k - 1, reach) <= MOST_OFFSET else COLUMN_BYTES


def refuse_shape(problem: Problem) -> str | None:
    """Return why slices cannot hold the operand, or what is not a vector, if they cannot."""
    form = problem.normal
    if form.n != 1:
        return f"wants a vector, this operand has {form.n} columns"
    if max(form.m, form.k) > MOST_LINES:
        return "more than 2**31 - 1 rows or columns"
    return None


class SellVector(Kernel):
    """Rows of similar length share a slice, one in each lane, so every chain stays in order.

    Follows M. Kreutzer et al., "A unified sparse matrix data format for efficient general sparse
    matrix-vector multiplication on modern processors with wide SIMD units", SIAM J. Sci. Comput. 36,
    2014, with windows sorted by length.
    """

    name = "sell_vector"
    summary = "rows in slices (a bought layout) × vector, the fastest order-keeping product with a vector"
    codes = True

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        if problem.normal.n == 1 and problem.accumulator.startswith("complex"):
            return "slices hold real values only"
        return refuse_shape(problem) or model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form = problem.normal
        structure = operand.spec(problem).structure
        streamed = form.nnz * (problem.itemsize + index_bytes(problem)) + form.m * problem.itemsize
        lanes = form.nnz * ENTRY_SECONDS[problem.itemsize] + form.m * ROW_SECONDS[problem.itemsize]

        def seconds(threads: int) -> float:
            return model.spmv_seconds(problem, machine, isa, lanes, streamed, structure.near, threads)

        once, threads = model.best_threads(problem, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row", "sell")
        return Cost(once + model.call_seconds(problem, machine), conversion, 0, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        slices = operand.built(problem, left if stands_left else right, "sell")
        return Executable(_core.sell_product(isa, slices.core), transposed=not stands_left)
