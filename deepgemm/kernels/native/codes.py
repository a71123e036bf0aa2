"""Sparse operands as kernels for narrow values read them: as they are stored, and what codes stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ...sparse.quantized_parts import stored_entries
from . import operand

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


def _turned(array: Any, wanted: str) -> operand.Compressed:
    """Compress the entries by the lines that are not stored, their values still codes."""
    lines = operand._compress(array._with_values(array.values), wanted, array.values.dtype)
    return lines._replace(data=stored_entries("matmul", lines.data, array.dtype, False))
