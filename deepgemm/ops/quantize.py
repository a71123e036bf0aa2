"""`quantize`, `dequantize` and `fake_quantize`: from floating-point matrices to low precision, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import canonical, code_bits, code_limits, is_float, quantized
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..rounding import rounded
from ..sparse.core import Factor
from ..sparse.packing import pack, packed_width
from ..sparse.quantized import Quantized
from ..sparse.quantized_blocks import Block, block_of, grid, panels, reduced, spread
from ..sparse.quantized_parts import SCALE_DTYPES
from . import _request as request

__all__ = ["dequantize", "fake_quantize", "quantize"]

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


def quantize(
    x: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    axis: int | None = None,
    group_size: int | None = None,
    symmetric: bool = True,
    scale_dtype: npt.DTypeLike = np.float32,
    limits: Limits | None = None,
    nonfinite: str = "raise",
) -> Quantized:
    """Quantise a matrix: low-precision values that stand for ``w = float32(q - zero_point) * scale``.

    Parameters
    ----------
    x : array_like, shape (m, n)
        Real numbers. It is not changed.
    dtype : dtype_like
        int8, uint8, int4, uint4, int2, uint2, float8_e4m3fn or float8_e5m2.
    axis : int, optional
        The axis along which scales differ, as in PyTorch and ONNX: 0 for a scale for each row, 1 for each
        column. By default one scale for all.
    group_size : int, optional
        Cut each row (axis=0) or column (axis=1) into groups of so many elements with a scale each. The last
        group may be shorter.
    symmetric : bool
        Values are symmetric around zero. False has zero points, so that the range of each block is used
        in full; not for float8.
    scale_dtype : dtype_like
        float32, float16 or bfloat16.
    limits : tuple of array_like, optional
        The least and the greatest number to represent, of shapes that broadcast to that of the scales, such
        as the `limits` of an observer. Numbers beyond saturate. By default those that occur in each block.
    nonfinite : str
        "raise", or "saturate": infinities become the ends of the range, nan becomes zero, and neither counts
        for the limits.

    Returns
    -------
    Quantized, shape (m, n)

    Raises
    ------
    ShapeError, DTypeError
        If `x` is no real matrix, or a dtype is not one of those above.
    ValueError
        If `x` has an infinity or nan, or an option is not one of its choices.
    OverflowError
        If a scale would be too large for `scale_dtype`.
    UnsupportedError
        If float8 is to have zero points.

    Notes
    -----
    O(m n), in NumPy, panel by panel; `deepgemm.reference.quantize` states each rounding. The scale is the
    smallest number of `scale_dtype` at which the range fits (1 for a block of zeros), values are
    ``rint(x / scale) + zero_point`` with ties to even. So each element is off by half a scale at most; with
    zero points, which are rounded themselves, by one scale at the ends. For the choice of schemes see [1]_.

    References
    ----------
    .. [1] R. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference: a whitepaper",
       arXiv:1806.08342 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> W = np.array([[1.0, -127.0], [0.0, 3.0]], np.float32)
    >>> Wq = dg.quantize(W, "int8", axis=0)
    >>> Wq
    Quantized(shape=(2, 2), dtype=int8, a float32 scale for each row, memory=12 B)
    >>> Wq.values
    array([[   1, -127],
           [   0,  127]], dtype=int8)
    >>> dg.quantize(W, "int4", axis=0, group_size=32, symmetric=False).zero_points
    array([[ 7],
           [-8]], dtype=int8)
    """
    array = matrix("quantize", x)
    target = _grid("quantize", array, dtype, axis, group_size, symmetric, scale_dtype, limits, nonfinite)
    bits = code_bits(target.dtype)
    byte = np.int8 if code_limits(target.dtype)[0] < 0 else np.uint8
    storage: Any = target.dtype if bits == 8 else np.uint8
    values = np.empty((array.shape[0], packed_width(array.shape[1], bits)), storage)
    for rows in panels(array.shape):
        codes = _codes(array, rows, target)[0]
        if is_float(target.dtype):
            values[rows] = codes
            continue
        if target.zero_points is not None:
            codes += spread(target.zero_points, target.block, rows, slice(0, array.shape[1]))
        whole = codes.astype(byte)
        values[rows] = whole if bits == 8 else pack(whole, bits)
    zeros = None if target.zero_points is None else target.zero_points.astype(byte)
    return Quantized._made(array.shape, target.dtype, target.block, values, target.scales, zeros)


def dequantize(x: Quantized, dtype: npt.DTypeLike = np.float32) -> Array:
    """Return the matrix that a quantised one stands for; the same as `x.dequantize(dtype)`.

    Parameters
    ----------
    x : Quantized
        As `quantize` makes it.
    dtype : dtype_like
        Dtype of the result, a floating one.

    Raises
    ------
    DTypeError
        If `x` is not quantised, or `dtype` is not floating.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.dequantize(dg.quantize([[1.0, 127.0]], "int8"))
    array([[  1., 127.]], dtype=float32)
    """
    if not isinstance(x, Quantized):
        raise DTypeError(f"dequantize: x is a {type(x).__name__}, expected a Quantized")
    return x.dequantize(dtype)


def fake_quantize(
    x: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    axis: int | None = None,
    group_size: int | None = None,
    symmetric: bool = True,
    scale_dtype: npt.DTypeLike = np.float32,
    limits: Limits | None = None,
    nonfinite: str = "raise",
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return what quantising and dequantising makes of a matrix, and where gradients pass straight through.

    Parameters
    ----------
    x : array_like, shape (m, n)
        Real numbers.
    dtype, axis, group_size, symmetric, scale_dtype, limits, nonfinite
        As for `quantize`.

    Returns
    -------
    values : numpy.ndarray
        ``quantize(x, ...).dequantize()`` in the dtype of `x` (float32 for whole numbers).
    mask : numpy.ndarray of bool
        False where an element saturated: there the gradient is zero, elsewhere one (the straight-through
        estimator [1]_).

    Raises
    ------
    ShapeError, DTypeError, ValueError, OverflowError, UnsupportedError
        As for `quantize`.

    References
    ----------
    .. [1] Y. Bengio, N. Léonard, A. Courville, "Estimating or propagating gradients through stochastic
       neurons for conditional computation", arXiv:1308.3432 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> x = np.array([[0.2, 1.4, 9.0]], np.float32)
    >>> dg.fake_quantize(x, "int8", limits=(-2.0, 2.0))[1]
    array([[ True,  True, False]])
    """
    array = matrix("fake_quantize", x)
    target = _grid("fake_quantize", array, dtype, axis, group_size, symmetric, scale_dtype, limits, nonfinite)
    output = array.dtype if is_float(array.dtype) else np.dtype(np.float32)
    values, mask = np.empty(array.shape, output), np.empty(array.shape, np.bool_)
    for rows in panels(array.shape):
        codes, mask[rows] = _codes(array, rows, target)
        scale = spread(target.scales, target.block, rows, slice(0, array.shape[1])).astype(np.float32)
        with np.errstate(over="ignore"):
            values[rows] = rounded(codes.astype(np.float32) * scale, output)
    return values, mask


