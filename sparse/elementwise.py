"""Element-wise arithmetic, comparison and NumPy's ufunc protocol for sparse arrays."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import UnsupportedError
from .core import Operand
from .interop import binary, moved
from .scaling import scaled_by_dense

if TYPE_CHECKING:
    from .base import SparseArray

    Array = npt.NDArray[Any]

# Ufuncs f with f(0) == 0: they are applied to the entries, and empty places stay empty.
_ZERO_PRESERVING = frozenset(
    {
        np.absolute, np.arcsin, np.arcsinh, np.arctan, np.arctanh, np.cbrt, np.ceil, np.conjugate, np.deg2rad,
        np.expm1, np.fabs, np.floor, np.isinf, np.isnan, np.log1p, np.negative, np.positive, np.rad2deg,
        np.rint, np.sign, np.signbit, np.sin, np.sinh, np.sqrt, np.square, np.tan, np.tanh, np.trunc,
    }
)  # fmt: skip

# The operator that a ufunc of two operands stands for, and its reflection.
_OPERATORS = {
    np.matmul: ("__matmul__", "__rmatmul__"),
    np.add: ("__add__", "__radd__"),
    np.subtract: ("__sub__", "__rsub__"),
    np.multiply: ("__mul__", "__rmul__"),
    np.true_divide: ("__truediv__", "__rtruediv__"),
    np.power: ("__pow__", "__rpow__"),
    np.equal: ("__eq__", "__eq__"),
    np.not_equal: ("__ne__", "__ne__"),
    np.less: ("__lt__", "__gt__"),
    np.less_equal: ("__le__", "__ge__"),
    np.greater: ("__gt__", "__lt__"),
    np.greater_equal: ("__ge__", "__le__"),
    np.maximum: ("maximum", "maximum"),
    np.minimum: ("minimum", "minimum"),
}


class Elementwise(Operand):
    """Arithmetic that is not a product.

    Operations with a number and functions of one array act on the stored entries, as NumPy does for
    their dtype. Operations on two arrays are SciPy's, over shared memory; entries of dtypes that SciPy
    lacks (float16, bfloat16, float8) are widened to float32 for them, and so is the result. As in
    SciPy, sparse with dense gives what the operation makes of it: `A + X` is dense, `A * X` sparse.
    A dense row or column that is multiplied or divided by scales columns or rows (see `Scaling`) and keeps
    the format. Duplicates are summed first.
    """

    __slots__ = ()

    def _apply(self: Any, function: Any, *args: Any) -> SparseArray:
        """Return the array with `function(entries, ...)` for its entries."""
        self._check_fresh()
        array: SparseArray = self.canonical()
        return array.with_data(function(array.data, *args))

    # Of one array

    def __neg__(self) -> SparseArray:
        return self._apply(np.negative)

    def __pos__(self) -> SparseArray:
        return self._apply(np.positive)

    def __abs__(self) -> SparseArray:
        return self._apply(np.absolute)

    def conj(self) -> SparseArray:
        """Return the complex conjugate."""
        return self._apply(np.conjugate)

    def conjugate(self) -> SparseArray:
        """Return the complex conjugate."""
        return self.conj()

    @property
    def real(self) -> SparseArray:
        """The real part."""
        return self._apply(np.real)

    @property
    def imag(self) -> SparseArray:
        """The imaginary part; its zeros stay stored."""
        return self._apply(np.imag)

    # With another array or a number

    def __add__(self: Any, other: Any) -> Any:
        if _is_scalar(other):
            return self._plus_scalar(other)
        return binary(self, "__add__", other)

    def __radd__(self, other: Any) -> Any:
        return self.__add__(other)

    def __sub__(self: Any, other: Any) -> Any:
        if _is_scalar(other):
            return self._plus_scalar(other)
        return binary(self, "__sub__", other)

    def __rsub__(self: Any, other: Any) -> Any:
        if _is_scalar(other):
            return (-self)._plus_scalar(other)
        return binary(self, "__rsub__", other)

    def _plus_scalar(self, scalar: Any) -> Any:
        if scalar == 0:
            return self
        raise UnsupportedError(
            f"adding {scalar} to every place of a {type(self).__name__} would make it dense; use .toarray()"
        )

    def __mul__(self: Any, other: Any) -> Any:
        if _is_scalar(other):
            return self._apply(np.multiply, other)
        scaled = scaled_by_dense(self, other)
        return binary(self, "multiply", other) if scaled is None else scaled

    def __rmul__(self, other: Any) -> Any:
        return self.__mul__(other)

    def multiply(self, other: Any) -> Any:
        """Return the element-wise product, as `*` does.

        Examples
        --------
        >>> import deepgemm as dg
        >>> A = dg.CSR([[1.0, 2.0], [0.0, 3.0]])
        >>> A.multiply(A).toarray()
        array([[1., 4.],
               [0., 9.]])
        """
        return self * other

    def __truediv__(self: Any, other: Any) -> Any:
        if _is_scalar(other):
            return self._apply(np.true_divide, other)
        if isinstance(other, Operand) or hasattr(other, "tocsr"):
            raise UnsupportedError(
                f"{type(self).__name__} / {type(other).__name__} would be dense: it is nan wherever both are "
                "empty; divide by .toarray(), or multiply by a sparse reciprocal"
            )
        scaled = scaled_by_dense(self, other, divide=True)
        return binary(self, "__truediv__", other) if scaled is None else scaled

    def divide(self, other: Any) -> Any:
        """Return the element-wise quotient, as `/` does; the divisor must be a number or dense."""
        return self / other

    def __pow__(self: Any, power: Any) -> Any:
        if not _is_scalar(power):
            return NotImplemented
        if power == 0:
            raise UnsupportedError(
                f"{type(self).__name__} ** 0 would be dense: every place would be 1; use np.ones(A.shape)"
            )
        return self._apply(np.power, power)

    def power(self, n: Any, dtype: npt.DTypeLike | None = None) -> Any:
        """Return the entries to the power of a number; empty places stay empty, for negative ones too.

        Parameters
        ----------
        n : number
            The exponent, not 0.
        dtype : dtype_like, optional
            Dtype that the entries are converted to first.
        """
        array: Any = self if dtype is None else self.astype(dtype)  # type: ignore[attr-defined]
        return array**n

    def maximum(self: Any, other: Any) -> Any:
        """Return the element-wise maximum with an array or a number."""
        return binary(self, "maximum", other)

    def minimum(self: Any, other: Any) -> Any:
        """Return the element-wise minimum with an array or a number."""
        return binary(self, "minimum", other)

    # Comparison

    def __eq__(self: Any, other: object) -> Any:
        return binary(self, "__eq__", other)

    def __ne__(self: Any, other: object) -> Any:
        return binary(self, "__ne__", other)

    def __lt__(self: Any, other: Any) -> Any:
        return binary(self, "__lt__", other)

    def __le__(self: Any, other: Any) -> Any:
        return binary(self, "__le__", other)

    def __gt__(self: Any, other: Any) -> Any:
        return binary(self, "__gt__", other)

    def __ge__(self: Any, other: Any) -> Any:
        return binary(self, "__ge__", other)

    __hash__ = None  # `==` is element-wise

    def __bool__(self) -> bool:
        if self.shape == (1, 1):
            return bool(moved(self, lambda matrix: matrix[0, 0]))  # type: ignore[arg-type]
        raise ValueError("the truth value of a sparse array is ambiguous; use .nnz or .count_nonzero()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Serve the ufuncs that keep a sparse array sparse, and `numpy_array @ A`; refuse all others."""
        out = options.pop("out", None)
        if method != "__call__" or options:
            return NotImplemented
        result = self._call_ufunc(ufunc, inputs)
        if out is None or result is NotImplemented:
            return result
        if not isinstance(result, np.ndarray):
            raise TypeError(f"np.{ufunc.__name__} gives a sparse array here, which does not fit out=")
        np.copyto(out[0], result, casting="same_kind")
        return out[0]

    def _call_ufunc(self, ufunc: Any, inputs: tuple[Any, ...]) -> Any:
        if ufunc in _ZERO_PRESERVING:
            return self._apply(ufunc)
        if ufunc not in _OPERATORS:
            return NotImplemented
        forward, reflected = _OPERATORS[ufunc]
        left, right = inputs
        if isinstance(left, Operand):
            result = getattr(left, forward)(right)
            if result is not NotImplemented or not isinstance(right, Operand):
                return result
        return getattr(right, reflected, lambda _: NotImplemented)(left)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 0
    return isinstance(value, numbers.Number | np.generic)
