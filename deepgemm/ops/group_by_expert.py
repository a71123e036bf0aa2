"""`group_by_expert`: tokens sorted by the expert that they are sent to, and the way back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import accumulator, canonical, is_float
from ..errors import DTypeError, FormatError, ShapeError
from ..sparse.csr import CSR
from ..sparse.ragged import Ragged
from ..sparse.ragged.segments import Segments, offsets_of
from ..sparse.validate import frozen, index_dtype, plain_array
from . import _request as request
from .matmul import matmul

__all__ = ["ExpertGroups", "group_by_expert"]

Array = npt.NDArray[Any]
OP = "group_by_expert"


class ExpertGroups:
    """Tokens by expert, with what leads back: made by `group_by_expert`.

    Attributes
    ----------
    tokens : Ragged
        Segment e has the tokens that are sent to expert e, in their own order.
    rows : numpy.ndarray of int, shape (tokens * k,)
        Which token each row of `tokens.values` is; read-only.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> groups = dg.group_by_expert(np.array([[1.0], [2.0]]), [[0, 1], [1, 0]])
    >>> groups
    ExpertGroups(experts=2, tokens=2, rows=4, experts with tokens=2, most rows of one=2)
    >>> groups.rows
    array([0, 1, 0, 1])
    """

    def __init__(self, tokens: Ragged, rows: Array, back: CSR) -> None:
        """Take what `group_by_expert` made; `back` has a row for each token and a column for each row."""
        self.tokens = tokens
        self.rows = rows
        self._back = back

    def __repr__(self) -> str:
        busy = int(np.count_nonzero(self.tokens.lengths))
        return (
            f"ExpertGroups(experts={len(self.tokens)}, tokens={self._back.shape[0]}, rows={len(self.rows)}, "
            f"experts with tokens={busy}, most rows of one={self.tokens.max_length})"
        )

    def combine(self, outputs: Ragged, *, dtype: npt.DTypeLike | None = None) -> Array:
        """Return one row for each token: the weighted sum of what its experts made of it.

        Parameters
        ----------
        outputs : Ragged
            Rows in the segments of `tokens`, of any shape.
        dtype : dtype_like, optional
            Dtype of the result; by default that of `outputs`, float32 for float8, and for integers that of
            their product with the weights.

        Returns
        -------
        numpy.ndarray, shape (tokens, ...)
            Zeros for tokens without experts (k = 0).

        Raises
        ------
        FormatError, ShapeError
            If `outputs` is no Ragged, or has other segments; the message names the first.

        Notes
        -----
        Each element is one chain ``fma(weight, output, chain)`` over the token's experts in ascending order,
        from +0, in the accumulator dtype, rounded once: the product with a sparse matrix of the weights,
        which is what it is computed as.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> groups = dg.group_by_expert(np.array([[1.0], [2.0]]), [[0, 2], [2, 1]], [[0.5, 0.5], [0.9, 0.1]])
        >>> groups.combine(groups.tokens * 10)
        array([[10.],
               [20.]])
        """
        owner = f"{type(self).__name__}.combine"
        if not isinstance(outputs, Ragged):
            raise FormatError(f"{owner}: outputs is a {type(outputs).__name__}, expected a Ragged")
        if len(outputs) != len(self.tokens):
            raise ShapeError(f"{owner}: outputs has {len(outputs)} segments for {len(self.tokens)} experts")
        unequal = outputs.lengths != self.tokens.lengths
        if unequal.any():
            at = int(unequal.argmax())
            raise ShapeError(
                f"{owner}: segment {at} has {outputs.lengths[at]} rows, "
                f"but expert {at} has {self.tokens.lengths[at]} tokens"
            )
        values = outputs.packed().values
        flat = values.reshape(len(values), math.prod(outputs.row_shape))
        if dtype is None and is_float(values.dtype) and values.dtype.itemsize > 1:
            dtype = values.dtype
        result: Array = matmul(self._back, flat, dtype=dtype)
        return result.reshape(self._back.shape[0], *outputs.row_shape)


def group_by_expert(
    tokens: npt.ArrayLike,
    expert_ids: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    experts: int | None = None,
) -> ExpertGroups:
    """Sort tokens by the experts that they are sent to (the routing of a mixture of experts).

    Parameters
    ----------
    tokens : array_like, shape (n, ...)
        One row for each token.
    expert_ids : array_like of int, shape (n,) or (n, k)
        The expert, or the k experts, of each token.
    weights : array_like of float, shape of `expert_ids`, optional
        What `combine` multiplies by; ones by default.
    experts : int, optional
        How many there are; by default as many as `expert_ids` names. Experts without tokens have empty
        segments.

    Returns
    -------
    ExpertGroups
        With `tokens`, a Ragged of one segment for each expert, and `combine`, which takes results in the
        same segments back to the order of the tokens.

    Raises
    ------
    ShapeError, DTypeError, FormatError
        If the arguments do not fit; an id out of range is named with its place.

    Notes
    -----
    O(n k), beside copying k rows for each token. Sorting is stable, so an expert meets its tokens in their
    order, whatever the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> groups = dg.group_by_expert(np.array([[1.0], [2.0], [3.0]]), [1, 0, 1], experts=3)
    >>> groups.tokens.to_list()
    [[[2.0]], [[1.0], [3.0]], []]
    >>> experts = np.array([[[10.0]], [[100.0]], [[0.0]]])
    >>> groups.combine(dg.grouped_matmul(groups.tokens, experts)).tolist()
    [[100.0], [20.0], [300.0]]
    """
    array = plain_array(OP, "tokens", tokens)
    if array.ndim == 0:
        raise ShapeError(f"{OP}: tokens is a scalar, expected an array of rows")
    array = array.astype(canonical(array.dtype, f"{OP}: tokens"), copy=False)
    n = len(array)
    ids = _checked_ids(expert_ids, n, experts)
    k = ids.shape[1] if ids.ndim == 2 else 1
    flat = ids.reshape(-1)
    counts = np.bincount(flat, minlength=experts or 0)
    # Few experts are sorted by their digits, in linear time.
    narrow = flat.astype(np.uint16) if len(counts) <= 1 << 16 else flat
    order = np.argsort(narrow, kind="stable")
    rows = order // k if k != 1 else order
    grouped = Ragged._trusted(np.take(array, rows, axis=0), Segments(offsets_of(counts)))
    return ExpertGroups(grouped, frozen(rows), _way_back(order, n, k, _checked_weights(weights, ids, array)))


def _checked_ids(expert_ids: npt.ArrayLike, n: int, experts: int | None) -> Array:
    ids = plain_array(OP, "expert_ids", expert_ids)
    if ids.size == 0 and ids.dtype.kind == "f":
        ids = ids.astype(np.int64)
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"{OP}: expert_ids has dtype {ids.dtype}, expected integers")
    if ids.ndim not in (1, 2) or len(ids) != n:
        raise ShapeError(f"{OP}: expert_ids has shape {ids.shape}, expected ({n},) or ({n}, k)")
    if experts is not None:
        experts = request.positive(OP, "experts", experts, 0)
    limit = np.iinfo(np.int32).max if experts is None else experts
    wrong = (ids < 0) | (ids >= limit)
    if wrong.any():
        at = ", ".join(map(str, np.unravel_index(int(wrong.argmax()), ids.shape)))
        raise FormatError(
            f"{OP}: expert_ids[{at}] is {ids.reshape(-1)[int(wrong.argmax())]}, "
            + ("expected none, as there are no experts" if limit == 0 else f"expected 0 to {limit - 1}")
        )
    return ids.astype(np.int64, copy=False)


def _checked_weights(weights: npt.ArrayLike | None, ids: Array, tokens: Array) -> Array:
    if weights is None:
        wide = tokens.dtype if tokens.dtype.kind in "iub" else accumulator(tokens.dtype, tokens.dtype)
        return np.ones(ids.size, wide)
    array = plain_array(OP, "weights", weights)
    if array.shape != ids.shape:
        raise ShapeError(f"{OP}: weights has shape {array.shape}, but expert_ids has {ids.shape}")
    dtype = canonical(array.dtype, f"{OP}: weights")
    if not is_float(dtype):
        raise DTypeError(f"{OP}: weights has dtype {dtype}, expected floating-point numbers")
    return array.astype(dtype, copy=False).reshape(-1)


def _way_back(order: Array, n: int, k: int, weights: Array) -> CSR:
    """Return the matrix that leads from rows by expert to tokens: entry (t, s) if row s is token t."""
    index = index_dtype(max(len(order), n))
    places = np.empty(len(order), index)
    places[order] = np.arange(len(order), dtype=index)
    places = places.reshape(n, k)
    by_expert = np.argsort(places, axis=1, kind="stable")
    weights = np.take_along_axis(weights.reshape(n, k), by_expert, axis=1).reshape(-1)
    places = np.take_along_axis(places, by_expert, axis=1).reshape(-1)
    offsets = np.arange(n + 1, dtype=index) * k
    return CSR((weights, places, offsets), shape=(n, len(order)))
