"""Stacks of dense matrices in a product: what the planner is shown of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import accumulator
from ..errors import UnsupportedError
from ..planner.problem import Side
from ..planner.stacks import folds
from ..sparse.quantized import Quantized

__all__ = ["member", "refuse_stacks", "shown", "shown_dense"]


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
    count, (rows, columns) = math.prod(stack.shape[:-2]), stack.shape[-2:]
    itemsize = accumulator(stack.dtype, dtype).itemsize
    contiguous = stack.flags.c_contiguous
    if not folds(stack.shape, itemsize, fixed, contiguous):
        return member(stack)
    if fixed == "right" and contiguous:
        return stack.reshape(count * rows, columns)
    shape = (count * rows, columns) if fixed == "right" else (rows, count * columns)
    return np.broadcast_to(np.zeros((), stack.dtype), shape)


def shown_dense(stack: Any, fixed: Side) -> Any:
    """Return the same where the operand that is kept is a dense matrix.

    Rows of members that lie below one another are those of one matrix; others are multiplied one by one.
    """
    if fixed == "right" and stack.flags.c_contiguous:
        return stack.reshape(math.prod(stack.shape[:-1]), stack.shape[-1])
    return member(stack)


def member(stack: Any) -> Any:
    """Return the first matrix of a stack, or one of its shape if it has none; a matrix or vector as it is."""
    if stack.ndim <= 2:
        return stack
    if math.prod(stack.shape[:-2]) == 0:
        return np.empty(stack.shape[-2:], stack.dtype)
    return stack[(0,) * (stack.ndim - 2)]


def refuse_stacks(op: str, left: Any, right: Any) -> None:
    """Raise if an operand beside a quantised one has more than two axes."""
    quantised = isinstance(left, Quantized) or isinstance(right, Quantized)
    for name, array in (("A", left), ("X", right)):
        if array.ndim > 2 and quantised:
            raise UnsupportedError(
                f"{op}: {name} has {array.ndim} dimensions, expected 1 or 2 beside a quantised operand; "
                "stacks meet a sparse operand, or multiply their matrices one by one"
            )
