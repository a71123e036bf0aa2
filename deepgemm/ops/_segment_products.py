"""Products of one matrix for each segment in one call of the core, with dtypes brought to what it reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import is_float
from ..rounding import rounded
from ..sparse.ragged import Ragged, RaggedMatrix
from . import _request as request

Array = npt.NDArray[Any]
# The matrix of each segment, as the core takes it: what it is ("rows", "stack", ...), then its arrays.
Matrices = tuple[Any, ...]

_FLOAT32 = np.dtype(np.float32)
_SMALL = (np.dtype(np.int8), np.dtype(np.uint8))
_HALVES = 2  # bytes of the narrower floats that kernels round to


def is_native(chain: np.dtype[Any], *stored: np.dtype[Any]) -> bool:
    """Whether the core has this product; it has not for integers of more than 8 bits and truth values."""
    return chain.char in "fdFD" or all(dtype in _SMALL for dtype in stored)


def readable(values: Array, chain: np.dtype[Any]) -> Array:
    """Return an operand as the core reads it: itself where it can be widened on the way."""
    if values.dtype != chain:
        narrow = values.dtype in _SMALL or (is_float(values.dtype) and values.itemsize <= chain.itemsize)
        if not (narrow and (chain == _FLOAT32 or chain.kind == "i")):
            values = values.astype(chain)
    flags = values.flags
    if flags.aligned and (
        flags.c_contiguous or all(stride % values.itemsize == 0 for stride in values.strides)
    ):
        return values
    return values.copy()


def rows_of(ragged: Ragged, values: Array, turned: bool = False) -> Matrices:
    """Return segments of rows of single numbers as matrices, or their transposes."""
    lengths = ragged.lengths if ragged.has_gaps else None
    return ("columns" if turned else "rows", values, ragged.offsets, lengths)


def blocks_of(matrix: RaggedMatrix, values: Array, turned: bool = False) -> Matrices:
    """Return ragged matrices, or their transposes."""
    return ("turned" if turned else "blocks", values, matrix.offsets, matrix.rows, matrix.cols)


def written(shape: Any, chain: np.dtype[Any], output: np.dtype[Any]) -> Array:
    """Return an array for results, of the output dtype if the core rounds to it, else one that holds them."""
    if chain.kind == "i":
        native = output.kind == "i" and output.itemsize >= 4
        return np.empty(shape, output if native else np.int64)
    half = chain == _FLOAT32 and is_float(output) and output.itemsize == _HALVES
    return np.empty(shape, output if half else chain)


def multiply(
    left: Matrices, right: Matrices, out: Matrices, chain: np.dtype[Any], wanted: request.Options
) -> None:
    """Compute ``out[i] = left[i] @ right[i]`` for each segment."""
    _core.ragged_product(wanted.choice.isa, left, right, out, chain, request.thread_count(wanted))


def finished(values: Array, output: np.dtype[Any]) -> Array:
    """Return results in the output dtype."""
    return values if values.dtype == output else rounded(values, output)
