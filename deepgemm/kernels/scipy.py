"""Products by SciPy and NumPy: exact for integers and bool, in an order of their own for floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..rounding import rounded
from ..sparse.base import SparseArray
from ..sparse.interop import from_scipy, widened
from .registry import ORDER, Cost, Executable, Kernel

if TYPE_CHECKING:
    from ..planner.machine import Machine
    from ..planner.problem import Problem

__all__ = ["NumPy", "SciPy"]

FLOATS = ("float32", "float64", "complex64", "complex128")
# Seconds per entry of S and column of X of SciPy's loops (one thread), and of one call.
SCIPY_SECONDS = 0.8e-9
SCIPY_CALL = 5e-6
# The same for sparse × sparse, per multiply-add.
SPGEMM_SECONDS = 4e-9
# NumPy's integer products are plain loops; its floating ones are a BLAS.
NUMPY_INTEGER_SECONDS = 1e-9
BLAS_EFFICIENCY = 0.9
# A BLAS shares rows and columns among threads, never the inner index: fewer results than this have one.
BLAS_SHARED_RESULTS = 512
# With fewer results operands are packed for little work, and tiles are not full: so many rows or columns, of
# whichever there are fewer, reach half of the rate (float32, 16 x 65536 x 16 and 8 x 200000 x 8: 104 and 51
# GFLOP/s of 247).
BLAS_HALF_RATE_LINES = 16
NUMPY_CALL = 1e-6
# To widen or round one element, which NumPy does on one thread: for weights of bfloat16 four times as long as
# a product of 16 rows by the narrow kernel.
CAST_SECONDS = 1e-9


def exact(problem: Problem) -> bool:
    """Whether no order of summation can change the result: integers and bool."""
    return problem.accumulator not in FLOATS


class _Library(Kernel):
    """A product of another library, with arithmetic and order of its own: exact for integers and bool."""

    native = False

    def refuse(self, problem: Problem) -> str | None:
        if problem.choice.arithmetic is not None:
            return f"has no {problem.choice.arithmetic} arithmetic"
        return ORDER if problem.reproducible and not exact(problem) else None

    def exact(self, problem: Problem) -> bool:
        return exact(problem)


class SciPy(_Library):
    """SciPy's sparse products, single-threaded; the only ones for integers."""

    name = "scipy"
    provider = "scipy"
    summary = "scipy.sparse, one thread: exact for integers and bool; for floats only if not reproducible"

    def refuse(self, problem: Problem) -> str | None:
        if not problem.sparse_sides:
            return "wants a sparse operand"
        return super().refuse(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        if len(problem.sparse_sides) == 2:
            _, k, _ = problem.extents
            multiplies = problem.left.structure.nnz * problem.right.structure.nnz / max(k, 1)
            return Cost(SCIPY_CALL + multiplies * SPGEMM_SECONDS)
        form = problem.normal
        dense = form.k * form.n * problem.itemsize
        seconds = form.nnz * max(form.n, 1) * SCIPY_SECONDS + machine.read(2 * dense, 2 * dense)
        return Cost(SCIPY_CALL + machine.call + seconds)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        dtype = np.dtype(problem.accumulator)
        output = np.dtype(problem.output)
        if len(problem.sparse_sides) == 2:
            return Executable(callback=_SparseProduct(left, right, problem.fixed, dtype, output))
        side = problem.normal.side
        array: SparseArray = left if side == "left" else right
        # Shares memory unless the values are widened.
        matrix = widened(array).astype(dtype, copy=False)
        return Executable(callback=_MixedProduct(matrix, side == "left", dtype, output))


class NumPy(_Library):
    """`numpy.matmul`, for two dense operands."""

    name = "numpy_blas"
    stacks = True
    provider = "numpy"
    summary = "numpy.matmul: exact for integers and bool; for floats a BLAS, only if not reproducible"

    def refuse(self, problem: Problem) -> str | None:
        if problem.sparse_sides:
            return "wants two dense operands"
        return super().refuse(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        m, k, n = problem.extents
        if exact(problem):
            return Cost(NUMPY_CALL + machine.call + m * k * n * NUMPY_INTEGER_SECONDS)
        flops = m * k * n * (8 if problem.accumulator.startswith("complex") else 2)
        shared = m * n >= BLAS_SHARED_RESULTS
        threads = machine.cores if shared else 1
        rate = machine.flop_rate(isa, problem.accumulator) * BLAS_EFFICIENCY * threads
        if not shared:
            lines = max(1, min(m, n))
            rate *= lines / (lines + BLAS_HALF_RATE_LINES)
        moved = (m * k + k * n + m * n) * problem.itemsize
        seconds = max(flops / rate, machine.read(moved, moved, threads))
        # A plan casts the operand that it keeps once.
        fixed, other = (m * k, k * n) if problem.fixed == "left" else (k * n, m * k)
        if problem.fixed_spec.dtype != problem.accumulator and problem.reuse is None:
            seconds += fixed * CAST_SECONDS
        seconds += CAST_SECONDS * sum({"other": other, "output": m * n}[cast] for cast in problem.casts)
        return Cost(NUMPY_CALL + machine.call + seconds, threads=threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        dtype = np.dtype(problem.accumulator)
        fixed = left if problem.fixed == "left" else right
        # A plan keeps its operand as it is now, so a later change of the caller's array must not show.
        fixed = fixed.astype(dtype, copy=problem.reuse is not None)
        return Executable(
            callback=_DenseProduct(fixed, problem.fixed == "left", dtype, np.dtype(problem.output))
        )


class _MixedProduct:
    """S @ X or X @ S by SciPy, widened before and rounded once after."""

    def __init__(self, matrix: Any, left: bool, dtype: np.dtype[Any], output: np.dtype[Any]) -> None:
        self._matrix, self._left, self._dtype, self._output = matrix, left, dtype, output

    def __call__(self, other: Any, out: Any) -> Any:
        other = other.astype(self._dtype, copy=False)
        result = self._matrix @ other if self._left else other @ self._matrix
        return deliver(np.asarray(result), self._output, out)


class _DenseProduct:
    """The same for two dense operands by NumPy."""

    def __init__(self, fixed: Any, left: bool, dtype: np.dtype[Any], output: np.dtype[Any]) -> None:
        self._fixed, self._left, self._dtype, self._output = fixed, left, dtype, output

    def __call__(self, other: Any, out: Any) -> Any:
        other = other.astype(self._dtype, copy=False)
        result = np.matmul(self._fixed, other) if self._left else np.matmul(other, self._fixed)
        return deliver(result, self._output, out)


class _SparseProduct:
    """Two sparse operands by SciPy; the result is sparse, with sorted indices."""

    def __init__(
        self, left: Any, right: Any, fixed: str, dtype: np.dtype[Any], output: np.dtype[Any]
    ) -> None:
        self._fixed_left = fixed == "left"
        self._fixed = self._ready(left if self._fixed_left else right, dtype)
        self._dtype, self._output = dtype, output

    @staticmethod
    def _ready(array: SparseArray, dtype: np.dtype[Any]) -> Any:
        return widened(array.tocsr()).astype(dtype, copy=False)

    def __call__(self, other: Any, out: Any = None) -> Any:
        other = self._ready(other, self._dtype)
        result = self._fixed @ other if self._fixed_left else other @ self._fixed
        result.sort_indices()  # SciPy's order is that of its hash of columns; the result is ours alone
        result.data = rounded(result.data, self._output)
        return from_scipy("matmul", result)


def deliver(result: Any, dtype: np.dtype[Any], out: Any) -> Any:
    """Round a result once to the output dtype, into `out` if there is one."""
    if out is None:
        return rounded(result, dtype)
    np.copyto(out, rounded(result, dtype))
    return out
