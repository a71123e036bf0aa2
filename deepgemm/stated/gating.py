"""Gating of a mixture of experts: which experts each token is sent to, and how much each of them counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import dtypes
from .operands import Array
from .segments import segment_softmax


def topk_gating(scores: npt.ArrayLike, k: int, softmax: str = "chosen") -> tuple[Array, Array]:
    """Return the k experts of each token with the largest scores, the largest first, and their weights.

    Of equal scores the lower expert comes first, and a nan is larger than anything. Weights are
    `segment_softmax` of the chosen scores in that order, or of all scores of a token in their own order.

    Examples
    --------
    >>> ids, weights = topk_gating([[0.0, 2.0, 2.0]], 2)
    >>> ids.tolist(), weights.tolist()
    ([[1, 2]], [[0.5, 0.5]])
    """
    array = np.asarray(scores)
    n, experts = array.shape
    wide = array.astype(dtypes.accumulator(array.dtype, array.dtype))
    # Descending with a nan first, both by a stable sort of ascending keys.
    ids = np.lexsort((-wide, ~np.isnan(wide)), axis=1)[:, :k]
    if softmax == "all":
        shares = segment_softmax(array.reshape(-1), np.arange(n + 1) * experts).reshape(n, experts)
        return ids, np.take_along_axis(shares, ids, axis=1)
    chosen = np.take_along_axis(array, ids, axis=1)
    return ids, segment_softmax(chosen.reshape(-1), np.arange(n + 1) * k).reshape(n, k)
