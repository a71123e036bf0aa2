"""Stacks of dense matrices in a product: what the planner is shown of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import accumulator
from ..errors import ShapeError, UnsupportedError
from ..planner.problem import Side
from ..planner.stacks import folds
from ..sparse.quantized import Quantized

__all__ = ["refuse_stacks", "shown"]


def shown(stack: Any, fixed: Side, dtype: np.dtype[Any]) -> Any:
    """Return an array of two axes (or the vector) that has the shape, dtype and order kernels will meet.

    Parameters
    ----------
    stack : numpy.ndarray
        The dense operand, of any number of axes.
    fixed : {"left", "right"}
        Where the sparse operand stands.
    dtype : numpy.dtype
        Of the sparse operand.

    Notes
    -----
    Only looked at, never read: elements of a folded stack do not have to lie in order.
    """
    if stack.ndim <= 2:
        return stack
    *batch, rows, columns = stack.shape
    count = math.prod(batch)
    itemsize = accumulator(stack.dtype, dtype).itemsize
    contiguous = stack.flags.c_contiguous
    if not folds(stack.shape, itemsize, fixed, contiguous):
        return stack[(0,) * len(batch)] if count else np.empty((rows, columns), stack.dtype)
    if fixed == "right" and contiguous:
        return stack.reshape(count * rows, columns)
    shape = (count * rows, columns) if fixed == "right" else (rows, count * columns)
    return np.broadcast_to(np.zeros((), stack.dtype), shape)


def refuse_stacks(op: str, left: Any, right: Any) -> None:
    """Raise if an operand of a product without a sparse one has more than two axes."""
    quantised = isinstance(left, Quantized) or isinstance(right, Quantized)
    for name, array in (("A", left), ("X", right)):
        if array.ndim > 2 and quantised:
            raise UnsupportedError(
                f"{op}: {name} has {array.ndim} dimensions, expected 1 or 2 beside a quantised operand; "
                "stacks meet a sparse operand, or multiply their matrices one by one"
            )
        if array.ndim > 2:
            raise ShapeError(
                f"{op}: {name} has {array.ndim} dimensions, expected 1 or 2; stacks meet a sparse operand, "
                "and matmul takes them beside dense ones"
            )
