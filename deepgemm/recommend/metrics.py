"""How good a ranking is: recall and NDCG of the first k items against what was held out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ShapeError
from ..sparse.csr import CSR

__all__ = ["ndcg_at", "recall_at"]

Array = npt.NDArray[Any]


def recall_at(items: npt.ArrayLike, held_out: Any) -> float:
    """Return the mean, over users with held-out items, of the share of these that were ranked.

    Parameters
    ----------
    items : array_like of int, shape (users, k)
        What was recommended, best first; -1 for nothing.
    held_out : CSR or other sparse array, shape (users, items)
        Its entries are what should have been.

    Returns
    -------
    float
        From 0 to 1; nan if nothing was held out.

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

    Parameters and result as for `recall_at`.

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
    ranked = np.asarray(items)
    wanted = held_out if isinstance(held_out, CSR) else CSR(held_out)
    if ranked.ndim != 2 or len(ranked) != wanted.shape[0]:
        raise ShapeError(
            f"{op}: items have shape {ranked.shape}, expected ({wanted.shape[0]}, k): a row for each user"
        )
    lengths = np.diff(wanted.indptr)
    width = np.int64(wanted.shape[1])
    keys = np.sort(np.repeat(np.arange(len(lengths)), lengths) * width + wanted.indices)
    asked = np.arange(len(ranked))[:, None] * width + ranked
    places = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    found = (keys[places] == asked) if len(keys) else np.zeros(ranked.shape, bool)
    return found & (ranked >= 0), lengths
