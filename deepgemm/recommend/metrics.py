"""How good a ranking is: recall and NDCG of the first k items against what was held out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DTypeError, ShapeError
from ..sparse.validate import plain_array
from ._interactions import as_csr

__all__ = ["ndcg_at", "recall_at"]

Array = npt.NDArray[Any]


def recall_at(items: npt.ArrayLike, held_out: Any) -> float:
    """Return the mean, over users with held-out items, of the share of these that were ranked.

    Parameters
    ----------
    items : array_like of int, shape (users, k)
        What was recommended, best first; -1 for nothing. A repeated item counts once, where it comes first.
    held_out : CSR or other sparse array, shape (users, items)
        Its entries are what should have been.

    Returns
    -------
    float
        From 0 to 1; nan if nothing was held out.

    Raises
    ------
    IndexError
        If an item is beyond the columns of `held_out`.
    ShapeError, DTypeError
        If `items` does not have a row of integers for each user.

    Examples
    --------
    >>> import deepgemm as dg
    >>> from deepgemm.recommend import recall_at
    >>> recall_at([[2, 0], [1, 2]], dg.CSR([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
    0.75
    """
    hits, relevant = _hits("recall_at", items, held_out)
    return _mean(hits.sum(axis=1), relevant)


def ndcg_at(items: npt.ArrayLike, held_out: Any) -> float:
    """Return the mean normalised discounted cumulative gain of the first k items.

    A hit at rank r (from 0) is worth ``1 / log2(r + 2)``; the sum is divided by what the best ranking of
    the held-out items would have.

    Parameters, result and errors as for `recall_at`.

    References
    ----------
    .. [1] K. Järvelin, J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS (2002).

    Examples
    --------
    >>> import deepgemm as dg
    >>> from deepgemm.recommend import ndcg_at
    >>> round(ndcg_at([[2, 0]], dg.CSR([[1.0, 0.0, 0.0]])), 4)
    0.6309
    """
    hits, relevant = _hits("ndcg_at", items, held_out)
    worth = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best = np.concatenate(([0.0], np.cumsum(worth)))
    return _mean(hits @ worth, best[np.minimum(relevant, hits.shape[1])])


def _mean(found: Array, possible: Array) -> float:
    asked = possible > 0
    return float((found[asked] / possible[asked]).mean()) if asked.any() else float("nan")


def _hits(op: str, items: npt.ArrayLike, held_out: Any) -> tuple[Array, Array]:
    """Return whether each recommendation is among the held-out items, and how many of these a user has."""
    ranked = plain_array(op, "items", items)
    wanted = as_csr(held_out).canonical()
    users, width = wanted.shape
    if ranked.ndim != 2 or len(ranked) != users:
        raise ShapeError(f"{op}: items have shape {ranked.shape}, expected ({users}, k): a row for each user")
    if ranked.dtype.kind not in "iu" and ranked.size:  # an empty list arrives as float64
        raise DTypeError(f"{op}: items have dtype {ranked.dtype}, expected integers")
    beyond = np.argwhere(ranked >= width)
    if len(beyond):
        user, rank = beyond[0]
        raise IndexError(
            f"{op}: items name {ranked[user, rank]} at rank {rank} of user {user}, "
            f"but there are {width} items"
        )
    ranked = ranked.astype(np.int64)
    lengths = np.diff(wanted.indptr)
    keys = np.repeat(np.arange(users), lengths) * np.int64(width) + wanted.indices  # ascending
    asked = np.arange(users)[:, None] * np.int64(width) + ranked
    places = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    found = (keys[places] == asked) if len(keys) else np.zeros(ranked.shape, bool)
    return found & (ranked >= 0) & _first_in_row(ranked), lengths


def _first_in_row(ranked: Array) -> Array:
    """Return whether no place before in the same row has the same item."""
    order = np.argsort(ranked, axis=1, kind="stable")
    ordered = np.take_along_axis(ranked, order, axis=1)
    first = np.ones(ranked.shape, bool)
    np.put_along_axis(first, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    return first
