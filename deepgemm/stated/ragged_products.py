"""Products of the segments of ragged arrays: each of them is the `matmul` of its matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sparse.ragged import Ragged, RaggedMatrix
from .operands import Array
from .products import matmul


def grouped_matmul(ragged: Ragged, weights: Sequence[Any], *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``matmul(ragged[i], weights[i])`` for each segment, one after the other.

    Parameters
    ----------
    ragged : Ragged, rows of shape (k,)
        At least one segment.
    weights : sequence of g matrices
        As for `matmul`, of shape (k, n).
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Examples
    --------
    >>> grouped_matmul(Ragged([[[1.0, 2.0]], [[3.0, 4.0]]]), [[[1.0], [1.0]], [[0.0], [1.0]]]).tolist()
    [[3.0], [4.0]]
    """
    parts = [matmul(rows, weight, dtype=dtype) for rows, weight in zip(ragged, weights, strict=True)]
    return np.concatenate(parts)


def ragged_matmul(A: Any, B: Any, transpose_b: bool = False, *, dtype: npt.DTypeLike | None = None) -> Any:
    """Return ``matmul(A[i], B[i])`` for each segment, or ``matmul(A[i], B[i].T)``.

    Parameters
    ----------
    A, B : Ragged with rows of one axis, or RaggedMatrix
        With as many segments, at least one.
    transpose_b : bool
        Whether to take the transposes of B's.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    list of numpy.ndarray

    Examples
    --------
    >>> r = Ragged([[[1.0, 2.0]], [[3.0, 4.0], [1.0, 0.0]]])
    >>> [scores.tolist() for scores in ragged_matmul(r, r, transpose_b=True)]
    [[[5.0]], [[25.0, 3.0], [3.0, 1.0]]]
    """
    assert isinstance(A, Ragged | RaggedMatrix)
    return [
        matmul(left, right.T if transpose_b else right, dtype=dtype) for left, right in zip(A, B, strict=True)
    ]
