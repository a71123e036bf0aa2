"""Splitting interactions into those that a model learns from and those that judge it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..sparse.csr import CSR
from ._interactions import as_csr

__all__ = ["hold_out"]


def hold_out(interactions: Any, share: float = 0.2, seed: int = 0) -> tuple[CSR, CSR]:
    """Return the entries to learn from, and a random share of each user's entries that was held out.

    Parameters
    ----------
    interactions : CSR or other sparse array, shape (users, items)
        Who took what.
    share : float
        How many of a user's entries to hold out, rounded down: users with few entries keep them all.
    seed : int
        The same arguments always give the same split.

    Returns
    -------
    train, test : CSR
        Of the same shape; together they have all entries.

    Raises
    ------
    ValueError
        If `share` is not between 0 and 1.

    Examples
    --------
    >>> import deepgemm as dg
    >>> from deepgemm.recommend import hold_out
    >>> train, test = hold_out(dg.CSR([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 5.0]]), share=0.5)
    >>> train.nnz, test.nnz
    (3, 2)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"hold_out: share is {share!r}, expected a number from 0 to 1")
    matrix = as_csr(interactions).canonical()
    lengths = np.diff(matrix.indptr).astype(np.int64)
    users = np.repeat(np.arange(len(lengths)), lengths)
    # Entries of each user in random order: the first ones of each go.
    order = np.lexsort((np.random.default_rng(seed).random(matrix.nnz), users))
    rank = np.empty(matrix.nnz, np.int64)
    rank[order] = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1].astype(np.int64), lengths)
    gone = rank < (share * lengths).astype(np.int64)[users]
    return _entries(matrix, users, ~gone), _entries(matrix, users, gone)


def _entries(matrix: CSR, users: np.ndarray[Any, Any], chosen: np.ndarray[Any, Any]) -> CSR:
    counts = np.bincount(users[chosen], minlength=matrix.shape[0])
    indptr = np.concatenate(([0], np.cumsum(counts))).astype(matrix.indices.dtype)
    return CSR((matrix.data[chosen], matrix.indices[chosen], indptr), shape=matrix.shape)