def matrix(op: str, x: npt.ArrayLike) -> Array:
    """Return an argument as a dense matrix of real numbers."""
    if isinstance(x, Factor):
        raise UnsupportedError(f"{op}: x is a {type(x).__name__}, expected a dense matrix")
    array: Array = request.operand(op, "x", x)
    if array.ndim != 2:
        raise ShapeError(f"{op}: x has 1 dimension, expected 2; x[None, :] is a matrix of one row")
    if array.dtype.kind in "cb":
        raise DTypeError(f"{op}: x has dtype {array.dtype}, expected real numbers")
    return array


def _grid(
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
    storage = canonical(scale_dtype, f"{op}: scale_dtype")
    if storage not in SCALE_DTYPES:
        names = ", ".join(map(str, SCALE_DTYPES))
        raise DTypeError(f"{op}: scale_dtype is {storage}, expected one of: {names}")
    if nonfinite not in ("raise", "saturate"):
        raise ValueError(f"{op}: nonfinite is {nonfinite!r}, expected 'raise' or 'saturate'")
    if is_float(target) and not symmetric:
        raise UnsupportedError(
            f"{op}: {target} has no zero points, so symmetric must be True; those of "
            "int8, uint8, int4, uint4, int2, uint2 may be False"
        )
    block = block_of(op, (x.shape[0], x.shape[1]), axis, group_size)
    low, high = ends(op, x, block, nonfinite)
    if limits is not None:
        low, high = _given(op, limits, grid((x.shape[0], x.shape[1]), block))
    return _scaled(op, target, storage, block, low, high, symmetric)


def ends(op: str, x: Array, block: Block, nonfinite: str) -> tuple[Array, Array]:
    """Return the least and greatest element of each block in float64, refusing infinities and nan."""
    parts: list[tuple[Array, Array]] = []
    for rows in panels((x.shape[0], x.shape[1]), block[0]):
        panel = _wide(x[rows])
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
        remedy = "; nonfinite='saturate' clips infinities and makes nan zero" if op in SATURATING else ""
        raise ValueError(f"{op}: x has an infinity or nan in the block at row {row}, column {column}{remedy}")
    return lows, highs


def _given(op: str, limits: Limits, counts: tuple[int, int]) -> tuple[Array, Array]:
    try:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), counts) for end in limits)
    except (TypeError, ValueError):
        raise ShapeError(
            f"{op}: limits are {limits!r}, expected two that broadcast to the shape {counts} of the scales"
        ) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise ValueError(f"{op}: limits are {limits!r}, expected finite numbers, the lower ones first")
    return low, high


def _scaled(
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


def _codes(x: Array, rows: slice, target: Grid) -> tuple[Array, Array]:
    """Return the values of a panel less their zero points, as floats, and where nothing saturated."""
    panel, columns = _wide(x[rows]), slice(0, x.shape[1])
    scale = spread(target.scales, target.block, rows, columns).astype(panel.dtype)
    least, greatest = (
        spread(end, target.block, rows, columns) if isinstance(end, np.ndarray) else end
        for end in (target.least, target.greatest)
    )
    with np.errstate(all="ignore"):
        quotients = panel / scale
        if not is_float(target.dtype):
            np.rint(quotients, out=quotients)
        inside = (quotients >= least) & (quotients <= greatest)
        np.clip(quotients, least, greatest, out=quotients)
    quotients[np.isnan(quotients)] = 0
    return (rounded(quotients, target.dtype) if is_float(target.dtype) else quotients), inside


def _wide(panel: Array) -> Array:
    """Return elements in the dtype that they are divided in: float32, or float64 for what it cannot hold."""
    wide = panel.dtype == np.float64 or panel.dtype.kind in "iu"
    return panel.astype(np.float64 if wide else np.float32, copy=False)
