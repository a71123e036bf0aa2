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
from ...sparse.quantized_blocks import spread
from ..registry import Cost, Executable, Kernel
from . import gemm_integer, model, operand, scaled
from .gemm import Gemm, addressable, gemm_seconds, workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...planner.machine import Machine
    from ...planner.problem import OperandSpec, Problem

    Array = npt.NDArray[Any]

# Seconds per element that NumPy takes to widen, shift and scale it, one thread, and more to unpack it:
# measured 0.4 to 0.6 for 8 bits and 1.1 to 1.4 ns for 4 on a 2048 × 2048 matrix.
DEQUANTIZE_SECONDS = 0.5e-9
# The same for the core, beside packing.
PACK_SECONDS = 0.1e-9
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
# So many products of differences of bytes fit 32 bits.
MOST_INT32 = (2**31 - 1) // 255**2


class DequantizedPanels(Kernel):
    """Dequantises a panel of outputs at a time, in each call; no copy of the operand is kept.

    The core does so while it packs numbers of 8 and 4 bits; NumPy for what else there is.
    """

    name = "dequantized_panels"
    summary = "dense × quantised: a panel at a time is dequantised and multiplied, in each call"
    quantized = True

    def refuse(self, problem: Problem) -> str | None:
        if problem.left.whole and problem.right.whole:
            return "both operands hold whole numbers, whose sums are exact"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        once, threads = _gemm_seconds(problem, machine, isa)
        if scaled.serves(problem):
            elements = problem.fixed_spec.structure.nnz
            m, k, n = problem.extents
            panels = workspace((m * k * problem.itemsize, k * n * problem.itemsize), threads)
            return Cost(once + elements * PACK_SECONDS / threads, 0.0, panels, 0, threads)
        return Cost(once + _dequantize_seconds(problem), 0.0, PANEL_BYTES, 0, threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = left if problem.fixed == "left" else right
        if scaled.serves(problem):
            return scaled.multiplied(problem, fixed, isa)
        return Executable(callback=_PanelProduct(problem, fixed, isa))


class Dequantized(Kernel):
    """Dequantises the whole operand once and keeps it, as a layout or packed in the plan."""

    name = "dequantized"
    epilogues = True
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
        if problem.reuse is not None and scaled.serves(problem):
            return scaled.packed(problem, fixed, isa)
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
    """Sums products of stored integers exactly within each group, then takes zero points out and scales.

    The sum of ``(a - za) (b - zb)`` is that of ``a b``, which the integer kernels give, less ``za`` times the
    sum of the column, less ``zb`` times that of the row, plus ``k za zb``: all of them exact.
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
        rate = gemm_integer.flop_rate(machine, isa)
        once, threads = model.best_threads(
            problem, machine, m * n, lambda count: 2.0 * m * k * n / (rate * count)
        )
        groups = max(1, -(-k // min(_inner_blocks(problem))))
        scaling = m * n * (groups * SCALE_SECONDS + (groups - 1) * FMA_SECONDS)
        unpacking = sum(spec.structure.nnz for spec in (problem.left, problem.right) if _packed(spec))
        seconds = once + model.call_seconds(problem, machine) + scaling + unpacking * UNPACK_SECONDS
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
        m, _, n = self._problem.extents
        result = np.empty((m, n), np.float32)
        for rows in _panels(m, 4 * TILE):
            for columns in _panels(n, 4 * TILE):
                result[rows, columns] = self._tile(left, right, rows, columns)
        return _deliver(result, self._problem, out)

    def _tile(self, left: Quantized, right: Quantized, rows: slice, columns: slice) -> Array:
        inner = left.shape[1]
        cuts = sorted({*range(0, inner, left.block[1]), *range(0, inner, right.block[0]), inner})
        total = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        with np.errstate(all="ignore"):
            for begin, end in pairwise(cuts):
                sums = self._sums(left, right, rows, slice(begin, end), columns).astype(np.float32)
                scale_left = left._of_tile(left.scales, rows, slice(begin, begin + 1))
                scale_right = right._of_tile(right.scales, slice(begin, begin + 1), columns)
                scale = scale_left * scale_right
                if begin == 0:  # fma(sum, scale, 0)
                    np.multiply(sums, scale, out=total)
                else:
                    total = fma_unchecked(sums, np.broadcast_to(scale, total.shape), total)
        return total

    def _sums(self, left: Quantized, right: Quantized, rows: slice, group: slice, columns: slice) -> Array:
        """Return the exact sums of products of a group, on which no zero point changes."""
        a, b = left._codes(rows, group), right._codes(group, columns)
        length = group.stop - group.start
        dtype = np.dtype(np.int32 if length <= MOST_INT32 else np.int64)
        sums = self._product(a, b, dtype)
        first = slice(group.start, group.start + 1)
        zero_left, zero_right = _zeros(left, rows, first, dtype), _zeros(right, first, columns, dtype)
        if zero_left is not None:
            sums -= zero_left * self._product(np.ones((1, length), np.int8), b, dtype)
        if zero_right is not None:
            sums -= self._product(a, np.ones((length, 1), np.int8), dtype) * zero_right
        if zero_left is not None and zero_right is not None:
            sums += length * zero_left * zero_right
        return sums

    def _product(self, a: Array, b: Array, dtype: np.dtype[Any]) -> Array:
        sums = np.empty((a.shape[0], b.shape[1]), dtype)
        _gemm(self._isa, a, b, sums, _threads(self._problem))
        return sums


def _zeros(x: Quantized, rows: slice, columns: slice, dtype: np.dtype[Any]) -> Array | None:
    """Return the zero points of a stretch of lines within one group, None where there are none."""
    if x.zero_points is None:
        return None
    return spread(x.zero_points, x.block, rows, columns).astype(dtype)


def _gemm(isa: str | None, left: Array, right: Array, out: Array, threads: int) -> None:
    """Write a dense product of one dtype by the native kernel."""
    runner = _core.Runner()
    runner._bind(
        product=_core.gemm_product(isa, addressable(right), "right", False, left.dtype, out.dtype),
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
            total += spec.structure.nnz * (DEQUANTIZE_SECONDS + (UNPACK_SECONDS if _packed(spec) else 0.0))
    return total


def _packed(spec: OperandSpec) -> bool:
    return spec.dtype.endswith(("int4", "int2"))
