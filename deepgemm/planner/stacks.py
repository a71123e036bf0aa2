"""How a stack of matrices is multiplied: one after the other, or folded side by side into one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .problem import Problem, Side

__all__ = ["FoldedCallback", "folds", "runner_options"]

Array = npt.NDArray[Any]

# Matrices of rows (columns, on the left) shorter than this many bytes leave parts of registers empty, or
# are vectors: side by side they share the reading of the sparse operand. Above, folding only copies.
FOLD_BYTES = 64


def folds(shape: tuple[int, ...], itemsize: int, fixed: Side, contiguous: bool) -> bool:
    """Return whether a stack of this shape is to be folded.

    Parameters
    ----------
    shape : tuple of int
        Of the stack; the last two axes are those of each matrix.
    itemsize : int
        Bytes of an element in the accumulator dtype.
    fixed : {"left", "right"}
        Where the sparse operand stands.
    contiguous : bool
        Whether the stack is C-contiguous. Rows of X @ A then lie side by side without any copy.
    """
    if math.prod(shape[:-2]) <= 1:
        return False
    across = shape[-1] if fixed == "left" else shape[-2]
    return (contiguous and fixed == "right") or across * itemsize < FOLD_BYTES


def runner_options(problem: Problem, serial: bool) -> dict[str, Any]:
    """Return what a runner is told of the problem's stack.

    Parameters
    ----------
    problem : Problem
    serial : bool
        Whether one matrix alone is too little work for more than one thread.
    """
    return {"fold": problem.folded, "share_members": serial, "members": problem.members}


class FoldedCallback:
    """Calls a kernel of two-dimensional operands, such as SciPy's, on a stack."""

    __slots__ = ("_call", "_fixed", "_out_shape")

    def __init__(self, call: Callable[[Any, Any], Any], problem: Problem) -> None:
        self._call, self._fixed, self._out_shape = call, problem.fixed, problem.output_shape

    def __call__(self, other: Array, out: Array | None) -> Any:
        """Return the products, written to `out` if it is given."""
        *batch, rows, columns = self._out_shape
        if self._fixed == "right":
            one_below_the_other = other.reshape(math.prod(batch) * rows, other.shape[-1])
            result = self._call(one_below_the_other, None).reshape(self._out_shape)
        else:
            inner = other.shape[-2]
            side_by_side = np.moveaxis(other, -2, 0).reshape(inner, math.prod(batch) * columns)
            wide = self._call(side_by_side, None).reshape(rows, *batch, columns)
            result = np.ascontiguousarray(np.moveaxis(wide, 0, -2))
        if out is None:
            return result
        np.copyto(out, result)
        return out
