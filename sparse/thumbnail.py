"""Where the entries of a sparse matrix lie, as a small picture: counted in tiles, from a bounded sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..markup import SIDE, raster

if TYPE_CHECKING:
    from .core import Operand

    Array = npt.NDArray[Any]

# Entries looked at, about 64 for each of the tiles of a square: 3 to 6 ms in matrices of 10 million entries.
_SAMPLE = 1 << 18
_TILES = 64  # along the longer side
_LEAST_TILES = 20  # along the shorter one, so that a strip is more than a line
_LEAST_PIXELS = 24
_GOLDEN = 0.6180339887498949


def thumbnail(array: Operand) -> str:
    """Return a figure of the densities of tiles, as HTML; nothing where there are no entries.

    Shades follow the square root of the density, so that thin parts still show. Takes O(1) time beyond
    the size of the sample.
    """
    if array.nnz == 0:
        return ""
    tiles = _grid(array.shape)
    density = _densities(array, tiles)
    fullest = float(density.max())
    across = " × ".join(f"{extent:,}" for extent in tiles)
    if tiles == array.shape:
        caption = "the matrix, element by element"
    else:
        caption = f"fullest of {across} tiles: {in_percent(fullest)} full"
    longer = max(tiles)
    width, height = (max(_LEAST_PIXELS, SIDE * extent // longer) for extent in tiles[::-1])
    alt = f"density of entries in {across} tiles of the matrix: the stronger the colour, the fuller"
    return raster(np.sqrt(density / fullest), (width, height), alt, caption)


def in_percent(share: float) -> str:
    """Return a share as a percentage of three digits, however small it is."""
    return f"{100 * share:.3g}%"


def spread(count: int, most: int = _SAMPLE) -> Array:
    """Return ascending positions below `count`: all of them, or `most`, one from each stretch.

    The place within a stretch varies, so that no regular structure is met at the same point each time;
    of short stretches the same one may come twice.
    """
    if count <= most:
        return np.arange(count)
    step = np.arange(most)
    within = step * _GOLDEN % 1.0
    positions: Array = np.minimum(((step + within) * (count / most)).astype(np.int64), count - 1)
    return positions


def _grid(shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of tiles: in the proportions of the matrix, within bounds."""
    longer = max(shape)
    rows, columns = (
        min(extent, max(_LEAST_TILES, round(_TILES * min(1.0, extent / longer)))) for extent in shape
    )
    return rows, columns


def _densities(array: Operand, tiles: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the share of each tile's places that are entries, 1 where duplicates make it more."""
    positions = spread(array.nnz)
    # Memory may have changed since it was validated: a picture may then be wrong, but nothing else.
    row, column = (
        np.clip((index * (count / extent)).astype(np.int64), 0, count - 1)
        for index, count, extent in zip(_coordinates(array, positions), tiles, array.shape, strict=True)
    )
    counts = np.bincount(row * tiles[1] + column, minlength=tiles[0] * tiles[1]).reshape(tiles)
    heights, widths = (
        np.diff(np.ceil(np.arange(count + 1) * (extent / count)))
        for count, extent in zip(tiles, array.shape, strict=True)
    )
    places = np.outer(heights, widths)
    return np.minimum(counts * (array.nnz / len(positions)) / places, 1.0)


def _coordinates(array: Any, positions: Array) -> tuple[Array, Array]:
    """Return the rows and columns of the entries at ascending positions of `data`."""
    if array.format == "coo":
        return array.row[positions], array.col[positions]
    if array.format == "bsr":
        height, width = array.blocksize
        block, within = np.divmod(positions, height * width)
        row = _lines(array.indptr, block) * height + within // width
        return row, array.indices[block].astype(np.int64) * width + within % width
    lines, others = _lines(array.indptr, positions), array.indices[positions]
    return (lines, others) if array.format == "csr" else (others, lines)


def _lines(indptr: Array, positions: Array) -> Array:
    """Return the line that each of ascending positions is in."""
    lines: Array = np.searchsorted(indptr, positions, side="right") - 1
    return lines
