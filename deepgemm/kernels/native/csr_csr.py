"""Native products of two sparse operands: Gustavson's rows, all entries or the largest of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ...rounding import rounded
from ...sparse.csr import CSR
from ..registry import Cost, Executable, Kernel
from . import model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import OperandSpec, Problem
    from ...sparse.base import SparseArray

__all__ = ["CsrCsr", "CsrCsrDense", "CsrCsrTop"]

# Seconds of one thread: per multiply-add (entry of B, accumulator and mark), per entry of the result
# (found, packed, copied to its place), per row of A and per entry of A (two offsets of B).
STEP_SECONDS = 0.9e-9
RESULT_SECONDS = 1.6e-9
ROW_SECONDS = 40e-9
ENTRY_SECONDS = 1.5e-9
# What the call costs beyond `Machine.call`: three arrays, a look at both operands, the memory of threads.
CALL_SECONDS = 6e-6
# Per multiply-add into a dense row: neither a mark nor a search for it.
DENSE_STEP_SECONDS = 0.6e-9
COMPLEX_STEPS = 2.5  # a complex multiply-add, in real ones

Rows = tuple[Any, Any, Any]
"""(indptr, indices, data) of canonical compressed rows."""


class CsrCsr(Kernel):
    """Each row of the result is summed over the rows of B that its row of A names."""

    name = "csr_csr"
    summary = "sparse × sparse, row by row with accumulators or a hash table; sorted result"

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 2:
            return "wants two sparse operands"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        once, threads = product_seconds(problem, machine, *_expected(problem))
        fixed, other = (
            (problem.left, problem.right) if problem.fixed == "left" else (problem.right, problem.left)
        )
        name, conversion, nbytes = _conversion(fixed, problem.accumulator, machine)
        # The other operand's copy is made in the first call as well, and kept with it.
        conversion += _conversion(other, problem.accumulator, machine)[1]
        return Cost(once, conversion, 0, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = left if problem.fixed == "left" else right
        rows_of(fixed, np.dtype(problem.accumulator))  # conversions happen here, not in the first call

        def product(other: SparseArray, out: Any = None) -> CSR | None:
            pair = (fixed, other) if problem.fixed == "left" else (other, fixed)
            return self.multiply(problem, pair[0], pair[1], isa)

        return Executable(callback=product)

    @staticmethod
    def multiply(
        problem: Problem, left: SparseArray, right: SparseArray, isa: str | None, most_bytes: int = 0
    ) -> CSR | None:
        """Return the product, or None as soon as its entries take more than `most_bytes` (0: no limit)."""
        rows = CsrCsr.rows(left, right, np.dtype(problem.accumulator))
        parts = _core.csr_csr(isa, *rows, right.shape[1], problem.threads, most_bytes=most_bytes)
        return result_of(parts, (left.shape[0], right.shape[1]), np.dtype(problem.output)) if parts else None

    @staticmethod
    def rows(left: SparseArray, right: SparseArray, chain: np.dtype[Any]) -> tuple[Rows, Rows]:
        """Return the canonical rows of both operands, of one dtype and one index dtype."""
        return paired(rows_of(left, chain), rows_of(right, chain))

    @staticmethod
    def result(parts: Rows, shape: tuple[int, int], output: np.dtype[Any]) -> CSR:
        """Return the array of rows that the core made, rounded once to the output dtype."""
        return result_of(parts, shape, output)

    @staticmethod
    def seconds(problem: Problem, machine: Machine, work: float, entries: float) -> float:
        """Return the time of a product that is known better than its problem tells."""
        return product_seconds(problem, machine, work, entries)[0]

    @staticmethod
    def structures(left: SparseArray, right: SparseArray) -> tuple[Rows, Rows]:
        """Return the rows of both operands, of one index dtype, with zeros in place of their values."""
        parts = []
        zeros = np.zeros(max(left.canonical().nnz, right.canonical().nnz), np.float32)
        for array in (left, right):
            base: Any = array.canonical()
            if base.format == "csr":
                indptr, indices = base.indptr, base.indices
            else:
                indptr, indices, _ = rows_of(array, array.dtype)
            parts.append((indptr, indices, zeros[: indices.size]))
        return paired(*parts)


class CsrCsrTop(CsrCsr):
    """The same rows, of which the largest entries are kept while they are read off."""

    name = "csr_csr_top"
    op = "matmul_topk"
    summary = "sparse × sparse, the largest entries of each row without the product"

    def refuse(self, problem: Problem) -> str | None:
        if problem.accumulator not in ("float32", "float64"):
            return f"selects among float32 and float64, this product accumulates in {problem.accumulator}"
        return super().refuse(problem)

    @staticmethod
    def largest(
        left: SparseArray,
        right: SparseArray,
        dtypes: tuple[np.dtype[Any], np.dtype[Any]],
        isa: str | None,
        threads: int,
        k: int,
        floor: float | None,
        most_bytes: int = 0,
    ) -> CSR | None:
        """Return the selection; `dtypes` are those of the chain and of the result."""
        rows = CsrCsr.rows(left, right, dtypes[0])
        parts = _core.csr_csr(isa, *rows, right.shape[1], threads, k, floor, most_bytes=most_bytes)
        return result_of(parts, (left.shape[0], right.shape[1]), dtypes[1]) if parts else None


class CsrCsrDense(CsrCsr):
    """Entries of B are added to dense rows of the result in place."""

    name = "csr_csr_dense"
    op = "matmul_dense"
    summary = "sparse × sparse into a dense result (out=, dense=True), row by row in place"

    @staticmethod
    def fill(
        left: SparseArray, right: SparseArray, chain: np.dtype[Any], isa: str | None, threads: int, out: Any
    ) -> None:
        """Write the product to an array of the chain's dtype with adjacent columns."""
        _core.csr_csr_dense(isa, *CsrCsr.rows(left, right, chain), out, threads)

    @staticmethod
    def seconds_of(
        left: SparseArray, right: SparseArray, chain: np.dtype[Any], machine: Machine, threads: int
    ) -> float:
        """Return the predicted time."""
        rows = CsrCsr.structures(left, right)
        work, _, _ = _core.csr_csr_bounds(*rows, right.shape[1])
        written = left.shape[0] * right.shape[1] * chain.itemsize
        per_step = DENSE_STEP_SECONDS * (COMPLEX_STEPS if chain.kind == "c" else 1.0)
        busy = work * per_step + left.nnz * ENTRY_SECONDS
        return max(busy / max(threads, 1), machine.read(2 * written, 2 * written, threads)) + machine.call


