"""Fixed-seed generators of sparse matrices, one for each structure that decides which kernel is fast."""

from __future__ import annotations

if __name__ != "deepgemm.datasets.generators":
    raise ImportError("this file is deepgemm.datasets.generators: install deepgemm and import that")

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ShapeError
from ..sparse import CSR

__all__ = ["banded", "blocks", "interactions", "power_law", "pruned_weights", "uniform"]

# Positions are held as one int64 for each entry while a matrix is drawn, so this is 8 GiB of scratch:
# beyond it a mistyped size is likelier than a wish.
_MOST_ENTRIES = 2**30


def interactions(
    users: int = 100_000,
    items: int = 20_000,
    *,
    mean: float = 40.0,
    exponent: float = 0.8,
    spread: float = 1.0,
    dtype: npt.DTypeLike = np.float32,
    seed: int = 0,
) -> CSR:
    """Return a users × items matrix of ratings with the two skews that recommender data has.

    The popularity of items follows Zipf's law and the activity of users a log-normal law, as in the
    public rating sets (M. E. J. Newman, "Power laws, Pareto distributions and Zipf's law", 2005).
    Items are numbered at random, so popular columns are not neighbours.

    Parameters
    ----------
    users, items : int
        The shape.
    mean : float
        Interactions of a user, on average, before repeated draws of the same item are merged. Very
        active users lose more to merging, so the matrix holds somewhat fewer entries.
    exponent : float
        Zipf's exponent: the item of rank r is drawn in proportion to ``r ** -exponent``.
    spread : float
        Standard deviation of the logarithm of the users' activity; 0 gives all users the same.
    dtype : dtype_like
        Of the ratings, which are 1 to 5.
    seed : int
        The same arguments always give the same matrix.

    Returns
    -------
    CSR
        With sorted, unique entries.

    Examples
    --------
    >>> from deepgemm.datasets import interactions
    >>> A = interactions(1000, 500, mean=10)
    >>> A.shape
    (1000, 500)
    """
    rng = np.random.default_rng(seed)
    check_size(users, items, users * mean)
    if users == 0 or items == 0:
        return _from_positions(np.empty(0, np.int64), (users, items), dtype, rng)
    lengths = log_normal_counts(rng, users, mean, spread)
    item = zipf_items(rng, items, int(lengths.sum()), exponent)
    user = np.repeat(np.arange(users, dtype=np.int64), lengths)
    return _from_positions(user * items + item, (users, items), dtype, rng, ratings=True)


def uniform(
    rows: int,
    columns: int,
    density: float,
    *,
    dtype: npt.DTypeLike = np.float32,
    seed: int = 0,
) -> CSR:
    """Return a matrix whose entries are spread evenly: no structure for a kernel to profit from.

    Parameters
    ----------
    rows, columns : int
        The shape.
    density : float
        Share of stored entries, 0 to 1, met in expectation.
    dtype : dtype_like
        Of the values, which are standard normal (1 to 9 for integers).
    seed : int
        The same arguments always give the same matrix.

    Returns
    -------
    CSR
        With sorted, unique entries.

    Examples
    --------
    >>> from deepgemm.datasets import uniform
    >>> uniform(50, 40, 1.0).nnz
    2000
    """
    _check_density(density)
    rng = np.random.default_rng(seed)
    total = rows * columns
    check_size(rows, columns, total * density)
    if total <= 2**20:
        positions = np.flatnonzero(rng.random(total) < density).astype(np.int64)
    else:
        # Gaps between successes of independent draws are geometric: time is that of the entries.
        count = int(total * density + 6 * math.sqrt(total * density) + 16)
        positions = np.cumsum(rng.geometric(density, count)) - 1 if density > 0 else np.empty(0, np.int64)
        positions = positions[positions < total]
    return _from_positions(positions, (rows, columns), dtype, rng)


