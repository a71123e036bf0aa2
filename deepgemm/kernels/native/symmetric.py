"""Symmetric products A.T @ A and A.T @ diag(w) @ A: which of their algorithms would be faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...sparse.layouts import COLUMNS
from ..registry import Cost, Kernel
from . import csr_csr, model

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

__all__ = ["KERNELS"]

# Seconds of one thread for each pair of entries of a row of A: 50 to 150 entries at random places of 500 to
# 1000 columns took 0.7 to 1.1 ns (float32), 0.7 to 1.2, 1.0 to 1.6 and 1.1 to 1.9 (complex128), the less the
# longer the rows were.
PAIR_SECONDS = {"float32": 0.85e-9, "float64": 0.9e-9, "complex64": 1.15e-9, "complex128": 1.35e-9}
# Seconds for each entry of A: its row is opened, and for each when the columns are found.
ENTRY_SECONDS = 2e-9
COLUMN_SECONDS = 6e-9
# Share of the FMA peak of a sparse A.T times a dense copy of A, real and complex, and bytes a second at which
# such a copy comes to be, page faults included.
EFFICIENCY = {2: 0.2, 8: 0.4}
FILL_RATE = 5.5e9
DENSE_EFFICIENCY = 0.75  # of two dense operands
INTEGER_SECONDS = 2e-9  # a multiply-add of SciPy or NumPy


def _pairs(problem: Problem) -> float:
    """Return how many pairs of entries i <= j stand in rows of A: half the sum of squared lengths."""
    spec = problem.right
    found, rows = spec.structure, max(spec.shape[0], 1)
    spread = found.skew if found.major == "row" else 0.0
    return (found.nnz * found.nnz / rows * (1.0 + spread * spread) + found.nnz) / 2


class _Symmetric(Kernel):
    def refuse(self, problem: Problem) -> str | None:
        return model.refuse_arithmetic(problem)

    def columns(self, problem: Problem) -> tuple[float, int]:
        """Return the seconds to find the columns of A, if they are not kept yet, and their bytes."""
        spec = problem.right
        nbytes = spec.structure.nnz * spec.index_bytes * (2 if spec.format == "csr" else 4)
        held = COLUMNS in spec.layouts or COLUMNS in spec.donors
        return 0.0 if held else spec.structure.nnz * COLUMN_SECONDS, nbytes


class _Pairs(_Symmetric):
    """Each pair of entries of a row of A is multiplied once, into the upper half of the result."""

    name = "gram_pairs"
    summary = "sparse A: pairs of entries of each row, into a dense result"

    def refuse(self, problem: Problem) -> str | None:
        if not problem.right.sparse:
            return "wants a sparse operand"
        return model.refuse_dtype(problem) or super().refuse(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        work = _pairs(problem) * PAIR_SECONDS[problem.accumulator]
        work += problem.right.structure.nnz * ENTRY_SECONDS
        written = problem.right.shape[1] ** 2 * problem.itemsize

        def seconds(threads: int) -> float:
            return work / threads + machine.read(2 * written, 2 * written, threads)

        once, threads = model.best_threads(problem, machine, problem.right.shape[1], seconds)
        conversion, nbytes = self.columns(problem)
        return Cost(once + machine.call, conversion, 0, nbytes, threads, COLUMNS)


class _Matmul(_Symmetric):
    """The product of the transpose with the matrix itself, made dense; of which one half may be mirrored."""

    name = "gram_matmul"
    summary = "matmul(A.T, A), with A made dense"

    def crosses(self, problem: Problem) -> bool:
        return problem.right.sparse and problem.accumulator in model.DTYPES

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        rows, columns = problem.right.shape
        work = float(problem.right.structure.nnz if problem.right.sparse else rows * columns) * columns
        copied = rows * columns * problem.itemsize if self.crosses(problem) else 0
        if problem.accumulator in model.DTYPES:
            each = model.flops(problem)
            share = EFFICIENCY[each] if problem.right.sparse else DENSE_EFFICIENCY
            work *= each / (machine.flop_rate(isa, problem.accumulator) * share)
        else:
            work *= INTEGER_SECONDS
        once, threads = model.best_threads(problem, machine, columns, lambda threads: work / threads)
        return Cost(once + copied / FILL_RATE + machine.call, 0.0, copied, 0, threads)


class _Rows(_Symmetric):
    """A product of two sparse operands, or of the halves on both sides of the diagonal."""

    name = "gram_rows"
    summary = "sparse A: rows of a sparse result, with accumulators or a hash table"

    def refuse(self, problem: Problem) -> str | None:
        return model.refuse_dtype(problem) or super().refuse(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        columns = problem.right.shape[1]
        work = 2 * _pairs(problem)
        entries = csr_csr.entries_between(work, columns, columns)
        once, threads = csr_csr.product_seconds(problem, machine, work, entries)
        conversion, nbytes = self.columns(problem)
        return Cost(once, conversion, 0, nbytes, threads, COLUMNS)


class _SparseMatmul(_Symmetric):
    """Whole numbers do not round, so any product of two sparse operands serves."""

    name = "gram_matmul"
    summary = "whole numbers: matmul(A.T, A) with a sparse result"

    def refuse(self, problem: Problem) -> str | None:
        if problem.accumulator in model.DTYPES:
            return "is for whole numbers: its halves round differently"
        return super().refuse(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        return Cost(2 * _pairs(problem) * INTEGER_SECONDS + machine.call)


def _of(op: str, kernel: type[Kernel]) -> Kernel:
    made: Kernel = type(kernel.__name__, (kernel,), {"op": op})()
    return made


KERNELS = tuple(
    _of(op + suffix, kernel)
    for op in ("gram", "sandwich")
    for suffix, kernel in (
        ("", _Pairs),
        ("", _Matmul),
        ("_sparse", _Rows),
        ("_sparse", _SparseMatmul),
    )
)
"""The kernels of `gram` and `sandwich`, with a dense and with a sparse result."""
