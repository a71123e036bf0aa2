"""Native products of a compressed operand: row by row, scattered by columns, and with a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Registers of results that one pass over the entries of a row keeps (csrc/kernels/csr-inl.h).
PASS_VECTORS = 8
# Share of the FMA peak that passes reach on operands in L1: each FMA also loads a vector of X.
ROWWISE_EFFICIENCY = 0.6
# Seconds for each entry in each pass (index, value, address) and for each row (set-up, store).
ENTRY_SECONDS = 0.4e-9
ROW_SECONDS = 3e-9
# Seconds for the end of a row that is not as long as the one before it: two mispredicted loops. Eight
# columns straight from CSR lost 5 to 8 ns a row against rows in order of length. Up to a small skew they
# count as of one length.
ROW_END_SECONDS = 6e-9
EVEN_SKEW = 0.05
# Scattering loads and stores a vector of Y for each vector of X, so stores bound it.
SCATTER_EFFICIENCY = 0.25
# Seconds per entry whose store covers part of a register: the next load of it cannot be forwarded.
SCATTER_PARTIAL_SECONDS = 3.5e-9
# Four rows run side by side to the end of the longest, and steps in which some have ended cost nearly as
# much as full ones. How many those are shows in the fill of slices of unsorted rows.
VECTOR_ENTRY_SECONDS = 0.28e-9
VECTOR_RAGGED_SECONDS = 0.09e-9
VECTOR_ROW_SECONDS = 1.25e-9
# The fill taken for lines that are not stored, whose lengths nobody has counted.
UNKNOWN_FILL = 0.5
# Real and imaginary parts share registers: swapping them costs as much as the arithmetic.
COMPLEX_EFFICIENCY = 0.3
COMPLEX_VECTOR = 3.6  # entries of a complex vector product, in those of a real one


def spmm_seconds(
    problem: Problem,
    machine: Machine,
    isa: str,
    nnz: int,
    index_bytes: int,
    efficiency: float,
    threads: float,
) -> float:
    """Return the seconds of `nnz` entries meeting rows of X or Y, without calls and conversions.

    FMAs on whole registers against the rows of X fetched from where X lives; S is streamed once for
    each pass over its columns and Y written once.
    """
    form = problem.normal if problem.sparse_sides else None
    m, k, n = problem.extents if form is None else (form.m, form.k, form.n)
    vector_bytes = machine.vector_bytes(isa)
    wide = model.vectors(n, problem, vector_bytes)
    passes = max(-(-wide // PASS_VECTORS), 1 if form is None else model.panels(problem))
    if problem.accumulator.startswith("complex"):
        efficiency = min(efficiency, COMPLEX_EFFICIENCY)
    lanes = wide * vector_bytes // problem.itemsize
    arithmetic = (
        nnz * lanes * model.flops(problem) / (machine.flop_rate(isa, problem.accumulator) * efficiency)
    )
    ends = ROW_END_SECONDS if form is None or operand.spec(problem).structure.skew > EVEN_SKEW else 0.0
    arithmetic += passes * (nnz * ENTRY_SECONDS + m * (ROW_SECONDS + ends))
    whole = max(1, int(threads))
    x_bytes = k * n * problem.itemsize
    fetched = machine.read(nnz * n * problem.itemsize, x_bytes, whole)
    streamed = passes * nnz * (problem.itemsize + index_bytes)
    written = m * n * problem.itemsize
    footprint = streamed + x_bytes + written
    chain = 0.0 if form is None else passes * form.longest * model.CHAIN_SECONDS
    return max(arithmetic / threads, fetched, chain) + machine.read(streamed + 2 * written, footprint, whole)


class _CompressedKernel(Kernel):
    """What the kernels on compressed lines have in common."""

    lines: ClassVar[operand.Lines]

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        product = product_of(self.name, problem, left if stands_left else right, isa, self.lines)
        return Executable(product, transposed=not stands_left)


class RowWise(_CompressedKernel):
    """Each row of Y is accumulated in registers while the entries of its row of S are read."""

    name = "csr_rowwise"
    summary = "compressed rows × dense, one row of the result at a time in registers"
    codes = True
    lines = "row"

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form = problem.normal
        index_bytes = operand.spec(problem).index_bytes

        def seconds(threads: int) -> float:
            shared = model.balance(form, threads)
            return spmm_seconds(problem, machine, isa, form.nnz, index_bytes, ROWWISE_EFFICIENCY, shared)

        once, threads = model.best_threads(problem, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, self.lines)
        return Cost(once + model.call_seconds(problem, machine), conversion, 0, nbytes, threads, name)


class Scatter(_CompressedKernel):
    """Columns of S in ascending order add their multiples of rows of X to Y, so chains stay in order.

    Threads split the columns of X, because two threads must not add to one chain.
    """

    name = "csr_scatter"
    summary = "compressed columns × dense without converting; threads split the columns of the result"
    codes = True
    lines = "col"

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form = problem.normal
        index_bytes = operand.spec(problem).index_bytes
        y_bytes = form.m * form.n * problem.itemsize
        whole = form.n * problem.itemsize % machine.vector_bytes(isa) == 0
        # Every pass stores to all rows, but only the last one of each row is partial.
        partial = 0.0 if whole else form.nnz * SCATTER_PARTIAL_SECONDS

        def seconds(threads: int) -> float:
            # Every thread reads all of S; rows of Y are read and written where Y lives.
            busy = spmm_seconds(problem, machine, isa, form.nnz, index_bytes, SCATTER_EFFICIENCY, threads)
            stored = machine.read(2 * form.nnz * form.n * problem.itemsize, y_bytes, threads)
            return busy + max(stored, partial)

        wide = model.vectors(form.n, problem, machine.vector_bytes(isa))
        once, threads = model.best_threads(problem, machine, wide, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, self.lines)
        return Cost(once + model.call_seconds(problem, machine), conversion, 0, nbytes, threads, name)


class Vector(_CompressedKernel):
    """One chain for each row, several rows side by side."""

    name = "csr_vector"
    summary = "compressed rows × vector without converting"
    codes = True
    lines = "row"

    def refuse(self, problem: Problem) -> str | None:
        reason = super().refuse(problem)
        if reason is None and problem.normal.n != 1:
            return f"wants a vector, this operand has {problem.normal.n} columns"
        return reason

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form = problem.normal
        structure = operand.spec(problem).structure
        complex_ = problem.accumulator.startswith("complex")
        per_entry = VECTOR_ENTRY_SECONDS * (COMPLEX_VECTOR if complex_ else 1.0)
        fill = structure.window_fill if form.stored == "row" else UNKNOWN_FILL
        per_entry += VECTOR_RAGGED_SECONDS * (1.0 / fill - 1.0)
        chains = form.nnz * per_entry + form.m * VECTOR_ROW_SECONDS
        streamed = form.nnz * (problem.itemsize + operand.spec(problem).index_bytes)

        def seconds(threads: int) -> float:
            return model.spmv_seconds(problem, machine, isa, chains, streamed, structure.near, threads)

        once, threads = model.best_threads(problem, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, self.lines)
        return Cost(once + model.call_seconds(problem, machine), conversion, 0, nbytes, threads, name)


def product_of(
    algorithm: str, problem: Problem, array: Any, isa: str | None, lines: operand.Lines
) -> _core.Product:
    """Return the native product of `array` compressed by `lines`."""
    part, form = operand.compressed(problem, array, lines), problem.normal
    minor = form.k if lines == "row" else form.m
    return _core.csr_product(algorithm, isa, part.indptr, part.indices, part.data, minor, form.side == "left")


def fallback_of(problem: Problem, array: Any, isa: str | None) -> _core.Product:
    """Return a product that does not cross, needs no conversion, and serves any shape."""
    if problem.normal.stored == "col":
        return product_of("csr_scatter", problem, array, isa, "col")
    return product_of("csr_rowwise", problem, array, isa, "row")
