"""Top-k retrieval: the best items for each user, and the items most alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from ..dtypes import is_float
from ..errors import DTypeError, ShapeError
from ..ops import _request as request
from ..ops.matmul import matmul
from ..ops.matmul_topk import matmul_topk
from ..ops.plan import plan
from ..sparse.core import Factor
from ..sparse.csr import CSR
from ..sparse.ragged import Ragged
from ..sparse.validate import plain_array
from ._interactions import as_csr

__all__ = ["similar_items", "top_items"]

Array = npt.NDArray[Any]

# Scores of a tile of users, in bytes: they stay in the third cache between product and selection.
TILE_BYTES = 8 << 20
# Selection looks at the largest score of each block of items, then into k blocks. Of 40,981 scores of a user
# the best 20 took 390 microseconds in one pass over all of them, and NumPy's maxima of blocks 500.
BLOCK = 64


def top_items(
    user_factors: npt.ArrayLike, item_factors: Any, k: int = 20, seen: Any = None
) -> tuple[Array, Array]:
    """Return the k items of highest score for each user: brute force, exact, in tiles of users.

    Parameters
    ----------
    user_factors : array_like, shape (users, n)
        Of a floating dtype.
    item_factors : array_like, Quantized or sparse array, shape (items, n)
        The score of an item is the product of the two rows.
    k : int
        How many; at most as many as there are items.
    seen : CSR or other sparse array, shape (users, items), optional
        Entries that are not recommended again.

    Returns
    -------
    items : numpy.ndarray of int64, shape (users, k)
        Best first, the lower item first among equals; -1 where a user has fewer than k items left.
    scores : numpy.ndarray, shape (users, k)
        Their scores; -inf where there is no item.

    Raises
    ------
    ShapeError, DTypeError
        If the factors, or `seen`, do not fit together, or are integers, or masked.
    ValueError
        If `k` is less than 1.

    Notes
    -----
    O(users · items · n), and never more than a tile of scores in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from deepgemm.recommend import top_items
    >>> items, scores = top_items(np.eye(2), np.array([[1.0, 0.0], [3.0, 1.0], [2.0, 5.0]]), k=2)
    >>> items.tolist(), scores.tolist()
    ([[1, 2], [2, 1]], [[3.0, 2.0], [5.0, 1.0]])
    """
    users = plain_array("top_items", "user_factors", user_factors)
    if not (isinstance(item_factors, Factor) or scipy.sparse.issparse(item_factors)):
        item_factors = plain_array("top_items", "item_factors", item_factors)
    count = request.positive("top_items", "k", k)
    if users.ndim != 2 or len(item_factors.shape) != 2 or users.shape[1] != item_factors.shape[1]:
        raise ShapeError(
            f"top_items: user_factors have shape {users.shape} but item_factors {item_factors.shape}, "
            "expected two matrices with as many columns"
        )
    shape = (len(users), int(item_factors.shape[0]))
    known = None if seen is None else as_csr(seen)
    if known is not None and known.shape != shape:
        raise ShapeError(f"top_items: seen has shape {known.shape}, expected {shape}")
    count = min(count, shape[1])
    columns = item_factors.T
    dtype = matmul(users[:0], columns).dtype
    if not is_float(dtype):
        raise DTypeError(f"top_items: scores are {dtype}, expected a floating dtype")
    items = np.empty((len(users), count), np.int64)
    scores = np.empty((len(users), count), dtype)
    width = -(-shape[1] // BLOCK) * BLOCK
    tile = min(max(1, TILE_BYTES // max(1, width * dtype.itemsize)), max(1, len(users)))
    found = np.full((tile, width), -np.inf, dtype)
    # The items are packed once for all tiles of one size: 16 microseconds for a user, else hundreds.
    tiles = len(users) // tile
    scored = plan(users[:tile], columns, fixed="right", reuse=tiles) if tiles > 1 else None
    for begin in range(0, len(users), tile):
        rows = slice(begin, min(begin + tile, len(users)))
        part = found[: rows.stop - begin]
        if scored is not None and len(part) == tile:
            part[:, : shape[1]] = scored(users[rows])
        else:
            part[:, : shape[1]] = matmul(users[rows], columns)
        if known is not None:
            _forget(part, known, rows)
        items[rows], scores[rows] = _best(part, count)
    items[np.isneginf(scores)] = -1
    return items, scores


def _forget(scores: Array, seen: CSR, rows: slice) -> None:
    ends = seen.indptr[rows.start : rows.stop + 1]
    of_entry = np.repeat(np.arange(rows.stop - rows.start), np.diff(ends))
    scores[of_entry, seen.indices[ends[0] : ends[-1]]] = -np.inf


def _best(scores: Array, count: int) -> tuple[Array, Array]:
    """Return positions and values of the largest elements of each row.

    They lie in the blocks with the largest maxima, as many blocks as elements; among equals the lower ones.
    """
    blocks = scores.reshape(len(scores), -1, BLOCK)
    if blocks.shape[1] <= count:
        return _largest(scores, count)
    ends = np.arange(0, scores.size + 1, BLOCK)
    maxima = Ragged(scores.reshape(-1), ends).max().reshape(blocks.shape[:2])
    chosen = np.sort(_largest(maxima, count)[0], axis=1)
    inside = np.take_along_axis(blocks, chosen[:, :, None], axis=1).reshape(len(scores), -1)
    places, values = _largest(inside, count)
    return np.take_along_axis(chosen, places // BLOCK, axis=1) * BLOCK + places % BLOCK, values


def _largest(scores: Array, count: int) -> tuple[Array, Array]:
    users, items = scores.shape
    values, places = Ragged(scores.reshape(-1), np.arange(users + 1, dtype=np.int64) * items).topk(count)
    return places.values.reshape(users, count), values.values.reshape(users, count)


def similar_items(interactions: Any, k: int = 10) -> CSR:
    """Return the k items most alike to each item, by the cosine of who took them.

    Parameters
    ----------
    interactions : CSR or other sparse array, shape (users, items)
        Who took what.
    k : int
        How many items for each.

    Returns
    -------
    CSR, shape (items, items)
        Each row by rank, most alike first, as `matmul_topk` gives it; no item is among its own.

    Notes
    -----
    One `matmul_topk` of the normalised matrix with its transpose: the items × items matrix of cosines
    never exists.

    Examples
    --------
    >>> import deepgemm as dg
    >>> from deepgemm.recommend import similar_items
    >>> similar_items(dg.CSR([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), k=1).indices.tolist()
    [1, 0, 0]
    """
    matrix = as_csr(interactions)
    count = request.positive("similar_items", "k", k)
    by_item = matrix.T.tocsr().normalize()
    best = matmul_topk(by_item, by_item.T.tocsr(), count + 1)
    return _without_own(best, count)


def _without_own(best: CSR, count: int) -> CSR:
    """Leave out the diagonal, then what is more than `count` in a row."""
    lengths = np.diff(best.indptr)
    rows = np.repeat(np.arange(best.shape[0]), lengths)
    others = best.indices != rows
    rows, columns, values = rows[others], best.indices[others], best.data[others]
    kept = np.bincount(rows, minlength=best.shape[0])
    first = np.concatenate(([0], np.cumsum(kept)))
    few = np.arange(len(rows)) - first[rows] < count
    ends = np.concatenate(([0], np.cumsum(np.minimum(kept, count)))).astype(best.indices.dtype)
    return CSR((values[few], columns[few], ends), shape=best.shape)
