"""`matmul` of stacks: matrices over leading axes that broadcast, each product as `matmul` states it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .operands import Array, as_operand, entries_of, is_sparse
from .products import matmul


def matmul_stack(A: Any, B: Any, *, values: Any = None, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``A @ B`` where dense operands may have leading axes, as for ``numpy.matmul``.

    Parameters
    ----------
    A, B : array_like or sparse matrix
        As for `matmul`; arrays may have any number of axes, of which the last two are multiplied.
    values : array_like, optional
        Entries for a sparse operand in the place of its own, with the leading axes of a stack of sparse
        matrices before those of ``data``.
    dtype : dtype_like, optional
        As for `matmul`.

    Examples
    --------
    >>> import scipy.sparse
    >>> A = scipy.sparse.csr_array([[2.0, 0.0], [0.0, 3.0]])
    >>> matmul_stack(A, [[[1.0], [1.0]], [[10.0], [1.0]]]).tolist()
    [[[2.0], [3.0]], [[20.0], [3.0]]]
    >>> matmul_stack(A, [1.0, 2.0], values=[[2.0, 3.0], [20.0, 30.0]]).tolist()
    [[2.0, 6.0], [20.0, 60.0]]
    >>> matmul_stack(np.ones((2, 1, 3, 4)), np.ones((5, 4, 6))).shape
    (2, 5, 3, 6)
    """
    A, B = as_operand(A), as_operand(B)
    if not is_sparse(A) and not is_sparse(B):
        return _dense_members(A, B, dtype)
    sparse = A if is_sparse(A) else B
    own = np.asarray(sparse.data if values is None else values)
    inner = np.ndim(sparse.data)
    stacks = [own.shape[: own.ndim - inner]] + [X.shape[:-2] for X in (A, B) if not is_sparse(X)]
    batch = np.broadcast_shapes(*stacks)
    sets = np.broadcast_to(own, (*batch, *own.shape[own.ndim - inner :]))
    dense = [
        X if is_sparse(X) or X.ndim == 1 else np.broadcast_to(X, (*batch, *X.shape[-2:])) for X in (A, B)
    ]
    members: list[Array] = []
    for place in np.ndindex(*batch):
        with_values = _with_values(sparse, sets[place])
        pair = [with_values if is_sparse(X) else X if X.ndim == 1 else X[place] for X in dense]
        members.append(matmul(*pair, dtype=dtype))
    if not members:
        one = [X if is_sparse(X) or X.ndim == 1 else np.zeros(X.shape[-2:], X.dtype) for X in dense]
        one = [_with_values(X, np.zeros(np.shape(X.data), own.dtype)) if is_sparse(X) else X for X in one]
        empty = matmul(*one, dtype=dtype)
        return np.zeros((*batch, *empty.shape), empty.dtype)
    return np.stack(members).reshape(*batch, *members[0].shape)


def _dense_members(A: Array, B: Array, dtype: npt.DTypeLike | None) -> Array:
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    left, right = (X if X.ndim == 1 else np.broadcast_to(X, (*batch, *X.shape[-2:])) for X in (A, B))
    one = matmul(*(X if X.ndim == 1 else np.zeros(X.shape[-2:], X.dtype) for X in (A, B)), dtype=dtype)
    result = np.empty((*batch, *np.shape(one)), one.dtype)
    for place in np.ndindex(*batch):
        result[place] = matmul(*(X if X.ndim == 1 else X[place] for X in (left, right)), dtype=dtype)
    return result


class _Entries:
    """A sparse matrix of coordinates: the places of another one, and other values."""

    format, ndim = "coo", 2

    def __init__(self, rows: Array, columns: Array, values: Array, shape: tuple[int, int]) -> None:
        self.row, self.col, self.data, self.shape, self.dtype = rows, columns, values, shape, values.dtype


def _with_values(sparse: Any, values: Array) -> _Entries:
    rows, columns, _ = entries_of(sparse)
    return _Entries(rows, columns, values.reshape(-1), sparse.shape)
