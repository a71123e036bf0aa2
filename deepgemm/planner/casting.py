"""Native products whose operands or result have another dtype: widened before, rounded once behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from ..rounding import rounded
from .ending import Ending
from .problem import Problem, dtype_name

__all__ = ["Casting", "matrix_shape"]


class Casting:
    """Widens the other operand exactly, runs the native plan, and rounds the result once."""

    __slots__ = ("_direct", "_ending", "_inner", "_inner_shape", "_output", "_reads", "_shape")

    def __init__(
        self, inner: _core.Runner, problem: Problem, reads: str, gives: str, ending: Ending | None
    ) -> None:
        self._inner, self._ending = inner, ending
        # Whether the inner result is the outer one, element for element.
        self._direct = problem.output == gives and len(problem.fixed_spec.shape) == 2
        self._reads = np.dtype(reads)
        self._output = np.dtype(problem.output)
        self._shape = problem.output_shape
        self._inner_shape = matrix_shape(self._shape, problem.fixed, len(problem.fixed_spec.shape) == 1)

    def __call__(self, other: Any, out: Any, C: Any = None, beta: float | None = None) -> Any:
        """Return the product, written to `out` if it is given."""
        other = _cast(other, self._reads, _widened)
        if C is not None:
            assert self._ending is not None
            C = self._ending.place(C).reshape(self._inner_shape)
        if out is not None and self._direct:
            return self._inner(other, out=out, C=C, beta=beta)
        wide = self._inner(other, C=C, beta=beta).reshape(self._shape)
        narrow = _cast(wide, self._output, rounded)
        if out is None:
            return narrow
        np.copyto(out, narrow)
        return out


# The casts of the core: from narrow dtypes to float32, and back to two of them.
_NARROW = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8")
_CASTS = {*((name, "float32") for name in _NARROW), *(("float32", name) for name in _NARROW[:2])}
# Elements from which on all threads and vectors gain more than the call costs: NumPy takes 1 ns each.
_LEAST_CAST = 2048


def _widened(array: Any, dtype: np.dtype[Any]) -> Any:
    return array.astype(dtype, copy=False)


def _cast(array: Any, dtype: np.dtype[Any], otherwise: Callable[[Any, Any], Any]) -> Any:
    """Return an array in another dtype, rounded once: by the core where it knows both."""
    names = dtype_name(array.dtype), dtype_name(dtype)
    flags = array.flags
    plain = flags.aligned and (flags.c_contiguous or flags.f_contiguous)
    if names not in _CASTS or array.ndim > 2 or array.size < _LEAST_CAST or not plain:
        return otherwise(array, dtype)
    made = np.empty(array.shape, dtype, order="C" if flags.c_contiguous else "F")
    _core.cast(array, made)
    return made


def matrix_shape(shape: tuple[int, ...], side: str, fixed_is_vector: bool) -> tuple[int, ...]:
    """Return the result's shape with the extent that a fixed vector lost: a row left, a column right."""
    if not fixed_is_vector:
        return shape
    return (1, *shape) if side == "left" else (*shape, 1)
