"""`topk_gating`: the experts that each token is sent to, and their weights, from scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import canonical, is_float
from ..errors import DTypeError, ShapeError
from ..sparse.ragged import Ragged
from ..sparse.ragged.segments import Segments
from ..sparse.validate import plain_array
from . import _bags
from . import _request as request

__all__ = ["topk_gating"]

Array = npt.NDArray[Any]
OP = "topk_gating"


def topk_gating(scores: npt.ArrayLike, k: int, *, softmax: str = "chosen") -> tuple[Array, Array]:
    """Choose the k experts with the largest scores for each token (the router of a mixture of experts).

    Parameters
    ----------
    scores : array_like of float, shape (n, experts)
        What a router makes of each token: ``tokens @ W``.
    k : int
        Experts of each token, at most as many as there are.
    softmax : {"chosen", "all"}
        Over which scores the weights are a softmax: those of the chosen experts, so that weights sum to 1, or
        those of all experts.

    Returns
    -------
    expert_ids : numpy.ndarray of int64, shape (n, k)
        The largest score first; of equal ones the lower expert. A nan is larger than anything.
    weights : numpy.ndarray, shape (n, k)
        Of the dtype of the scores.

    Raises
    ------
    ShapeError, DTypeError
        If scores are no matrix of real floating-point numbers.
    ValueError
        If k is no whole number from 1 to the number of experts, or there is no such softmax.

    See Also
    --------
    group_by_expert : takes both.

    Notes
    -----
    O(n experts log k). The gates of N. Shazeer et al., "Outrageously Large Neural Networks: The
    Sparsely-Gated Mixture-of-Experts Layer" (2017), without its noise: that is softmax="chosen". `exp` and
    sums are those of `Ragged.softmax`, the same for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> tokens, router = np.array([[1.0], [-1.0]]), np.array([[0.0, 3.0, 3.0]])
    >>> ids, weights = dg.topk_gating(tokens @ router, k=2)
    >>> ids.tolist(), weights[0].tolist()
    ([[1, 2], [0, 1]], [0.5, 0.5])
    >>> dg.group_by_expert(tokens, ids, weights, experts=3).tokens.to_list()
    [[[-1.0]], [[1.0], [-1.0]], [[1.0]]]
    """
    array = plain_array(OP, "scores", scores)
    if array.ndim != 2:
        raise ShapeError(f"{OP}: scores has {array.ndim} dimensions, expected 2")
    if not is_float(canonical(array.dtype, f"{OP}: scores")):
        raise DTypeError(f"{OP}: scores has dtype {array.dtype}, expected real floating-point numbers")
    _bags.chosen(OP, "softmax", softmax, ("chosen", "all"))
    n, experts = array.shape
    k = request.positive(OP, "k", k)
    if k > experts:
        raise ValueError(f"{OP}: k is {k}, but there are {experts} experts")
    rows = Ragged._trusted(np.ascontiguousarray(array).reshape(-1), _equal_segments(n, experts))
    best, places = rows.topk(k)
    ids = places.values.reshape(n, k)
    if softmax == "chosen":
        return ids, best.softmax().values.reshape(n, k)
    return ids, np.take_along_axis(rows.softmax().values.reshape(n, experts), ids, axis=1)


def _equal_segments(count: int, length: int) -> Segments:
    return Segments(np.arange(count + 1, dtype=np.int64) * length)