def rows_of(array: SparseArray, dtype: np.dtype[Any]) -> Rows:
    """Return the canonical rows of an operand in the chain's dtype, from a layout where that is a copy."""
    base: Any = array.canonical()
    if base.format == "csr" and base.dtype == dtype:
        return base.indptr, base.indices, base.data
    name = _layout_name(base.format, base.dtype.name, dtype.name)
    assert name is not None
    cache = array._layouts
    donor = cache.donor(name)
    if base.format == "csr":
        values: operand.Values = cache.get_or_build(name, lambda: operand.Values(base.data.astype(dtype)))
        return base.indptr, base.indices, values.data
    refill = donor.refill if isinstance(donor, operand.Compressed) else None
    part: operand.Compressed = cache.get_or_build(
        name, lambda: refill(base.data) if refill else operand._compress(base, "csr", dtype)
    )
    return part.indptr, part.indices, part.data


def _layout_name(format_: str, dtype: str, chain: str) -> str | None:
    """Return the layout that holds the rows; the names are those of `operand.layout_name`."""
    widened = "" if dtype == chain else f":{chain}"
    if format_ == "csr":
        return f"values{widened}" if widened else None
    return "csr" + widened


def paired(left: Rows, right: Rows) -> tuple[Rows, Rows]:
    """Return both with one index dtype, the wider of the two."""
    if left[1].dtype == right[1].dtype:
        return left, right
    return _widened(left), _widened(right)


def _widened(rows: Rows) -> Rows:
    indptr, indices, data = rows
    return indptr.astype(np.int64), indices.astype(np.int64), data


def result_of(parts: Rows, shape: tuple[int, int], output: np.dtype[Any]) -> CSR:
    """Return the array of the rows that the core made."""
    indptr, indices, data = parts
    data = rounded(data, output)
    for part in (data, indices, indptr):
        part.setflags(write=False)
    return CSR._made(shape, (data, indices, indptr))


def _expected(problem: Problem) -> tuple[float, float]:
    """Return multiply-adds and entries of the result, if entries were spread evenly."""
    m, k, n = problem.extents
    work = problem.left.structure.nnz * problem.right.structure.nnz / max(k, 1)
    return work, entries_between(work, m, n)


def entries_between(work: float, m: int, n: int) -> float:
    """Return how many of m × n places `work` random hits leave occupied."""
    places = float(m) * n
    return -places * np.expm1(-work / places) if places else 0.0


def product_seconds(problem: Problem, machine: Machine, work: float, entries: float) -> tuple[float, int]:
    """Return the time of a product of so many multiply-adds and entries, and its threads."""
    m, _, n = problem.extents
    per_step = STEP_SECONDS * (COMPLEX_STEPS if problem.accumulator.startswith("complex") else 1.0)
    index_bytes = max(problem.left.index_bytes, problem.right.index_bytes)
    streamed = work * (problem.itemsize + index_bytes)
    b_bytes = problem.right.structure.nnz * (problem.itemsize + index_bytes)
    sums = n * (problem.itemsize + 1)

    def seconds(threads: int) -> float:
        busy = work * per_step + entries * RESULT_SECONDS + m * ROW_SECONDS
        busy += problem.left.structure.nnz * ENTRY_SECONDS
        # Accumulators beyond the second cache are met at random, a line for each step.
        moved = machine.read(streamed, b_bytes, threads)
        if sums > machine.caches[1]:
            moved += machine.read(min(work, entries * 2) * model.LINE, sums, threads)
        return max(busy / threads, moved)

    once, threads = model.best_threads(problem, machine, m, seconds)
    return once + machine.call + CALL_SECONDS, threads


def _conversion(spec: OperandSpec, chain: str, machine: Machine) -> tuple[str | None, float, int]:
    name = _layout_name(spec.format, spec.dtype, chain)
    if name is None:
        return None, 0.0, 0
    nbytes = spec.structure.nnz * (np.dtype(chain).itemsize + max(spec.index_bytes, 4))
    if name in spec.layouts:
        return name, 0.0, nbytes
    lines = sum(spec.shape)
    copy = machine.read(2 * nbytes, 2 * nbytes)
    sort = 0.0 if name.startswith("values") else spec.structure.nnz * operand.SORT_SECONDS
    return name, copy + sort + lines * operand.LINE_SECONDS + operand.LEAST_SECONDS, nbytes
