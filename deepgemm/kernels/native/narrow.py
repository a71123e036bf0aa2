"""Native products of few rows with weights that stay in their narrow storage: the shapes of decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ... import _core
from ...dtypes import code_bits, code_limits
from ...sparse.quantized import Quantized
from ...sparse.quantized_blocks import spread
from ..registry import Cost, Executable, Kernel
from . import gemm, model

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Stored dtypes of weights, and their bits.
HALVES = {"float16": 16, "bfloat16": 16}
INTEGERS = {"int8": 8, "uint8": 8, "int4": 4, "uint4": 4}
# Rows of a register tile of AVX-512, and the share of the FMA peak that tiles reach beside widening.
TILE_ROWS = 12
EFFICIENCY = 0.885
# What a vector costs besides its multiply-adds, in those: widened, and scaled as well.
WIDENING = 0.3
SCALING = 1.3
# Seconds to copy an element into a panel.
PACK_SECONDS = {16: 0.4e-9, 8: 0.2e-9, 4: 0.15e-9}
# Up to so many rows the weights are read where they stand (csrc/core/narrow.cpp).
IN_PLACE_ROWS = 4
# Share of the speed that is left where rows of a panel lie a row of the matrix apart: 13 GB/s of int8 instead
# of 40, 9 instead of 29 of int4, 21 instead of 48 of float16.
IN_PLACE_SHARE = 0.35
# Rows up to which dense weights stay narrow. Threads share columns only, and every tile of rows widens anew:
# packed once for all, 256 x 256 x 256 took 0.083 ms and not 0.12, 20,000 x 64 x 64 0.54 and not 2.6.
MOST_ROWS = 32
# Rows along K that share a scale, at least: scales are kept in float32 for each of them and each column.
LEAST_GROUP = 8


class Panels(NamedTuple):
    """Weights as one ISA reads them; a layout, since quantised matrices are multiplied again and again."""

    core: _core.Narrow

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        return self.core.nbytes

    def refill(self, values: Any) -> Panels:
        """Refuse: no quantised matrix is made with the structure of another."""
        raise NotImplementedError


class _Narrow(Kernel):
    """What products with weights in either kind of storage have in common."""

    stored: ClassVar[dict[str, int]]
    widening: ClassVar[float]

    def refuse(self, problem: Problem) -> str | None:
        if problem.sparse_sides:
            return "wants two dense operands"
        if len(problem.quantized_sides) == 2:
            return "wants a dense operand beside the quantised one"
        if problem.fixed_spec.dtype not in self.stored:
            return f"wants {', '.join(self.stored)} on the side that is kept"
        if problem.accumulator != "float32":
            return f"widens to float32; this product accumulates in {problem.accumulator}"
        if problem.other_spec.dtype not in gemm.STORED or problem.output not in gemm.ROUNDED:
            return f"gives {', '.join(gemm.ROUNDED)} from {', '.join(gemm.STORED)}"
        if len(problem.fixed_spec.shape) != 2:
            return "wants a matrix that is kept"
        return model.refuse_arithmetic(problem)

    def seconds(self, problem: Problem, machine: Machine, isa: str, share: float = 1.0) -> tuple[float, int]:
        """Return the time of a call, weights being in panels, and its number of threads."""
        m, k, n = problem.extents
        rows, columns = (m, n) if problem.fixed == "right" else (n, m)
        lanes = max(1, machine.vector_bytes(isa) // 4)
        vectors = k * -(-columns // lanes)
        widened = self.widening * -(-rows // TILE_ROWS)
        nbytes = self.nbytes(problem)

        def seconds(threads: int) -> float:
            rate = machine.flop_rate(isa, "float32") * EFFICIENCY / (2.0 * lanes)
            busy = vectors * (rows + widened) / rate
            return max(busy / threads, machine.read(nbytes, nbytes, threads)) / share

        once, threads = model.best_threads(problem, machine, -(-columns // lanes), seconds)
        return once + model.call_seconds(problem, machine, ()), threads

    def nbytes(self, problem: Problem) -> int:
        """Return the bytes of the weights in panels."""
        _, k, n = problem.extents if problem.fixed == "right" else problem.extents[::-1]
        return k * n * self.stored[problem.fixed_spec.dtype] // 8

    def packing(self, problem: Problem) -> float:
        """Return the seconds of one thread to copy the weights into panels."""
        m, k, n = problem.extents
        elements = k * (n if problem.fixed == "right" else m)
        return elements * PACK_SECONDS[self.stored[problem.fixed_spec.dtype]]


class NarrowHalves(_Narrow):
    """Dense weights in float16 or bfloat16, read where they stand if their columns lie side by side."""

    name = "gemm_narrow"
    summary = "few rows × dense float16 or bfloat16 that is widened in registers, not copied to float32"
    stored = HALVES
    widening = WIDENING

    def refuse(self, problem: Problem) -> str | None:
        m, _, n = problem.extents
        rows = m if problem.fixed == "right" else n
        reason = super().refuse(problem)
        if reason is None and rows > MOST_ROWS:
            return f"is for up to {MOST_ROWS} rows, this operand has {rows}"
        return reason

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        if problem.reuse is not None:
            once, threads = self.seconds(problem, machine, isa)
            packing = self.packing(problem) / threads
            return Cost(once, packing, 0, self.nbytes(problem), threads, "packed")
        stands = _stands(problem)
        once, threads = self.seconds(problem, machine, isa, IN_PLACE_SHARE)
        return Cost(once + (0.0 if stands else self.packing(problem) / threads), 0.0, 0, 0, threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        weights = gemm.addressable(right if problem.fixed == "right" else left.T)
        pack = problem.reuse is not None
        matrix = _core.narrow_matrix(isa, weights, False, True, weights.shape[1], None, None, 1, pack)
        return _executable(problem, matrix)


class QuantizedPanels(_Narrow):
    """Quantised weights of 8 or 4 bits with scales for columns or for groups along the inner index.

    Each is widened, shifted and scaled in registers exactly as `dequantize` does it, so that the chain meets
    the same float32 numbers; memory is read once, in the width of the storage.
    """

    name = "quantized_panels"
    summary = "few rows × quantised weights in panels (a bought layout), dequantised in registers"
    quantized = True
    stored = INTEGERS
    widening = SCALING

    def refuse(self, problem: Problem) -> str | None:
        reason = super().refuse(problem)
        scaling = problem.fixed_spec.scaling
        if reason is not None or scaling is None:
            return reason
        if scaling.offsets:
            return "scales with zero points, not with offsets"
        along = scaling.block[0 if problem.fixed == "right" else 1]
        if along < min(LEAST_GROUP, problem.extents[1]):
            return f"wants scales that {LEAST_GROUP} elements along the inner index share"
        return None

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        once, threads = self.seconds(problem, machine, isa)
        name = f"panels:{problem.fixed}:{isa}"
        held = name in problem.fixed_spec.layouts
        conversion = 0.0 if held else self.packing(problem) / threads
        return Cost(once, conversion, 0, self.nbytes(problem), threads, name)

    def nbytes(self, problem: Problem) -> int:
        scaling = problem.fixed_spec.scaling
        assert scaling is not None
        along = scaling.block[0 if problem.fixed == "right" else 1]
        _, k, n = problem.extents if problem.fixed == "right" else problem.extents[::-1]
        scales = -(-k // along) * n * (8 if scaling.zero_points else 4)
        return super().nbytes(problem) + scales

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed: Quantized = left if problem.fixed == "left" else right
        return _executable(problem, panels(fixed, problem.fixed, isa).core)


class QuantizedInPlace(QuantizedPanels):
    """The same without a layout: panels that do not stand side by side are copied in each call."""

    name = "quantized_in_place"
    summary = "few rows × quantised weights where they stand, dequantised in registers"

    def refuse(self, problem: Problem) -> str | None:
        if problem.fixed == "left" and self.stored.get(problem.fixed_spec.dtype) == 4:
            return "wants elements of 4 bits on the right: they are packed along the columns"
        return super().refuse(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        stands = problem.fixed_spec.dtype in ("int8", "int4") and _stands(problem)
        once, threads = self.seconds(problem, machine, isa, IN_PLACE_SHARE if stands else 1.0)
        return Cost(once + (0.0 if stands else self.packing(problem) / threads), 0.0, 0, 0, threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        weights: Quantized = right if problem.fixed == "right" else left.T
        return _executable(problem, _integers(weights, isa, False))


def _stands(problem: Problem) -> bool:
    """Whether weights are read where they stand, their columns being adjacent."""
    m, _, n = problem.extents
    on_right = problem.fixed == "right"
    rows, order = (m, "C") if on_right else (n, "F")
    return rows <= IN_PLACE_ROWS and problem.fixed_spec.order == order


def _executable(problem: Problem, matrix: _core.Narrow) -> Executable:
    other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
    return Executable(_core.narrow_product(matrix, other, out), transposed=problem.fixed == "left")


def panels(fixed: Quantized, side: str, isa: str | None) -> Panels:
    """Return the layout of weights that stand on one side of a product, built if missing."""
    weights = fixed if side == "right" else fixed.T
    name = f"panels:{side}:{isa or _core.best_isa()}"
    return fixed._layouts.get_or_build(name, lambda: Panels(_integers(weights, isa, True)))


def _integers(weights: Quantized, isa: str | None, pack: bool) -> _core.Narrow:
    """Return quantised weights for the core, with a scale for each group of rows and each column."""
    rows, columns = weights.shape
    height, width = weights.block
    groups = -(-rows // height)

    def of_columns(values: Any) -> Any:
        found = spread(values[:groups], (1, width), slice(0, groups), slice(0, columns))
        return np.ascontiguousarray(np.broadcast_to(found, (groups, columns)), dtype=np.float32)

    zeros = None if weights.zero_points is None else of_columns(weights.zero_points)
    nibbles = code_bits(weights.dtype) == 4
    signed = code_limits(weights.dtype)[0] < 0
    scales = of_columns(weights.scales)
    return _core.narrow_matrix(isa, weights.stored, nibbles, signed, columns, scales, zeros, height, pack)
