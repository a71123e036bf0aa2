"""Rows and columns of sparse arrays times weights, and brought to length one; the structure stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..dtypes import canonical, is_inexact, scipy_dtype
from ..errors import ShapeError
from ..rounding import rounded
from . import convert
from .core import Operand
from .reductions import line_norms, lines_of, one_axis, require_real, summable, weighted
from .validate import plain_array

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

S = TypeVar("S", bound="Scaling")

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class Scaling(Operand):
    """Weights for rows and columns.

    Results share the structure of the array, and re-use what its layouts know of it (see `with_data`). Each
    entry is rounded once. Places without an entry stay empty, whatever the weight. Duplicates are summed
    first.
    """

    __slots__ = ()

    def scale_rows(self: S, weights: npt.ArrayLike) -> S:
        """Return `diag(weights) @ self`: each row times its weight; `A * weights[:, None]` does the same.

        Parameters
        ----------
        weights : array_like, shape (rows,)
            Any numbers, nan and inf included.

        Returns
        -------
        sparse array
            Of the same format; the dtype is NumPy's for such a product (float32 for narrower floats).

        Raises
        ------
        ShapeError
            If there is not one weight for each row.

        Notes
        -----
        O(rows + entries).

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1.0, 2.0], [0.0, 3.0]]).scale_rows([10.0, 1.0]).toarray()
        array([[10., 20.],
               [ 0.,  3.]])
        """
        result: S = _scaled(self, "scale_rows", weights, axis=1)
        return result

    def scale_columns(self: S, weights: npt.ArrayLike) -> S:
        """Return `self @ diag(weights)`: each column times its weight; `A * weights` does the same.

        Parameters, result and errors are as for `scale_rows`.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1.0, 2.0], [0.0, 3.0]]).scale_columns([10.0, 1.0]).toarray()
        array([[10.,  2.],
               [ 0.,  3.]])
        """
        result: S = _scaled(self, "scale_columns", weights, axis=0)
        return result

    def normalize(self: Any, axis: int = 1, norm: str = "l2") -> Any:
        """Return the array with each row (`axis=1`) or column (`axis=0`) divided by its norm.

        The norm is computed in float64 (see `norms`), and so is the quotient, which is rounded once. Rows of
        zeros stay as they are.

        Parameters
        ----------
        axis : {1, 0}
            1 for rows, 0 for columns.
        norm : {"l2", "l1", "max"}
            As for `norms`.

        Returns
        -------
        sparse array
            Of the same format and dtype, float64 for integers.

        Notes
        -----
        O(rows + columns + entries).

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[3.0, 4.0], [0.0, 0.0]]).normalize().toarray()
        array([[0.6, 0.8],
               [0. , 0. ]])
        """
        owner = f"{type(self).__name__}.normalize"
        axis = one_axis(owner, axis)
        source = lines_of(self)
        require_real(owner, source)
        norms = line_norms(owner, source, axis, norm)
        norms[norms == 0] = 1
        target = self.dtype if is_inexact(self.dtype) else _FLOAT64
        computed = target if target == _FLOAT32 else _FLOAT64
        data = weighted(
            source, summable(source.data, _FLOAT64).astype(computed, copy=False), axis, norms, computed, True
        )
        return _in_format_of(self, source.with_data(rounded(data, target)))


def scaled_by_dense(array: Any, other: Any, divide: bool = False) -> Any:
    """Return `array * other`, or `array / other`, for a dense row or column; None for any other operand."""
    if type(other) is not np.ndarray or other.ndim not in (1, 2):
        return None
    rows, columns = array.shape
    if other.shape in ((columns,), (1, columns)):
        return _scaled(array, "/" if divide else "*", other.reshape(-1), 0, divide)
    if other.shape == (rows, 1):
        return _scaled(array, "/" if divide else "*", other.reshape(-1), 1, divide)
    return None


def _scaled(array: Any, name: str, weights: Any, axis: int, divide: bool = False) -> Any:
    owner = f"{type(array).__name__}.{name}"
    weights = plain_array(owner, "weights", weights)
    extent = array.shape[1 - axis]
    if weights.shape != (extent,):
        side = ("column", "row")[axis]
        raise ShapeError(
            f"{owner}: weights has shape {weights.shape}, expected ({extent},), one for each {side}"
        )
    weights = weights.astype(scipy_dtype(canonical(weights.dtype, f"{owner}: weights")), copy=False)
    array._check_fresh()
    array = array.canonical()
    data = array.data.astype(scipy_dtype(array.dtype), copy=False)
    function = np.true_divide if divide else np.multiply
    dtype = function(np.ones(0, data.dtype), np.ones(0, weights.dtype)).dtype
    if array.format in ("csr", "csc") and dtype in (_FLOAT32, _FLOAT64):
        if divide or data.dtype != _FLOAT32:  # the core widens float32 on its way
            data = data.astype(dtype, copy=False)
        # The core divides by float64 only: a quotient of float32 rounded from float64 is the right one.
        wide = weights.astype(_FLOAT64 if divide else dtype, copy=False)
        return array.with_data(weighted(array, data, axis, np.ascontiguousarray(wide), dtype, divide))
    with np.errstate(all="ignore"):
        return array.with_data(function(data, _of_each_entry(array, weights, axis)))


def _of_each_entry(array: Any, weights: Array, axis: int) -> Array:
    """Return the weights spread out to the shape of `data`."""
    if array.format == "coo":
        spread: Array = weights[array.row if axis == 1 else array.col]
        return spread
    along = axis != array._major
    lines = convert.expand(array.indptr) if along else array.indices
    if array.format != "bsr":
        return weights[lines]
    blocks = weights.reshape(-1, array.data.shape[1 if along else 2])[lines]
    return blocks[:, :, None] if along else blocks[:, None, :]


def _in_format_of(array: Any, result: Any) -> Any:
    if array.format == "bsr":
        return result.tobsr(array.data.shape[1:])
    return result.asformat(array.format)
