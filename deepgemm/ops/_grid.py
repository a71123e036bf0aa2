"""The grid of numbers that elements are rounded to: scales and zero points from the range of each block."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import canonical, code_limits, is_float, quantized
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..rounding import rounded
from ..sparse.quantized_blocks import Block, block_of, grid, panels, reduced, spread
from ..sparse.quantized_parts import SCALE_DTYPES

Array = npt.NDArray[Any]
Limits = tuple[npt.ArrayLike, npt.ArrayLike]

# The operations that take `nonfinite="saturate"`.
SATURATING = ("quantize", "fake_quantize")


class Grid(NamedTuple):
    """The numbers that the elements of a matrix are rounded to.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the values.
    block : tuple of int
        Rows and columns that share a scale.
    scales : numpy.ndarray
        One for each block, in their storage dtype.
    zero_points : numpy.ndarray or None
        Values that stand for zero, as int16.
    least, greatest : numpy.ndarray or float
        Ends of the values less their zero points.
    """

    dtype: np.dtype[Any]
    block: Block
    scales: Array
    zero_points: Array | None
    least: Any
    greatest: Any


def grid_of(
    op: str,
    x: Array,
    dtype: npt.DTypeLike,
    axis: int | None,
    group_size: int | None,
    symmetric: bool,
    scale_dtype: npt.DTypeLike,
    limits: Limits | None,
    nonfinite: str,
) -> Grid:
    """Return the scales and zero points for a matrix."""
    target = quantized(dtype, f"{op}: dtype")
    storage = scale_storage(op, scale_dtype)
    check_nonfinite(op, nonfinite)
    if is_float(target) and not symmetric:
        raise UnsupportedError(
            f"{op}: {target} has no zero points, so symmetric must be True; those of "
            "int8, uint8, int4, uint4, int2, uint2 may be False"
        )
    block = block_of(op, (x.shape[0], x.shape[1]), axis, group_size)
    low, high = ends(op, x, block, nonfinite)
    if limits is not None:
        low, high = given(op, limits, grid((x.shape[0], x.shape[1]), block))
    return scaled(op, target, storage, block, low, high, symmetric)


def scale_storage(op: str, scale_dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return the dtype that scales are to be stored in."""
    storage = canonical(scale_dtype, f"{op}: scale_dtype")
    if storage not in SCALE_DTYPES:
        names = ", ".join(map(str, SCALE_DTYPES))
        raise DTypeError(f"{op}: scale_dtype is {storage}, expected one of: {names}")
    return storage


def check_nonfinite(op: str, nonfinite: str) -> None:
    """Raise unless `nonfinite` is one of its choices."""
    if nonfinite not in ("raise", "saturate"):
        raise ValueError(f"{op}: nonfinite is {nonfinite!r}, expected 'raise' or 'saturate'")


def ends(op: str, x: Array, block: Block, nonfinite: str) -> tuple[Array, Array]:
    """Return the least and greatest element of each block in float64, refusing infinities and nan."""
    parts: list[tuple[Array, Array]] = []
    for rows in panels((x.shape[0], x.shape[1]), block[0]):
        panel = wide(x[rows])
        if nonfinite == "saturate":
            panel = np.where(np.isfinite(panel), panel, 0)
        parts.append((reduced(np.minimum, panel, block), reduced(np.maximum, panel, block)))
    if not parts:
        empty = np.zeros(grid((x.shape[0], x.shape[1]), block))
        return empty, empty
    lows, highs = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    if block[0] >= x.shape[0]:  # panels are pieces of one row of blocks
        lows, highs = lows.min(axis=0, keepdims=True), highs.max(axis=0, keepdims=True)
    finite = np.isfinite(lows) & np.isfinite(highs)
    if not finite.all():
        row, column = (int(i) * extent for i, extent in zip(np.argwhere(~finite)[0], block, strict=True))
        raise ValueError(
            f"{op}: x has an infinity or nan in the block at row {row}, column {column}{remedy(op)}"
        )
    return lows, highs


def remedy(op: str) -> str:
    """Return what helps against infinities, as the end of a message."""
    return "; nonfinite='saturate' clips infinities and makes nan zero" if op in SATURATING else ""


def given(op: str, limits: Limits, counts: tuple[int, int]) -> tuple[Array, Array]:
    """Return the limits of the caller, for each block."""
    try:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), counts) for end in limits)
    except (TypeError, ValueError):
        said = f"are {limits!r}"
        if isinstance(limits, tuple | list) and all(isinstance(end, np.ndarray) for end in limits):
            said = "have shapes " + " and ".join(str(np.shape(end)) for end in limits)
        raise ShapeError(
            f"{op}: limits {said}, expected two that broadcast to the shape {counts} of the scales"
        ) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise ValueError(f"{op}: limits are {limits!r}, expected finite numbers, the lower ones first")
    return low, high


def scaled(
    op: str,
    dtype: np.dtype[Any],
    storage: np.dtype[Any],
    block: Block,
    low: Array,
    high: Array,
    symmetric: bool,
) -> Grid:
    """Return the grid that spans a range in each block."""
    least, greatest = code_limits(dtype)
    middle = 0 if least < 0 else (greatest + 1) // 2
    if symmetric:
        steps = greatest - middle
        scales = _least_scales(op, np.maximum(-low, high), steps, storage)
        zeros = np.full(scales.shape, middle, np.int16) if middle else None
        return Grid(dtype, block, scales, zeros, -steps, steps)
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    scales = _least_scales(op, high - low, greatest - least, storage)
    zeros = (least + np.rint(-low / scales.astype(np.float64))).astype(np.int16)
    return Grid(dtype, block, scales, zeros, least - zeros, greatest - zeros)


def _least_scales(op: str, extents: Array, steps: float, dtype: np.dtype[Any]) -> Array:
    """Return the smallest numbers of a dtype that reach the extents in so many steps; 1 for nothing."""
    scales = rounded(np.where(extents > 0, extents / steps, 1.0), dtype)
    short = scales.astype(np.float64) * steps < extents
    scales[short] = np.nextafter(scales[short], np.asarray(np.inf, dtype))
    if not np.isfinite(scales).all():
        raise OverflowError(f"{op}: x reaches {extents.max():.3g}, whose scale {dtype} cannot hold")
    return scales


def codes_of(x: Array, rows: slice, target: Grid) -> tuple[Array, Array]:
    """Return the values of a panel less their zero points, as floats, and where nothing saturated."""
    panel, columns = wide(x[rows]), slice(0, x.shape[1])
    scale = spread(target.scales, target.block, rows, columns)
    least, greatest = (
        spread(end, target.block, rows, columns) if isinstance(end, np.ndarray) else end
        for end in (target.least, target.greatest)
    )
    return codes(panel, scale, least, greatest, target.dtype)


def codes(panel: Array, scale: Array, least: Any, greatest: Any, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return the values of elements less their zero points, as floats, and where nothing saturated."""
    with np.errstate(all="ignore"):
        quotients = panel / scale.astype(panel.dtype)
        if not is_float(dtype):
            np.rint(quotients, out=quotients)
        inside = (quotients >= least) & (quotients <= greatest)
        np.clip(quotients, least, greatest, out=quotients)
    quotients[np.isnan(quotients)] = 0
    return (rounded(quotients, dtype) if is_float(dtype) else quotients), inside


def wide(panel: Array) -> Array:
    """Return elements in the dtype that they are divided in: float32, or float64 for what it cannot hold."""
    wide = panel.dtype == np.float64 or panel.dtype.kind in "iu"
    return panel.astype(np.float64 if wide else np.float32, copy=False)
