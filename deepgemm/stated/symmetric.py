"""Symmetric products: `gram` and `sandwich`, of which one half is computed and the other mirrored."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..rounding import rounded, times
from .operands import Array, as_operand, canonical_rows, entries_of, is_sparse
from .products import dense_product, sparse_product
from .steps import step_of


def gram(A: Any, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``A.T @ A``: the upper half of the product of `matmul`, mirrored.

    Of real numbers that is the product itself. Complex ones are not conjugated.

    Examples
    --------
    >>> gram([[1.0, 2.0], [0.0, 3.0]]).tolist()
    [[1.0, 2.0], [2.0, 13.0]]
    """
    return sandwich(A, None, dtype=dtype)


def sandwich(A: Any, w: npt.ArrayLike | None, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``A.T @ diag(w) @ A``: with ``t = w[k] * A[k, i]`` rounded, chains of ``t * A[k, j]``, i <= j.

    The other half is mirrored. `w` is rounded to the accumulator dtype first; None leaves it out. Of complex
    numbers `t` rounds each of the four real products and each of the two sums, and nothing is conjugated; a
    real operand that meets a complex one has the imaginary part +0, as in `matmul`.

    Examples
    --------
    >>> sandwich([[1.0, 2.0], [0.0, 3.0]], [2.0, 1.0]).tolist()
    [[2.0, 4.0], [4.0, 17.0]]
    """
    A = as_operand(A)
    scaled = A.dtype if w is None else dtypes.default_output(np.asarray(w).dtype, A.dtype, 2**62)
    accumulator = dtypes.accumulator(scaled, A.dtype)
    output = dtypes.default_output(scaled, A.dtype, A.shape[0]) if dtype is None else dtypes.canonical(dtype)
    weights = None if w is None else rounded(w, accumulator)
    with np.errstate(all="ignore"):
        if is_sparse(A):
            rows = canonical_rows(*entries_of(A), A.shape[0])
            of_entry = np.repeat(np.arange(A.shape[0]), np.diff(rows.indptr))
            values = rows.values.astype(accumulator)
            if weights is not None:
                values = times(weights[of_entry], values)
            entries = (rows.indices, of_entry, values)
            full = sparse_product(entries, A.shape[1], A, accumulator, step_of(accumulator))
        else:
            wide = A.astype(accumulator)
            left = wide if weights is None else times(weights[:, None], wide)
            full = dense_product(left.T, wide, accumulator)
        upper = np.triu(full)
        return rounded(np.where(np.tri(len(full), k=-1, dtype=bool), upper.T, upper), output)
