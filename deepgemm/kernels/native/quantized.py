"""Products with quantised operands by the dense kernels: dequantised on the way, once, or summed exactly."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ...fma import fma_unchecked
from ...rounding import rounded
from ...sparse.quantized import Quantized
from ..registry import Cost, Executable, Kernel
from . import model, operand
from .gemm import Gemm, addressable, gemm_seconds

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...planner.machine import Machine
    from ...planner.problem import OperandSpec, Problem

    Array = npt.NDArray[Any]

# Seconds per element that NumPy takes to widen, shift and scale it, one thread, and more to unpack it:
# measured 0.4 to 0.6 for 8 bits and 1.1 to 1.4 ns for 4 on a 2048 × 2048 matrix.
DEQUANTIZE_SECONDS = 0.5e-9
UNPACK_SECONDS = 0.8e-9
# The same for one element of a result: its exact sum is rounded and scaled, and from the second group on
# added in an emulated FMA.
SCALE_SECONDS = 2e-9
FMA_SECONDS = 15e-9
# Bytes of the part of an operand that is dequantised at a time; about a second-level cache for each core.
PANEL_BYTES = 4 << 20
# Rows and columns of a tile of scaled sums at most, so that its temporaries stay small too.
TILE = 1024
# Products below this are done by one thread: 20 µs, and waking a team costs more than half of it saves.
LEAST_SHARED_FLOPS = 4e6
# Whole numbers up to this magnitude are summed exactly, in any order, by kernels for float32.
EXACT_FLOAT32 = 2**24


class DequantizedPanels(Kernel):
    """Dequantises a panel of outputs at a time, in each call; no copy of the operand is kept."""

    name = "dequantized_panels"
    summary = "dense × quantised: a panel at a time is dequantised and multiplied, in each call"
    quantized = True

    def refuse(self, problem: Problem) -> str | None:
        if problem.left.whole and problem.right.whole:
            return "both operands hold whole numbers, whose sums are exact"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        once, threads = _gemm_seconds(problem, machine, isa)
        return Cost(once + _dequantize_seconds(problem), 0.0, PANEL_BYTES, 0, threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = left if problem.fixed == "left" else right
        return Executable(callback=_PanelProduct(problem, fixed, isa))


class Dequantized(Kernel):
    """Dequantises the whole operand once and keeps it, as a layout or packed in the plan."""

    name = "dequantized"
    summary = "dense × quantised: dequantised once (a bought layout), then the dense kernel"
    quantized = True

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.quantized_sides) == 2:
            return "wants a dense operand beside the quantised one"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        name, spec = _layout(problem), problem.fixed_spec
        inner = _dense(problem)
        dense = Gemm().cost(inner, machine, isa)
        nbytes = spec.structure.nnz * problem.itemsize
        held = problem.reuse is None and name in spec.layouts
        conversion = dense.conversion + (0.0 if held else _dequantize_seconds(problem))
        return Cost(dense.seconds, conversion, dense.workspace, nbytes, dense.threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed: Quantized = left if problem.fixed == "left" else right
        dtype = np.dtype(problem.accumulator)
        if problem.reuse is None:
            layout = fixed._layouts.get_or_build(
                _layout(problem), lambda: operand.Values(_widened(fixed, dtype))
            )
            filled = layout.data
        else:  # the dense kernel keeps it packed
            filled = _widened(fixed, dtype)
        if problem.fixed == "left":
            return Gemm().prepare(_dense(problem), filled, right, isa)
        return Gemm().prepare(_dense(problem), left, filled, isa)


class WholeGroups(Kernel):
    """Sums whole numbers exactly within each group, by the dense kernels, and scales the sums in order.

    The dense kernels add in float32 where no partial sum of a group can exceed 2**24, else in float64: both
    are exact there, in any order.
    """

    name = "whole_groups"
    summary = "quantised × quantised: exact sums of whole numbers for each group, then scaled in order"
    quantized = True

    def refuse(self, problem: Problem) -> str | None:
        if not (problem.left.whole and problem.right.whole):
            return "wants two operands that are quantised to whole numbers"
        return model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        m, k, n = problem.extents
        once, threads = _gemm_seconds(problem, machine, isa)
        groups = max(1, -(-k // min(_inner_blocks(problem))))
        scaling = m * n * (groups * SCALE_SECONDS + (groups - 1) * FMA_SECONDS)
        seconds = once + _dequantize_seconds(problem) + scaling
        return Cost(seconds, 0.0, PANEL_BYTES, 0, threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = left if problem.fixed == "left" else right
        return Executable(callback=_WholeProduct(problem, fixed, isa))


def _threads(problem: Problem) -> int:
    m, k, n = problem.extents
    return problem.threads if m * k * n * model.flops(problem) >= LEAST_SHARED_FLOPS else 1


class _PanelProduct:
    """Multiplies by a panel of the quantised operand at a time; each holds whole chains of the result."""

    def __init__(self, problem: Problem, fixed: Any, isa: str | None) -> None:
        self._problem, self._fixed, self._isa = problem, fixed, isa
        self._dtype = np.dtype(problem.accumulator)

    def __call__(self, other: Any, out: Any) -> Any:
        problem, on_left = self._problem, self._problem.fixed == "left"
        threads = _threads(problem)
        other = _widened(other, self._dtype) if isinstance(other, Quantized) else other
        other = addressable(other.astype(self._dtype, copy=False))
        m, k, n = problem.extents
        other = other.reshape((k, n) if on_left else (m, k))
        result = np.empty((m, n), self._dtype)
        inner = slice(0, k)
        for piece in _panels(m if on_left else n, k * self._dtype.itemsize):
            if on_left:
                tile = _tile(self._fixed, piece, inner, self._dtype)
                _gemm(self._isa, tile, other, result[piece], threads)
            else:
                tile = _tile(self._fixed, inner, piece, self._dtype)
                _gemm(self._isa, other, tile, result[:, piece], threads)
        return _deliver(result, problem, out)


class _WholeProduct:
    """The product of two operands of whole numbers."""

    def __init__(self, problem: Problem, fixed: Any, isa: str | None) -> None:
        self._problem, self._fixed, self._isa = problem, fixed, isa

    def __call__(self, other: Any, out: Any) -> Any:
        on_left = self._problem.fixed == "left"
        left, right = (self._fixed, other) if on_left else (other, self._fixed)
        m, k, n = self._problem.extents
        result = np.empty((m, n), np.float32)
        line_bytes = 4 * max(k, TILE)
        for rows in _panels(m, line_bytes):
            for columns in _panels(n, line_bytes):
                result[rows, columns] = self._tile(left, right, rows, columns)
        return _deliver(result, self._problem, out)

    def _tile(self, left: Quantized, right: Quantized, rows: slice, columns: slice) -> Array:
        inner = left.shape[1]
        cuts = sorted({*range(0, inner, left.block[1]), *range(0, inner, right.block[0]), inner})
        largest = _magnitude(left) * _magnitude(right) * min(left.block[1], right.block[0])
        # float64 holds the sums of 2**37 such products, more than any memory has.
        dtype = np.dtype(np.float32 if largest <= EXACT_FLOAT32 else np.float64)
        total = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        sums = np.empty(total.shape, dtype)
        with np.errstate(all="ignore"):
            for begin, end in pairwise(cuts):
                group = slice(begin, end)
                parts = left._whole_tile(rows, group, dtype), right._whole_tile(group, columns, dtype)
                _gemm(self._isa, *parts, sums, _threads(self._problem))
                scale_left = left._of_tile(left.scales, rows, slice(begin, begin + 1))
                scale_right = right._of_tile(right.scales, slice(begin, begin + 1), columns)
                scale, rounded_sums = scale_left * scale_right, sums.astype(np.float32, copy=False)
                if begin == 0:  # fma(sum, scale, 0)
                    np.multiply(rounded_sums, scale, out=total)
                else:
                    scale = np.broadcast_to(scale, total.shape)
                    total = fma_unchecked(rounded_sums, scale, total)
        return total


def _gemm(isa: str | None, left: Array, right: Array, out: Array, threads: int) -> None:
    """Write a dense product of one dtype by the native kernel."""
    runner = _core.Runner()
    runner._bind(
        product=_core.gemm_product(isa, right, "right", False, right.dtype, right.dtype),
        other_side="left",
        other_shape=left.shape,
        other_dtype=left.dtype,
        out_shape=out.shape,
        out_dtype=out.dtype,
        threads=threads,
        names=("matmul", "A", "X"),
    )
    runner(left, out=out)


def _panels(extent: int, line_bytes: int) -> list[slice]:
    """Cut rows or columns into panels of about `PANEL_BYTES`, in multiples of a cache line."""
    step = max(64, PANEL_BYTES // max(line_bytes, 1) // 64 * 64)
    return [slice(begin, min(begin + step, extent)) for begin in range(0, extent, step)]


def _tile(x: Quantized, rows: slice, columns: slice, dtype: np.dtype[Any]) -> Array:
    return x._tile(rows, columns).astype(dtype, copy=False)


def _widened(x: Quantized, dtype: np.dtype[Any]) -> Array:
    """Return the float32 matrix that a quantised one stands for in a wider dtype, complex ones included."""
    return x.dequantize().astype(dtype, copy=False)


def _deliver(result: Array, problem: Problem, out: Any) -> Any:
    """Round a result once to the output dtype, into `out` if there is one."""
    result = rounded(result, problem.output).reshape(problem.output_shape)
    if out is None:
        return result
    np.copyto(out, result)
    return out


def _magnitude(x: Quantized) -> int:
    """Return the largest magnitude of a value less its zero point."""
    steps = 1 << {"int8": 8, "uint8": 8, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2}[str(x.dtype)]
    return steps // 2 if x.zero_points is None and str(x.dtype).startswith("int") else steps - 1


def _layout(problem: Problem) -> str:
    return f"dequantized:{problem.accumulator}"


def _dense(problem: Problem) -> Problem:
    """Return the same problem with what the quantised operand stands for in its place."""

    def dense(spec: OperandSpec) -> OperandSpec:
        if spec.scaling is None:
            return spec
        return replace(spec, format="dense", dtype=problem.accumulator, layouts=(), scaling=None)

    return replace(problem, left=dense(problem.left), right=dense(problem.right))


def _inner_blocks(problem: Problem) -> tuple[int, int]:
    assert problem.left.scaling is not None
    assert problem.right.scaling is not None
    return problem.left.scaling.block[1], problem.right.scaling.block[0]


def _gemm_seconds(problem: Problem, machine: Machine, isa: str) -> tuple[float, int]:
    m, _, n = problem.extents
    seconds, threads = model.best_threads(
        problem, machine, m * n, lambda count: gemm_seconds(problem, machine, isa, count)
    )
    return seconds + model.call_seconds(problem, machine), threads


def _dequantize_seconds(problem: Problem) -> float:
    total = 0.0
    for spec in (problem.left, problem.right):
        if spec.scaling is not None:
            packed = spec.dtype.endswith(("int4", "int2"))
            total += spec.structure.nnz * (DEQUANTIZE_SECONDS + (UNPACK_SECONDS if packed else 0.0))
    return total
