"""Sparse operands as kernels for narrow values read them: as they are stored, and what codes stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ...sparse.quantized_parts import stored_entries
from . import blocks, operand

if TYPE_CHECKING:
    from ...planner.problem import Problem


def stored_lines(problem: Problem, array: Any) -> tuple[operand.Compressed, _core.CodeScales | None]:
    """Return the rows of S with values as they are stored, and what codes stand for.

    From the operand itself, or from a layout that is built if missing.
    """
    if operand.spec(problem).scaling is None:
        return operand.compressed(problem, array, "row", narrow=True), None
    wanted = operand.storage(problem, "row")
    scales = array._code_scales(problem.normal.side == "right")
    if array.format == wanted:
        return operand.Compressed(array.indptr, array.indices, array.stored), scales
    lines: operand.Compressed = array._layouts.get_or_build(wanted, lambda: _turned(array, wanted))
    return lines, scales


def stored_blocks(
    problem: Problem, array: Any
) -> tuple[operand.Compressed | blocks.Transposed, tuple[int, int], _core.CodeScales | None]:
    """Return the rows of blocks of S in the same way, and the size of a block."""
    base, turn = array.canonical(), problem.normal.side == "right"
    quantised = operand.spec(problem).scaling is not None
    scales = array._code_scales(turn) if quantised else None
    if not turn:
        data = base.stored if quantised else base.data
        return operand.Compressed(base.indptr, base.indices, data), base.blocksize, scales
    layout: blocks.Transposed = array._layouts.get_or_build("bsr.T", lambda: _turned_blocks(base, quantised))
    return layout, base.blocksize[::-1], scales


def _turned_blocks(base: Any, quantised: bool) -> blocks.Transposed:
    """Transpose blocks of values as they are, or of codes."""
    plain = base._with_values(base.values) if quantised else base
    turned = blocks.transpose(plain, plain.data.dtype)
    if not quantised:
        return turned
    return turned._replace(data=stored_entries("matmul", turned.data, base.dtype, False))


def _turned(array: Any, wanted: str) -> operand.Compressed:
    """Compress the entries by the lines that are not stored, their values still codes."""
    lines = operand._compress(array._with_values(array.values), wanted, array.values.dtype)
    return lines._replace(data=stored_entries("matmul", lines.data, array.dtype, False))