def banded(
    size: int,
    bandwidth: int,
    *,
    fill: float = 1.0,
    dtype: npt.DTypeLike = np.float32,
    seed: int = 0,
) -> CSR:
    """Return a square matrix with entries near the diagonal, as finite differences and splines give.

    Parameters
    ----------
    size : int
        Rows, and columns.
    bandwidth : int
        Entries (i, j) have ``abs(i - j) <= bandwidth``.
    fill : float
        Share of the band that is stored, 0 to 1.
    dtype, seed
        As for `uniform`.

    Returns
    -------
    CSR
        With sorted, unique entries.

    Examples
    --------
    >>> from deepgemm.datasets import banded
    >>> banded(100, 1).nnz
    298
    """
    _check_density(fill, "fill")
    if bandwidth < 0:
        raise ShapeError(f"bandwidth is {bandwidth}, expected 0 or more")
    rng = np.random.default_rng(seed)
    width = 2 * min(bandwidth, max(size - 1, 0)) + 1
    check_size(size, size, size * width)
    row = np.repeat(np.arange(size, dtype=np.int64), width)
    column = row + np.tile(np.arange(width, dtype=np.int64) - width // 2, size)
    kept = (column >= 0) & (column < size)
    if fill < 1:
        kept &= rng.random(kept.size) < fill
    return _from_positions((row * size + column)[kept], (size, size), dtype, rng)


def blocks(
    rows: int,
    columns: int,
    density: float,
    *,
    blocksize: tuple[int, int] = (16, 16),
    dtype: npt.DTypeLike = np.float32,
    seed: int = 0,
) -> CSR:
    """Return a matrix made of full blocks, as structured pruning and multi-field meshes give.

    Parameters
    ----------
    rows, columns : int
        The shape; each a multiple of the block's.
    density : float
        Share of the blocks that are stored, 0 to 1, met in expectation.
    blocksize : tuple of int
        Rows and columns of a block.
    dtype, seed
        As for `uniform`.

    Returns
    -------
    CSR
        With sorted, unique entries; `CSR.tobsr` finds the blocks.

    Raises
    ------
    ShapeError
        If the blocks do not tile the matrix.

    Examples
    --------
    >>> from deepgemm.datasets import blocks
    >>> blocks(64, 32, 1.0, blocksize=(8, 8)).nnz
    2048
    """
    height, width = blocksize
    if height < 1 or width < 1 or rows % height or columns % width:
        raise ShapeError(f"blocks of {height}×{width} do not tile a matrix of {rows}×{columns}")
    check_size(rows, columns, rows * columns * density)
    coarse = uniform(rows // height, columns // width, density, seed=seed).to_scipy().tocoo()
    inside = np.add.outer(np.arange(height, dtype=np.int64) * columns, np.arange(width, dtype=np.int64))
    corner = coarse.row.astype(np.int64) * (height * columns) + coarse.col.astype(np.int64) * width
    positions = np.sort(np.add.outer(corner, inside.ravel()).ravel())
    return _from_positions(positions, (rows, columns), dtype, np.random.default_rng(seed))


def power_law(
    nodes: int,
    *,
    mean: float = 8.0,
    exponent: float = 0.7,
    dtype: npt.DTypeLike = np.float32,
    seed: int = 0,
) -> CSR:
    """Return the adjacency matrix of a directed graph with hubs: a few rows are thousands of times longer.

    Both ends of each edge are drawn in proportion to ``rank ** -exponent`` (F. Chung, L. Lu, "Connected
    components in random graphs with given expected degree sequences", 2002), repeated edges are merged.

    Parameters
    ----------
    nodes : int
        Rows, and columns.
    mean : float
        Edges of a node, on average, before repeated ones are merged.
    exponent : float
        0 gives all nodes the same degree in expectation; near 1 the hubs dominate.
    dtype, seed
        As for `uniform`.

    Returns
    -------
    CSR
        With sorted, unique entries.

    Examples
    --------
    >>> from deepgemm.datasets import power_law
    >>> power_law(1000).shape
    (1000, 1000)
    """
    check_size(nodes, nodes, nodes * mean)
    rng = np.random.default_rng(seed)
    if nodes == 0:
        return _from_positions(np.empty(0, np.int64), (0, 0), dtype, rng)
    weight = np.cumsum(np.arange(1, nodes + 1, dtype=np.float64) ** -exponent)
    label = rng.permutation(nodes).astype(np.int64)

    def draw() -> npt.NDArray[np.int64]:
        rank = np.searchsorted(weight, rng.random(int(nodes * mean)) * weight[-1], side="right")
        ends: npt.NDArray[np.int64] = label[np.minimum(rank, nodes - 1)]
        return ends

    return _from_positions(draw() * nodes + draw(), (nodes, nodes), dtype, rng)


def pruned_weights(
    outputs: int,
    inputs: int,
    density: float,
    *,
    dtype: npt.DTypeLike = np.float32,
    seed: int = 0,
) -> CSR:
    """Return a layer's weights pruned by magnitude: rows differ in length, and small values are gone.

    Rows get scales from a log-normal law before the smallest magnitudes of the whole matrix are dropped,
    which gives the uneven rows seen in pruned networks (T. Gale et al., "The State of Sparsity in Deep
    Neural Networks", 2019).

    Parameters
    ----------
    outputs, inputs : int
        The shape. All ``outputs * inputs`` weights are drawn first, so memory is that of the dense layer.
    density : float
        Share of the weights that is kept, 0 to 1.
    dtype, seed
        As for `uniform`.

    Returns
    -------
    CSR
        With sorted, unique entries.

    Examples
    --------
    >>> from deepgemm.datasets import pruned_weights
    >>> pruned_weights(100, 200, 0.1).nnz
    2000
    """
    _check_density(density)
    check_size(outputs, inputs, outputs * inputs)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((outputs, inputs), dtype=np.float32)
    weights *= rng.lognormal(0.0, 0.4, (outputs, 1)).astype(np.float32)
    kept = round(density * weights.size)
    if kept == 0:
        return _from_positions(np.empty(0, np.int64), (outputs, inputs), dtype, rng)
    flat = weights.ravel()
    positions = np.sort(np.argpartition(np.abs(flat), flat.size - kept)[flat.size - kept :])
    values = flat[positions].astype(dtype) if np.dtype(dtype).kind not in "iu" else None
    return _from_positions(positions, (outputs, inputs), dtype, rng, values=values)


def log_normal_counts(rng: np.random.Generator, n: int, mean: float, spread: float) -> npt.NDArray[np.int64]:
    """Return n Poisson counts whose expectations are log-normal, with the given mean over all of them."""
    activity = rng.lognormal(0.0, spread, n)
    counts: npt.NDArray[np.int64] = rng.poisson(activity * (mean / activity.mean()))
    return counts


def zipf_items(rng: np.random.Generator, items: int, count: int, exponent: float) -> npt.NDArray[np.int64]:
    """Return `count` of `items` numbers by Zipf's law, numbered at random, so that popular ones are apart."""
    popularity = np.cumsum(np.arange(1, items + 1, dtype=np.float64) ** -exponent)
    drawn = np.searchsorted(popularity, rng.random(count) * popularity[-1], side="right")
    numbered: npt.NDArray[np.int64] = rng.permutation(items)[np.minimum(drawn, items - 1)]
    return numbered


def _from_positions(
    positions: npt.NDArray[np.int64],
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    rng: np.random.Generator,
    *,
    values: npt.NDArray[Any] | None = None,
    ratings: bool = False,
) -> CSR:
    """Make a CSR of flat positions (row * columns + column), drawing its values unless they are given."""
    rows, columns = shape
    positions = np.unique(positions)
    index: type[np.signedinteger[Any]] = np.int32 if max(positions.size, columns) < 2**31 else np.int64
    indptr = np.zeros(rows + 1, index)
    if positions.size:
        row, column = np.divmod(positions, columns)
        np.cumsum(np.bincount(row, minlength=rows), out=indptr[1:])
    else:
        column = positions
    if values is None:
        values = _values(positions.size, np.dtype(dtype), rng, ratings)
    return CSR((values, column.astype(index), indptr), shape=shape)


def _values(count: int, dtype: np.dtype[Any], rng: np.random.Generator, ratings: bool) -> npt.NDArray[Any]:
    if dtype.kind == "b":
        return np.ones(count, dtype)
    if ratings:
        return rng.integers(1, 6, count).astype(dtype)
    if dtype.kind in "iu":
        return rng.integers(1, 10, count).astype(dtype)
    real = rng.standard_normal(count)
    return (real + 1j * rng.standard_normal(count) if dtype.kind == "c" else real).astype(dtype)


def check_size(rows: int, columns: int, entries: float) -> None:
    """Refuse sizes that no matrix has, and more entries than a wish is likely to mean."""
    if rows < 0 or columns < 0:
        raise ShapeError(f"a matrix of {rows}×{columns} was asked for, expected sizes of 0 or more")
    if rows * columns >= 2**63:
        raise ShapeError(f"a matrix of {rows}×{columns} has more positions than an int64 can number")
    if not 0 <= entries <= _MOST_ENTRIES:
        raise ShapeError(f"{entries:.3g} entries were asked for, expected 0 to {_MOST_ENTRIES:.3g}")


def _check_density(density: float, name: str = "density") -> None:
    if not 0 <= density <= 1:
        raise ValueError(f"{name} is {density}, expected 0 to 1")
