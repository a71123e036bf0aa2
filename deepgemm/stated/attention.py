"""Attention within segments, in the order in which it is stated to round."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..fma import fma_unchecked
from ..rounding import rounded
from ..sparse.ragged import Ragged
from .elementary import exp
from .operands import Array
from .products import dense_product

_LANES = 16  # interleaved chains, whatever the vector width of the machine


def ragged_attention(
    q: Ragged,
    k: Ragged,
    v: Ragged,
    causal: bool = False,
    scale: float | None = None,
    window: tuple[int | None, int | None] = (None, None),
) -> Array:
    """Return ``softmax(scale * q k^T) v`` for each segment and head, in the order of every kernel.

    In the accumulator dtype: a score is one chain of fused multiply-adds over the elements of a head, as in
    `matmul`, then multiplied by `scale`, rounded. ``m`` is the largest score that a query sees, and its
    weights are ``p = exp(score - m)``. Their sum is 16 interleaved chains of additions from +0, where a key
    belongs to lane ``position mod 16`` of its segment, and the tree l + 8, l + 4, l + 2, l + 1. The result is
    one chain ``fma(p, v, chain)`` over the keys that are seen, in ascending order from +0, divided once by
    that sum and rounded once to the storage dtype. A query that sees no key gets +0.

    Parameters
    ----------
    q : Ragged, rows of shape (heads, d)
        Queries.
    k, v : Ragged, rows of shape (key heads, d) and (key heads, d_v)
        Keys and values; a key head serves ``heads / key heads`` query heads that follow each other.
    causal, scale, window
        As for `deepgemm.ragged_attention`; `window` counts keys before and after the position of a query.

    Returns
    -------
    numpy.ndarray, shape (queries, heads, d_v)

    Examples
    --------
    >>> q = Ragged(np.zeros((2, 1, 4)), [0, 2])
    >>> v = Ragged(np.array([[[1.0]], [[3.0]]]), [0, 2])
    >>> ragged_attention(q, q, v).tolist()
    [[[2.0]], [[2.0]]]
    >>> ragged_attention(q, q, v, causal=True).tolist()
    [[[1.0]], [[2.0]]]
    """
    heads, width = q.row_shape
    group = heads // k.row_shape[0]
    chain = dtypes.accumulator(q.dtype, q.dtype)
    factor = chain.type(1 / math.sqrt(max(width, 1)) if scale is None else scale)
    parts = [np.zeros((0, heads, v.row_shape[1]), q.dtype)]
    for queries, keys, values in zip(q, k, v, strict=True):
        seen = _seen(len(queries), len(keys), causal, window)
        result = np.empty((len(queries), heads, values.shape[2]), q.dtype)
        for head in range(heads):
            of_head = (queries[:, head], keys[:, head // group], values[:, head // group])
            result[:, head] = rounded(_head(*of_head, seen, factor, chain), q.dtype)
        parts.append(result)
    return np.concatenate(parts)


def _seen(queries: int, keys: int, causal: bool, window: tuple[int | None, int | None]) -> Array:
    """Return which keys each query sees: it stands as far from the last key as from the last query."""
    distance = np.arange(keys) - (np.arange(queries) + keys - queries)[:, None]
    before, after = window
    seen = np.ones((queries, keys), bool)
    if before is not None:
        seen &= distance >= -before
    if after is not None:
        seen &= distance <= after
    if causal:
        seen &= distance <= 0
    return seen


def _head(q: Array, k: Array, v: Array, seen: Array, scale: Any, chain: np.dtype[Any]) -> Array:
    with np.errstate(all="ignore"):
        scores = dense_product(q, k.T, chain) * scale
        largest = np.where(seen, scores, -np.inf).max(axis=1, initial=-np.inf).astype(chain)
        weights = np.where(seen, exp(scores - largest[:, None]), chain.type(0))
        lanes = np.zeros((len(q), _LANES), chain)
        for key in range(len(k)):
            lanes[:, key % _LANES] += weights[:, key]
        for half in (8, 4, 2, 1):
            lanes = lanes[:, :half] + lanes[:, half : 2 * half]
        total = np.zeros((len(q), v.shape[1]), chain)
        wide = v.astype(chain)
        for key in range(len(k)):
            step = fma_unchecked(weights[:, key, None], wide[None, key], total)
            total = np.where(seen[:, key, None], step, total)
        result: Array = np.where(seen.any(axis=1, keepdims=True), total / lanes, chain.type(0))
    return result
