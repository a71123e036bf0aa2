"""NumPy's universal functions and operators, applied to the values of matching segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...dtypes import canonical
from ...errors import DTypeError, ShapeError
from ..validate import plain_array
from .core import Stored
from .join import concatenate

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

# What to use instead of reducing all segments into each other, for messages.
_REDUCTIONS: dict[Any, str] = {
    np.add: ".sum()",
    np.maximum: ".max()",
    np.minimum: ".min()",
}


class Elementwise(Stored):
    """Arithmetic element by element: with numbers, with ragged arrays of the same lengths, and with arrays.

    An array must broadcast against a row, so it has at most as many axes as a row; `r.broadcast(x)` makes one
    row for each row of `r` out of one for each segment. Gaps of operands are left out of results.
    """

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = f"{type(self).__name__}: numpy.{ufunc.__name__}"
        if method != "__call__":
            instead = _REDUCTIONS.get(ufunc, ", such as .sum() and .cumsum(),")
            raise TypeError(
                f"{name}.{method} would mix segments; methods of Ragged{instead} stay within them, "
                "and .values is a plain array"
            )
        if ufunc is np.matmul and not options:
            left, right = inputs
            return left @ right if isinstance(left, Stored) else right.__rmatmul__(left)
        if ufunc.signature is not None:
            raise TypeError(f"{name} is no element-wise function; .values is a plain array")
        if options.get("out") is not None:
            raise TypeError(f"{name}: out= is not taken, ragged arrays are immutable")
        if options.pop("where", True) is not True:
            raise TypeError(f"{name}: where= is not taken")
        return _apply(name, ufunc, inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        if function is np.concatenate:
            return concatenate(*args, **options)
        raise TypeError(
            f"{type(self).__name__}: numpy.{function.__name__} is for plain arrays, such as .values; "
            "methods such as .sum() and .to_padded() work on segments"
        )

    def __add__(self, other: Any) -> Any:
        return _operate(np.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _operate(np.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _operate(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _operate(np.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return _operate(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _operate(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _operate(np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _operate(np.true_divide, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _operate(np.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _operate(np.floor_divide, other, self)

    def __mod__(self, other: Any) -> Any:
        return _operate(np.remainder, self, other)

    def __rmod__(self, other: Any) -> Any:
        return _operate(np.remainder, other, self)

    def __pow__(self, other: Any) -> Any:
        return _operate(np.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _operate(np.power, other, self)

    def __and__(self, other: Any) -> Any:
        return _operate(np.bitwise_and, self, other)

    def __rand__(self, other: Any) -> Any:
        return _operate(np.bitwise_and, other, self)

    def __or__(self, other: Any) -> Any:
        return _operate(np.bitwise_or, self, other)

    def __ror__(self, other: Any) -> Any:
        return _operate(np.bitwise_or, other, self)

    def __xor__(self, other: Any) -> Any:
        return _operate(np.bitwise_xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return _operate(np.bitwise_xor, other, self)

    def __eq__(self, other: Any) -> Any:
        return _operate(np.equal, self, other)

    def __ne__(self, other: Any) -> Any:
        return _operate(np.not_equal, self, other)

    def __lt__(self, other: Any) -> Any:
        return _operate(np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return _operate(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return _operate(np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return _operate(np.greater_equal, self, other)

    def __neg__(self) -> Any:
        return np.negative(self)

    def __pos__(self) -> Any:
        return np.positive(self)

    def __abs__(self) -> Any:
        return np.absolute(self)

    def __invert__(self) -> Any:
        return np.invert(self)


def _operate(ufunc: np.ufunc, left: Any, right: Any) -> Any:
    other = right if isinstance(left, Elementwise) else left
    if other is None or isinstance(other, str | bytes | dict | set):
        return NotImplemented
    return ufunc(left, right)


def _apply(name: str, ufunc: np.ufunc, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    ragged = [part for part in inputs if isinstance(part, Elementwise)]
    first = ragged[0]
    for part in ragged:
        part._check_fresh()
        _check_alike(name, first, part)
    # One structure for all of them where they share it, gaps and all; else none has gaps.
    shared = all(part._segments is first._segments for part in ragged) and not first.has_gaps
    segments = first._segments if shared else first._segments.packed()
    operands = [_operand(name, first, part) for part in inputs]
    results = ufunc(*operands, **options)
    if not isinstance(results, tuple):
        return _wrap(name, first, results, segments)
    return tuple(_wrap(name, first, result, segments) for result in results)


def _operand(name: str, first: Elementwise, part: Any) -> Any:
    if isinstance(part, Elementwise):
        return part._values[part._segments.rows()] if part.has_gaps else part._values
    if isinstance(part, int | float | complex | np.generic):
        return part
    array = plain_array(name, "the other operand", part)
    canonical(array.dtype, f"{name}: the other operand")
    try:
        fits = np.broadcast_shapes(array.shape, first.row_shape) == first.row_shape
    except ValueError:
        fits = False
    if not fits:
        hint = "; broadcast() makes rows of one entry for each segment" if array.ndim else ""
        raise ShapeError(
            f"{name}: an operand has shape {array.shape}, which does not broadcast against "
            f"rows of shape {first.row_shape}{hint}"
        )
    return array


def _check_alike(name: str, first: Elementwise, other: Elementwise) -> None:
    if first.row_shape != other.row_shape and len(first.row_shape) != len(other.row_shape):
        raise ShapeError(f"{name}: operands have rows of shapes {first.row_shape} and {other.row_shape}")
    if first._segments.same_lengths(other._segments):
        return
    if len(first) != len(other):
        raise ShapeError(f"{name}: operands have {len(first)} and {len(other)} segments")
    at = int((first.lengths != other.lengths).argmax())
    raise ShapeError(
        f"{name}: segment {at} has length {first.lengths[at]} in one operand "
        f"and {other.lengths[at]} in another"
    )


def _wrap(name: str, like: Elementwise, result: Any, segments: Any) -> Elementwise:
    try:
        canonical(result.dtype)
    except DTypeError as error:
        raise DTypeError(f"{name}: the result cannot be stored: {error}") from None
    return like._trusted(np.ascontiguousarray(result), segments)
