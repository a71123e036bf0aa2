"""Ways to lay dense operands out in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def _strided(values: Array, axis: int, step: int) -> Array:
    """Return a view equal to `values` that takes every `step`-th element of a larger array along `axis`."""
    shape = list(values.shape)
    shape[axis] = max(1, shape[axis] * abs(step))
    index: list[slice] = [slice(None)] * values.ndim
    index[axis] = slice(None, None, step)
    view = np.zeros(shape, dtype=values.dtype)[tuple(index)]
    index[axis] = slice(0, values.shape[axis])
    view = view[tuple(index)]
    view[...] = values
    return view


def _shifted(values: Array, offset: int) -> Array:
    """Return a C-ordered copy that begins `offset` bytes after a boundary of 64 bytes."""
    memory = np.zeros(values.nbytes + 128, dtype=np.uint8)
    begin = -memory.ctypes.data % 64 + offset
    view = memory[begin : begin + values.nbytes].view(values.dtype).reshape(values.shape)
    view[...] = values
    return view


def _frozen(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": lambda values: np.array(values, order="C"),
    "F": lambda values: np.array(values, order="F"),
    "row-stride": lambda values: _strided(values, 0, 2),
    "column-stride": lambda values: _strided(values, values.ndim - 1, 3),
    "negative-rows": lambda values: _strided(values, 0, -1),
    "negative-columns": lambda values: _strided(values, values.ndim - 1, -1),
    "unaligned-vectors": lambda values: _shifted(values, values.dtype.itemsize),
    "misaligned": lambda values: _shifted(values, 1),
    "read-only": _frozen,
}
"""Ways to lay an array out in memory: each returns an equal array and leaves its argument alone."""
