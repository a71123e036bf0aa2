"""Products of two sparse matrices: which elements are entries, and the best of each row."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .operands import Array, entries_of
from .products import matmul


def matmul_sparse(A: Any, B: Any) -> tuple[Array, Array, Array]:
    """Return ``A @ B`` of two sparse matrices as the rows of its entries, by column.

    An element is an entry where some entry of its row of A meets one of its column of B, whatever its value;
    the value is that of `matmul`.

    Returns
    -------
    indptr, indices, data : numpy.ndarray
        As in CSR, canonical.

    Examples
    --------
    >>> import scipy.sparse
    >>> A = scipy.sparse.csr_array([[1.0, -1.0], [0.0, 0.0]])
    >>> B = scipy.sparse.csr_array([[1.0, 0.0], [1.0, 2.0]])
    >>> [part.tolist() for part in matmul_sparse(A, B)]
    [[0, 2, 2], [0, 1], [0.0, -2.0]]
    """
    entry = _present(A).astype(np.float64) @ _present(B).astype(np.float64) > 0
    rows, columns = np.nonzero(entry)
    indptr = np.zeros(len(entry) + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=len(entry)), out=indptr[1:])
    return indptr, columns, matmul(A, B)[rows, columns]


def matmul_topk(A: Any, B: Any, k: int, threshold: float | None = None) -> tuple[Array, Array, Array]:
    """Return the `k` largest entries of each row of ``A @ B``, for two sparse matrices.

    Entries are those of `matmul_sparse`, with a threshold only the greater ones. They are ranked by value,
    largest first, nan behind all numbers, and by column, lowest first, among equal values.

    Returns
    -------
    indptr, indices, data : numpy.ndarray
        As in CSR, each row by rank.

    Examples
    --------
    >>> import scipy.sparse
    >>> A = scipy.sparse.csr_array([[1.0]])
    >>> B = scipy.sparse.csr_array([[3.0, 7.0, 5.0, 7.0]])
    >>> [part.tolist() for part in matmul_topk(A, B, 3)]
    [[0, 3], [1, 3, 2], [7.0, 7.0, 5.0]]
    """
    indptr, indices, data = matmul_sparse(A, B)
    kept = [np.zeros(0, dtype=np.int64)]
    for begin, end in pairwise(indptr):
        row = np.arange(begin, end)
        if threshold is not None:
            row = row[data[row] > threshold]
        kept.append(row[np.argsort(-data[row], kind="stable")][:k])
    chosen = np.concatenate(kept)
    return np.cumsum([len(row) for row in kept]), indices[chosen], data[chosen]


def _present(operand: Any) -> Array:
    """Return which elements of a sparse matrix are entries."""
    rows, columns, _ = entries_of(operand)
    present = np.zeros(operand.shape, dtype=bool)
    present[rows, columns] = True
    return present
