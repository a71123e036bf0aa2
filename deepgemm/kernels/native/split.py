"""Native product of compressed rows with a few columns, long rows cut: in an order of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ..registry import ORDER, Cost, Executable, Kernel
from . import csr, model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# With more columns than these a row has chains enough to fill the FMA units, and threads enough rows.
MOST_COLUMNS = 32
# The sums of pieces take at most this share of the entries (csrc/core/split_product.cpp), for each column.
PIECE_SHARE = 1 / 2048
# What adding them up costs each call, besides.
COMBINE_SECONDS = 1e-6


class SplitRows(Kernel):
    """Rows longer than 4,096 entries become several chains, whose sums are added in ascending order.

    One row with most of the entries then keeps all threads and lanes busy. Rounding differs from the
    stated order by one addition for each piece, so it is admitted by `reproducible=False` only; it depends
    on the lengths of rows alone, never on threads or ISA.
    """

    name = "csr_split"
    summary = "compressed rows × few columns, long rows cut into pieces; only if not reproducible"

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        if problem.reproducible:
            return ORDER
        if problem.normal.n > MOST_COLUMNS:
            return f"wants up to {MOST_COLUMNS} columns, this operand has {problem.normal.n}"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def exact(self, problem: Problem) -> bool:
        return False

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form = problem.normal
        index_bytes = operand.spec(problem).index_bytes
        structure = operand.spec(problem).structure
        streamed = form.nnz * (problem.itemsize + index_bytes)
        complex_ = problem.accumulator.startswith("complex")
        busy = form.nnz * csr.VECTOR_ENTRY_SECONDS * (csr.COMPLEX_VECTOR if complex_ else 1.0)
        busy += form.m * csr.VECTOR_ROW_SECONDS

        def seconds(threads: int) -> float:
            if form.n == 1:
                return model.spmv_seconds(
                    problem, machine, isa, busy, streamed, structure.near, threads, cut=True
                )
            return csr.spmm_seconds(
                problem, machine, isa, form.nnz, index_bytes, csr.ROWWISE_EFFICIENCY, threads
            )

        once, threads = model.best_threads(problem, machine, form.nnz, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row")
        workspace = int(form.nnz * PIECE_SHARE) * form.n * problem.itemsize
        once += COMBINE_SECONDS + model.call_seconds(problem, machine)
        return Cost(once, conversion, workspace, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        form = problem.normal
        on_left = form.side == "left"
        rows = operand.compressed(problem, left if on_left else right, "row")
        product = _core.split_product(isa, rows.indptr, rows.indices, rows.data, form.k, on_left)
        return Executable(product, transposed=not on_left)
