"""Which elements of a quantised matrix share a scale: blocks, cut off at the lower and right edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ShapeError

Array = npt.NDArray[Any]
Block = tuple[int, int]

# Elements converted at a time, so that temporaries stay in the cache.
PANEL = 1 << 18


def block_of(owner: str, shape: tuple[int, int], axis: int | None, group_size: int | None) -> Block:
    """Return rows and columns of the blocks that `axis` and `group_size` of `quantize` ask for.

    Raises
    ------
    ValueError
        If `axis` is no axis, or `group_size` is not positive or comes without an axis.

    Examples
    --------
    >>> block_of("quantize", (64, 96), 0, None), block_of("quantize", (64, 96), 0, 32)
    ((1, 96), (1, 32))
    """
    _check_group_size(owner, group_size)
    rows, columns = (max(extent, 1) for extent in shape)
    if axis is None:
        if group_size is not None:
            raise ValueError(
                f"{owner}: group_size needs axis=0 (groups of columns in each row) "
                "or axis=1 (groups of rows in each column)"
            )
        return rows, columns
    if axis not in (0, 1, -1, -2) or isinstance(axis, bool):
        raise ValueError(f"{owner}: axis is {axis!r}, expected 0, 1 or None")
    if axis % 2 == 0:
        return 1, columns if group_size is None else min(int(group_size), columns)
    return rows if group_size is None else min(int(group_size), rows), 1


def _check_group_size(owner: str, group_size: int | None) -> None:
    if group_size is not None and not (isinstance(group_size, int | np.integer) and group_size >= 1):
        raise ValueError(f"{owner}: group_size is {group_size!r}, expected a whole number of at least 1")


def grid(shape: tuple[int, int], block: Block) -> tuple[int, int]:
    """Return how many blocks there are along each axis: the shape of the scales.

    Examples
    --------
    >>> grid((3, 70), (1, 32))
    (3, 3)
    """
    return -(-shape[0] // block[0]), -(-shape[1] // block[1])


def infer_block(owner: str, shape: tuple[int, int], scales: tuple[int, int], group_size: int | None) -> Block:
    """Return the blocks that scales of a shape belong to.

    Raises
    ------
    ShapeError
        If an extent of the scales is neither 1 nor that of the matrix nor its number of groups, or none is
        the number of the groups that were asked for.
    ValueError
        If `group_size` is not positive.

    Examples
    --------
    >>> infer_block("Quantized", (64, 96), (64, 3), 32)
    (1, 32)
    """
    _check_group_size(owner, group_size)
    block = []
    for name, extent, count in zip(("row", "column"), shape, scales, strict=True):
        if count == extent:
            block.append(1)
        elif count == 1:
            block.append(max(extent, 1))
        elif group_size is not None and count == -(-extent // group_size):
            block.append(int(group_size))
        else:
            groups = "" if group_size is None else f", or {-(-extent // group_size)} groups of {group_size}"
            given = " (group_size is not given)" if group_size is None and 1 < count < extent else ""
            raise ShapeError(
                f"{owner}: scales have {count} {name}s, expected 1 or {extent} as the values{groups}{given}"
            )
    if group_size is not None and not any(
        count == -(-extent // group_size) for extent, count in zip(shape, scales, strict=True)
    ):
        raise ShapeError(
            f"{owner}: scales have shape {scales}, in which no axis of {shape} has groups of {group_size}"
        )
    return block[0], block[1]


def described(shape: tuple[int, int], block: Block, dtype: str, extra: str = "") -> str:
    """Return in words which elements share a scale.

    Examples
    --------
    >>> described((64, 96), (1, 32), "float32", " and zero point")
    'a float32 scale and zero point for each 32 columns of each row'
    """
    of_all, of_row = block[0] >= shape[0], block[1] >= shape[1]
    if of_all and of_row:
        place = "for all"
    elif block[0] == 1:
        place = "for each row" if of_row else f"for each {block[1]} columns of each row"
    elif block[1] == 1:
        place = "for each column" if of_all else f"for each {block[0]} rows of each column"
    else:
        place = f"for each block of {block[0]} × {block[1]}"
    return f"a {dtype} scale{extra} {place}"


def reduced(ufunc: np.ufunc, values: Array, block: Block) -> Array:
    """Return the minimum or maximum of each block; the shape is that of the scales.

    Examples
    --------
    >>> reduced(np.maximum, np.arange(8).reshape(2, 4), (1, 3)).tolist()
    [[2, 3], [6, 7]]
    """
    for axis in (1, 0):
        extent = values.shape[axis]
        if block[axis] >= extent > 0:
            values = ufunc.reduce(values, axis=axis, keepdims=True)
        elif block[axis] > 1:
            values = ufunc.reduceat(values, np.arange(0, extent, block[axis]), axis=axis)
    return values


def spread(values: Array, block: Block, rows: slice, columns: slice) -> Array:
    """Return the scales of a range of elements, broadcastable against it.

    Examples
    --------
    >>> spread(np.array([[1.0, 2.0]]), (5, 3), slice(0, 5), slice(2, 5)).tolist()
    [[1.0, 2.0, 2.0]]
    """
    for axis, wanted in ((0, rows), (1, columns)):
        if values.shape[axis] == 1:
            continue
        if block[axis] == 1:
            values = values[wanted] if axis == 0 else values[:, wanted]
        else:
            values = values.take(np.arange(wanted.start, wanted.stop) // block[axis], axis=axis)
    return values


def panels(shape: tuple[int, int], height: int = 1) -> Iterator[slice]:
    """Yield ranges of rows of about `PANEL` elements each, in multiples of `height` where that is less.

    Examples
    --------
    >>> [(rows.start, rows.stop) for rows in panels((5, PANEL // 2), 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    if height >= shape[0]:
        height = 1
    step = max(1, PANEL // max(shape[1], 1) // height) * height
    for begin in range(0, shape[0], step):
        yield slice(begin, min(begin + step, shape[0]))
