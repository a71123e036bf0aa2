"""Quantised operands as the core dequantises them while it packs: numbers, and scales for groups of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ...dtypes import code_bits, code_limits
from ...sparse.quantized import Quantized
from ...sparse.quantized_blocks import spread
from ..registry import Executable
from . import gemm
from .narrow import LEAST_GROUP

if TYPE_CHECKING:
    from ...planner.problem import Problem

BITS = (4, 8)


def serves(problem: Problem) -> bool:
    """Whether the core dequantises the operand that is kept, for this other operand and result."""
    scaling = problem.fixed_spec.scaling
    if scaling is None or scaling.offsets or len(problem.quantized_sides) == 2:
        return False
    on_right = problem.fixed == "right"
    bits = code_bits(np.dtype(problem.fixed_spec.dtype))
    # Columns of 4-bit numbers lie together; scales of columns are kept in float32 for each group of rows.
    height, width = scaling.block if on_right else scaling.block[::-1]
    columns = problem.extents[2 if on_right else 0]
    return (
        bits in BITS
        and (bits == 8 or on_right)
        and (width >= columns or height >= min(LEAST_GROUP, problem.extents[1]))
        and problem.accumulator == "float32"
        and problem.other_spec.dtype in gemm.STORED
        and problem.output in gemm.ROUNDED
    )


def multiplied(problem: Problem, fixed: Quantized, isa: str | None) -> Executable:
    """Return the product that dequantises in each call."""
    other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
    weights = fixed if problem.fixed == "right" else fixed.T
    product = _core.scaled_product(isa, *_parts(weights), other, out)
    return Executable(product, transposed=problem.fixed == "left")


def packed(problem: Problem, fixed: Quantized, isa: str | None) -> Executable:
    """Return the product with the operand dequantised once, into the panels that the kernel reads."""
    other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
    weights = fixed if problem.fixed == "right" else fixed.T
    panels = _core.pack_scaled(isa, *_parts(weights))
    return Executable(_core.packed_product(panels, False, other, out), transposed=problem.fixed == "left")


def _parts(weights: Quantized) -> tuple[Any, bool, bool, int, Any, Any, int]:
    rows, columns = weights.shape
    height, width = weights.block
    groups = -(-rows // height)

    def of_groups(values: Any) -> Any:
        found = values[:groups, :1]
        if width < columns:
            found = spread(values[:groups], (1, width), slice(0, groups), slice(0, columns))
        return np.ascontiguousarray(np.broadcast_to(found, (groups, found.shape[1])), dtype=np.float32)

    zeros = None if weights.zero_points is None else of_groups(weights.zero_points)
    nibbles = code_bits(weights.dtype) == 4
    signed = nibbles and code_limits(weights.dtype)[0] < 0
    return weights.stored, nibbles, signed, columns, of_groups(weights.scales), zeros, height
