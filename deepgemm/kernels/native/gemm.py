"""Native dense product, and the two crossings: a sparse operand made dense, a dense one made sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ...dtypes import canonical
from ...rounding import rounded
from ..registry import Cost, Executable, Kernel
from . import csr, model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Share of the FMA peak on large operands: panels are packed, the tile of C stays in registers.
EFFICIENCY = 0.85
# Rows of a full register tile. A vector of the other operand is loaded once for all rows of a tile, so
# that few rows wait for loads: r of them reach r / (r + 1) of the rest.
TILE_ROWS = 14
# Seconds to turn 64 bytes of a left operand whose rows go into lanes, and for each step over K of the rows
# that do not fill a vector, which are picked one by one (a vector of x: 0.045 ns an element on two threads).
TURN_SECONDS = 1e-9
PICK_SECONDS = 8e-9
# With so few results and so long an inner index threads follow a part of each row and read at half of the
# rate (float32, 1 x 65536 x 300, 4 x 100000 x 64, 3 x 100000 x 100: 35, 29, 11 GB/s; gemm_split 62, 180, 67).
FEW_RESULTS = 511
LONG_INNER = 16_385
FEW_READ = 2.0
# Seconds of set-up for each tile of results.
TILE_SECONDS = 15e-9
# Bytes of panels kept during a call, at most: for each thread, and for all (csrc/core/gemm_blocked.cpp).
OWN_BYTES = 9 << 18
STAGE_BYTES = 8 << 20
# Up to this many rows or columns the larger operand is read where it stands, not packed.
LEAST_PACKED = 4
# The same for an operand that is stored narrower than the chain (csrc/core/gemm_thin_args.h).
THIN_ROWS = 16
# Bytes of a row, and of all rows, of a right operand that is small (csrc/core/gemm_small.cpp): in a plan
# 2000 x 64 x 64 reached 199 GFLOP/s a thread by panels of it, and 240 without.
MOST_SMALL_ROW = 256
MOST_SMALL = 32 << 10
# Seconds of one thread per element to look for zeros (twice: they are counted first), and for each entry
# found, when a dense operand is made sparse: 2048 x 2048 with 50, 70, 90 % zeros took 6.7, 3.5, 3.3 ms.
SCAN_SECONDS = 0.7e-9
KEEP_SECONDS = 1.5e-9
# What packing widens to float32, and to what a result is rounded behind the product.
STORED = ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8")
ROUNDED = ("float32", "float16", "bfloat16")
# Shares of zeros below this are not worth looking at: dense wins on every machine measured.
LEAST_ZERO_SHARE = 0.5


def gemm_seconds(
    problem: Problem, machine: Machine, isa: str, threads: int, sizes: tuple[int, int] | None = None
) -> float:
    """Return the seconds of a dense product whose operands are packed already, or stand with such elements.

    Lanes run along the columns of the result, or along its rows if the columns do not fill a vector.
    """
    m, k, n = problem.extents
    size = problem.itemsize
    lanes = max(1, machine.vector_bytes(isa) // size)
    along, across = (n, m) if n >= lanes or n >= m else (m, n)
    vectors = -(-along // lanes)
    rows = min(max(across, 1), TILE_ROWS)
    rate = machine.flop_rate(isa, problem.accumulator) * EFFICIENCY * rows / (rows + 1)
    arithmetic = vectors * lanes * across * k * model.flops(problem) / rate
    if along == m and n <= LEAST_PACKED:
        arithmetic += m * k * size / 64 * TURN_SECONDS + (m % lanes > 0) * k * PICK_SECONDS
    tiles = vectors / 2 * -(-across // TILE_ROWS)
    left, right = sizes or (size, size)
    moved = m * k * left + k * n * right + 2 * m * n * size
    reading = machine.read(moved, moved, threads)
    if m * n <= FEW_RESULTS and k >= LONG_INNER:
        reading *= FEW_READ
    return max((arithmetic + tiles * TILE_SECONDS) / threads, reading)


def packing_seconds(problem: Problem, machine: Machine, nbytes: float, threads: int) -> float:
    """Return the seconds to pack an operand of so many bytes: it is read and written once."""
    m, _, n = problem.extents
    return (
        0.0
        if min(m, n) <= LEAST_PACKED or is_thin(problem)
        else machine.read(2 * nbytes, 2 * nbytes, threads)
    )


def packed_cost(
    problem: Problem,
    machine: Machine,
    once: float,
    threads: int,
    sizes: tuple[int, int],
    kept: bool,
) -> Cost:
    """Return the cost of a product that packs both operands: in each call, or the fixed one once if `kept`.

    Parameters
    ----------
    problem : Problem
    machine : Machine
    once : float
        Seconds of a call without the packing.
    threads : int
    sizes : tuple of int
        Bytes of the left and of the right operand when packed.
    kept : bool
        Whether the packed fixed operand is a layout.
    """
    fixed, other = sizes if problem.fixed == "left" else sizes[::-1]
    once += packing_seconds(problem, machine, other, threads)
    packing = packing_seconds(problem, machine, fixed, threads)
    if kept:
        return Cost(once, packing, workspace(sizes, threads), fixed, threads, "packed")
    return Cost(once + packing, 0.0, workspace(sizes, threads), 0, threads)


def workspace(sizes: tuple[int, int], threads: int) -> int:
    """Return the bytes of panels of operands that take so many when packed."""
    return min(OWN_BYTES, sum(sizes)) * threads + min(STAGE_BYTES, max(sizes))


class Gemm(Kernel):
    """Register-tiled product that starts each block of K from C, so every chain stays whole.

    Blocking follows K. Goto and R. van de Geijn, "Anatomy of high-performance matrix multiplication",
    ACM Trans. Math. Softw. 34, 2008. A sparse operand is filled with zeros once; while the other
    operand is finite these change nothing, and otherwise a sparse kernel runs.
    """

    name = "gemm_packed"
    epilogues = True
    stacks = True
    summary = "dense × dense in register tiles; also for a sparse operand filled with zeros (a bought layout)"

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) == 2:
            return "wants a dense operand"
        reason = model.refuse_dtype(problem) or model.refuse_arithmetic(problem)
        if reason is None and problem.sparse_sides:
            spec = operand.spec(problem)
            nbytes = spec.shape[0] * spec.shape[1] * problem.itemsize
            if not problem.normal.stored:
                return f"a {spec.format} operand has no kernel to fall back on if the other holds inf or nan"
            if nbytes > problem.layout_limit:
                return f"a dense copy takes {nbytes / 2**30:.3g} GiB, more than layouts may"
        return reason

    def crosses(self, problem: Problem) -> bool:
        return bool(problem.sparse_sides)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        m, k, n = problem.extents
        size = problem.itemsize
        kept = problem.reuse is not None and not _stands(problem) and not problem.sparse_sides
        read = None if kept else stored_sizes(problem)
        once, threads = model.best_threads(
            problem, machine, m * n, lambda count: gemm_seconds(problem, machine, isa, count, read)
        )
        once += model.call_seconds(problem, machine, () if reads_storage(problem) else problem.casts)
        sizes = (m * k * size, k * n * size)
        if problem.sparse_sides:
            # The dense copy is packed in every call; the other operand is looked through for inf and nan.
            name, conversion, nbytes = operand.conversion(problem, machine, "row", "dense")
            other = sizes[problem.fixed == "left"]
            once += machine.read(other, other, threads)
            each = packed_cost(problem, machine, once, threads, sizes, kept=False)
            return each._replace(conversion=conversion, layout_bytes=nbytes, layout=name)
        return packed_cost(problem, machine, once, threads, sizes, kept)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        if problem.sparse_sides:
            array = left if problem.fixed == "left" else right
            filled = operand.dense(problem, array)
            fallback = csr.fallback_of(problem, array, isa)
            if problem.fixed == "left":
                return Executable(_multiply(isa, filled, "left"), fallback)
            # The fallback is Yᵀ = Bᵀ Xᵀ, and one plan hands both the same views.
            product = _multiply(isa, filled.T, "left", True)
            return Executable(product, fallback, transposed=True)
        narrow = reads_storage(problem)
        if problem.kept_stack:
            return stacked(problem, left if problem.fixed == "left" else right, isa)
        fixed = as_matrix(problem, left if problem.fixed == "left" else right, widen=not narrow)
        chain = np.dtype(problem.accumulator)
        other, out = (
            (np.dtype(problem.other_spec.dtype), np.dtype(problem.output)) if narrow else (chain, chain)
        )
        if problem.reuse is None or _stands(problem):
            # A plan that is kept guards its operand where that is contiguous (planner/plan.py).
            guarded = problem.reuse is None or fixed.flags.c_contiguous or fixed.flags.f_contiguous
            kept = fixed if guarded else fixed.copy()
            return Executable(_core.gemm_product(isa, kept, problem.fixed, False, other, out))
        # Only right operands are packed; a left one is the right one of the transposed product.
        on_left = problem.fixed == "left"
        packed = _core.pack_right(isa, fixed.T if on_left else fixed, chain)
        return Executable(_core.packed_product(packed, on_left, other, out), transposed=on_left)


def _stands(problem: Problem) -> bool:
    """Whether panels of the fixed operand would gain nothing.

    So thin a one in panels would make the other one be packed instead; one of few columns that stays in L1 is
    read where it stands, without packing the other one (`csrc/core/gemm_small.cpp`), and so is a narrow one
    beside few rows, in fewer bytes than its panels have (`csrc/core/gemm_thin.cpp`).
    """
    m, k, n = problem.extents
    across, other = (m, n) if problem.fixed == "left" else (n, m)
    row = across * problem.itemsize
    plain = problem.fixed == "right" and problem.other_spec.dtype == problem.accumulator == problem.output
    small = plain and row <= MOST_SMALL_ROW and k * row <= MOST_SMALL
    return across <= LEAST_PACKED or small or (is_thin(problem) and other <= across)


class DenseAsCsr(Kernel):
    """A fixed dense operand that is mostly zero is compressed, and skipping its zeros changes nothing.

    Skipping is exact while the other operand is finite; otherwise the dense kernel runs.
    """

    name = "dense_as_csr"
    summary = "dense × dense where the fixed operand is mostly zero: compressed first"

    def refuse(self, problem: Problem) -> str | None:
        if problem.sparse_sides:
            return "wants two dense operands"
        share = problem.fixed_spec.structure.zero_share
        if share is None:
            if problem.fixed_spec.dtype not in model.DTYPES:
                return f"zeros are looked for in {', '.join(model.DTYPES)}"
            return "looking for zeros would cost more than a hundredth of the product"
        if share < LEAST_ZERO_SHARE:
            return f"{share:.0%} of the sampled elements of the {problem.fixed} operand are zero"
        if len(problem.fixed_spec.shape) != 2:
            return "wants a matrix"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def crosses(self, problem: Problem) -> bool:
        return True

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        m, k, n = problem.extents
        fixed = problem.fixed_spec
        nnz = fixed.structure.nnz
        elements = fixed.shape[0] * fixed.shape[1]
        nbytes = nnz * (problem.itemsize + 4)
        on_right = problem.fixed == "right"
        efficiency = csr.SCATTER_EFFICIENCY if on_right else csr.ROWWISE_EFFICIENCY

        def seconds(threads: int) -> float:
            return csr.spmm_seconds(problem, machine, isa, nnz, 4, efficiency, threads)

        once, threads = model.best_threads(problem, machine, m, seconds)
        other = (k * n if problem.fixed == "left" else m * k) * problem.itemsize
        once += model.call_seconds(problem, machine) + machine.read(other, other, threads)
        conversion = (elements * SCAN_SECONDS + nnz * KEEP_SECONDS) / problem.threads
        conversion += machine.read(nbytes, nbytes)
        if problem.reuse is None:
            return Cost(once + conversion, 0.0, nbytes, 0, threads)
        return Cost(once, conversion, 0, nbytes, threads, "compressed")

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = as_matrix(problem, left if problem.fixed == "left" else right)
        data, indices, indptr = _core.dense_to_csr(fixed)
        stands_left = problem.fixed == "left"
        # On the right the rows of the operand are the columns of S: scattering needs no sorting.
        algorithm = "csr_rowwise" if stands_left else "csr_scatter"
        product = _core.csr_product(algorithm, isa, indptr, indices, data, fixed.shape[1], stands_left)
        dense = _multiply(isa, fixed if stands_left else fixed.T, "left", not stands_left)
        return Executable(product, dense, transposed=not stands_left)


def reads_storage(problem: Problem) -> bool:
    """Whether operands and result may stay in dtypes narrower than the chain: packing widens them."""
    return (
        problem.accumulator == "float32"
        and not problem.sparse_sides
        and problem.left.dtype in STORED
        and problem.right.dtype in STORED
        and problem.output in ROUNDED
        and len(problem.fixed_spec.shape) == 2
    )


def is_thin(problem: Problem) -> bool:
    """Whether a few rows or columns meet an operand of narrow storage, which is read where it stands."""
    m, _, n = problem.extents
    longer = problem.right if m <= n else problem.left
    narrow = longer.dtype != problem.accumulator and longer.scaling is None
    return min(m, n) <= THIN_ROWS and narrow and reads_storage(problem)


def stored_sizes(problem: Problem) -> tuple[int, int] | None:
    """Return the bytes of an element of either operand where these are read as they are stored."""
    if not is_thin(problem):
        return None
    return canonical(problem.left.dtype).itemsize, canonical(problem.right.dtype).itemsize


def stacked(problem: Problem, fixed: Any, isa: str | None) -> Executable:
    """Return the product with a stack of matrices that is kept: one call of the core for all members."""
    chain = np.dtype(problem.accumulator)
    kept = np.array(fixed) if problem.reuse is not None else fixed
    output = np.dtype(problem.output)
    direct = _core.serves_dense(kept.dtype, np.dtype(problem.other_spec.dtype), output)

    def multiply(other: Any, out: Any) -> Any:
        left, right = (kept, other) if problem.fixed == "left" else (other, kept)
        if not direct:  # what packing does not widen
            left, right = left.astype(chain, copy=False), right.astype(chain, copy=False)
        result = np.empty(problem.output_shape, output if direct else chain)
        _core.multiply_dense(isa, addressable(left), addressable(right), result, problem.threads)
        result = rounded(result, output)
        if out is None:
            return result
        np.copyto(out, result)
        return out

    return Executable(callback=multiply)


def _multiply(isa: str | None, fixed: Any, side: str, swap_roles: bool = False) -> _core.Product:
    """Return the product with `fixed` on that side, all of one dtype."""
    return _core.gemm_product(isa, fixed, side, swap_roles, fixed.dtype, fixed.dtype)


def as_matrix(problem: Problem, array: Any, widen: bool = True) -> Any:
    """Return a fixed dense operand as a matrix of the chain's dtype, without a copy where it is one."""
    if array.ndim == 1:
        array = array[None, :] if problem.fixed == "left" else array[:, None]
    return addressable(np.asarray(array, dtype=problem.accumulator) if widen else array)


def addressable(array: Any) -> Any:
    """Return an array as it is, or a copy where its memory is not aligned or not stepped in whole elements.

    Kernels need both; fields of records may have neither.
    """
    stepped = not any(stride % array.itemsize for stride in array.strides)
    return array if stepped and array.flags.aligned else array.copy()
