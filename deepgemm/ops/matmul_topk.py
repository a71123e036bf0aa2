"""`matmul_topk`: the largest entries of each row of a sparse product, without the product."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..kernels import registry
from ..sparse.csr import CSR
from . import _budget as budget
from . import _kernels as _kernels
from . import _request as request
from .estimate import predict

__all__ = ["matmul_topk"]

LARGEST_K = 2**62  # more than any row can have, and an integer that the core takes


def matmul_topk(
    A: Any,
    B: Any,
    k: int,
    threshold: float | None = None,
    *,
    threads: int | None = None,
    memory_budget: int | str | None = None,
) -> CSR:
    """Return the `k` largest entries of each row of `A @ B`, for two sparse operands.

    Product and selection are one pass: no more than a row of the product exists at any time, and the
    result grows as rows are found, so no size has to be guessed. Values are those of `A @ B`.

    Parameters
    ----------
    A, B : sparse array
        Of shape (m, p) and (p, n); arrays and matrices of SciPy are used without a copy. float32,
        float64 and narrower floating-point dtypes.
    k : int
        How many entries a row keeps at most; may exceed `n`.
    threshold : float, optional
        Keep only entries that are greater.
    threads : int, optional
        Use at most so many threads (never more than `get_num_threads()`).
    memory_budget : int or str, optional
        Bytes that the result may take, at most `k` entries for each row of `A`: 4000000000 or "4GiB". By
        default nine tenths of the memory that this process can still have. The product itself takes none.

    Returns
    -------
    CSR
        Of shape (m, n), each row by rank: largest value first, the lower column first among equal
        values, nan behind all numbers. So `indices` of a row are its columns from best to worst, and
        they are not sorted (`has_sorted_indices` is False); `canonical()` gives them by column.

    Raises
    ------
    ShapeError
        If the inner extents differ.
    ValueError
        If `k` is less than 1, or `threshold` is nan.
    MemoryBudgetError
        If the result takes more than the budget.
    UnsupportedError
        If an operand is dense, or the product is accumulated as an integer or a complex number.

    Notes
    -----
    Only stored entries of the product take part: where A and B have no entries in common there is
    nothing to select, so a row may hold fewer than `k`, and an entry that cancelled to zero is an entry
    like any other. With a threshold nan is never kept. The selection is made before the values are
    rounded to the dtype of the result.

    O(multiply-adds + entries of the product log k); see Gustavson (1978) for the product.

    Examples
    --------
    >>> import deepgemm as dg
    >>> A = dg.CSR([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    >>> best = dg.matmul_topk(A, dg.CSR([[1.0, 5.0], [1.0, 0.0], [1.0, 1.0]]), k=1)
    >>> best.toarray()
    array([[0., 5.],
           [3., 0.]])
    """
    op = "matmul_topk"
    env = request.current_settings()
    wanted = request.options(op, None, threads, None, True, env)
    left, right = request.sparse_operand(op, "A", A), request.sparse_operand(op, "B", B)
    most = request.positive(op, "k", k)
    request.check_shapes(op, left, right)
    chain, output = request.output_dtype(op, left.dtype, right.dtype, right.shape[0], None)
    if chain.char not in "fd":
        raise UnsupportedError(
            f"{op}: the product of {left.dtype} and {right.dtype} is accumulated in {chain}, expected "
            "float32 or float64; use .astype() on an operand"
        )
    left._check_fresh()
    right._check_fresh()
    kernel: Any = registry.find(op, "csr_csr_top")
    granted = budget.budget_of(op, memory_budget)
    limit = budget.limit_for(left, right, granted, most)
    selected: CSR | None = kernel.largest(
        left,
        right,
        (chain, output),
        wanted.choice.isa,
        wanted.threads or 0,
        min(most, LARGEST_K),
        None if threshold is None else _floor(op, threshold, chain),
        limit,
    )
    if selected is None:
        budget.refuse(op, limit, granted, lambda: predict(left, right, env))
    return selected


def _floor(op: str, threshold: float, dtype: np.dtype[Any]) -> float:
    """Return the largest value of the dtype that is not above the threshold: the same entries are greater."""
    try:
        exact = float(threshold)
    except (TypeError, ValueError):
        raise ValueError(f"{op}: threshold is {threshold!r}, expected a number") from None
    if math.isnan(exact):
        raise ValueError(f"{op}: threshold is nan, expected a number")
    with np.errstate(over="ignore"):
        nearest = dtype.type(exact)
    return float(nearest if float(nearest) <= exact else np.nextafter(nearest, dtype.type(-math.inf)))
