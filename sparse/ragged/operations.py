"""Reductions and normalisations within segments, each in the order that `deepgemm.reference` states."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ... import _core
from ...config import forced_isa
from ...dtypes import accumulator, canonical, default_output
from ...errors import DTypeError, FormatError, ShapeError
from ...rounding import rounded as round_once
from .core import Stored
from .padding import scalar_of
from .sorting import best_places, refuse_complex, values_at

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

R = TypeVar("R", bound="Operations")


class Operations(Stored):
    """What is computed within each segment.

    Rows of single numbers are reduced in 16 interleaved chains (lane = position mod 16, then a tree); rows
    that have axes are reduced element by element, each in one ascending chain, as an embedding bag. Sums are
    kept in the accumulator dtype (float32 for narrower floats) and rounded once, so results do not depend on
    the instruction set or the number of threads. Whole segments are split between threads. `DEEPGEMM_KERNEL`
    chooses an instruction set; names of products' kernels do not matter here.
    """

    __slots__ = ()

    def sum(self, dtype: npt.DTypeLike | None = None) -> Array:
        """Return the sum of each segment, of shape (segments, ...); 0 for an empty one.

        Parameters
        ----------
        dtype : dtype_like, optional
            Dtype of the result. By default that of the values; float32 for float8, and int64 or uint64 for
            integers and bool, as in NumPy.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1.0, 2.0], [], [3.0]]).sum()
        array([3., 0., 3.])
        """
        self._check_fresh()
        chain, output = _sum_dtypes(self.dtype)
        if dtype is not None:
            output = canonical(dtype, f"{type(self).__name__}.sum: dtype")
        return _rounded(self._sums(chain), output)

    def mean(self, dtype: npt.DTypeLike | None = None) -> Array:
        """Return the mean of each segment, of shape (segments, ...); nan for an empty one.

        The sum in the accumulator dtype is divided by the length, and rounded once.

        Parameters
        ----------
        dtype : dtype_like, optional
            Dtype of the result. By default as for `sum`, but float64 for integers and bool.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1.0, 2.0], [3.0]]).mean()
        array([1.5, 3. ])
        """
        self._check_fresh()
        chain, output = _sum_dtypes(self.dtype)
        sums = self._sums(chain)
        if chain.kind in "iu":
            sums, output = sums.astype(np.float64), np.dtype(np.float64)
        if dtype is not None:
            output = canonical(dtype, f"{type(self).__name__}.mean: dtype")
        # As real numbers: NumPy's division of complex by real ones rounds otherwise.
        numbers = (2 if sums.dtype.kind == "c" else 1) * math.prod(self.row_shape)
        parts = sums.view(sums.real.dtype).reshape(len(self), numbers)
        with np.errstate(all="ignore"):
            means = parts / self.lengths.astype(parts.dtype)[:, None]
        return _rounded(means.view(sums.dtype).reshape(sums.shape), output)

    def max(self, initial: Any = None) -> Array:
        """Return the largest row of each segment, element by element; a nan is larger than anything.

        Parameters
        ----------
        initial : scalar, optional
            The least result, which empty segments get.

        Raises
        ------
        ShapeError
            If a segment is empty and there is no `initial`.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 5], [3]]).max()
        array([5, 3])
        >>> dg.Ragged([[1, 5], []]).max(initial=2)
        array([5, 2])
        """
        return self._extreme("max", np.maximum, initial)

    def min(self, initial: Any = None) -> Array:
        """Return the smallest row of each segment, element by element; a nan is smaller than anything.

        Parameters
        ----------
        initial : scalar, optional
            The greatest result, which empty segments get.

        Raises
        ------
        ShapeError
            If a segment is empty and there is no `initial`.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 5], [3]]).min()
        array([1, 3])
        """
        return self._extreme("min", np.minimum, initial)

    def argmax(self) -> Array:
        """Return the position, within each segment, of its first largest element, or of its first nan.

        Raises
        ------
        ShapeError
            If a segment is empty; `r[r.lengths > 0]` has those that are not.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 5], [3]]).argmax()
        array([1, 0])
        """
        return self._place("argmax")

    def argmin(self) -> Array:
        """Return the position, within each segment, of its first smallest element, or of its first nan.

        Raises
        ------
        ShapeError
            If a segment is empty; `r[r.lengths > 0]` has those that are not.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 5], [3]]).argmin()
        array([0, 0])
        """
        return self._place("argmin")

    def softmax(self: R) -> R:
        """Return ``exp(x - max) / sum(exp(x - max))`` within each segment.

        `exp` is the same sequence of operations everywhere, within one unit in the last place. The dtype is
        that of the values; float32 for float8, float64 for integers.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[0.0, 0.0], [7.0]]).softmax().to_list()
        [[0.5, 0.5], [1.0]]
        """
        return self._rows("softmax")

    def log_softmax(self: R) -> R:
        """Return ``(x - max) - log(sum(exp(x - max)))`` within each segment; dtypes as for `softmax`.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[3.0], []]).log_softmax().to_list()
        [[0.0], []]
        """
        return self._rows("log_softmax")

    def layer_norm(self: R, eps: float = 1e-5, over: str = "segment") -> R:
        """Return values less their mean, divided by ``sqrt(variance + eps)``.

        An affine map follows as ``r.layer_norm() * weight + bias``.

        Parameters
        ----------
        eps : float
            Added to the variance; not negative.
        over : {"segment", "row"}
            What is normalised: each element of a row along its segment, or each row, which needs axes.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1.0, 3.0], [5.0]]).layer_norm(eps=3.0).to_list()
        [[-0.5, 0.5], [0.0]]
        """
        owner = f"{type(self).__name__}.layer_norm"
        if not eps >= 0:
            raise FormatError(f"{owner}: eps is {eps!r}, expected at least 0")
        if over == "segment":
            return self._rows("layer_norm", eps)
        if over != "row" or not self.row_shape:
            choices = '"segment" or "row"' if self.row_shape else '"segment", as rows are single numbers'
            raise FormatError(f"{owner}: over is {over!r}, expected {choices}")
        packed = self.packed()
        chain, output = _row_dtypes(owner, self.dtype)
        offsets = np.arange(len(packed.values) + 1) * math.prod(self.row_shape)
        flat = _filled("layer_norm", offsets, None, packed.values.reshape(-1).astype(chain, copy=False), eps)
        result: R = self._trusted(_rounded(flat, output).reshape(packed.values.shape), packed._segments)
        return result

    def cumsum(self: R, dtype: npt.DTypeLike | None = None) -> R:
        """Return the sums of each segment up to each row; parameters and dtypes as for `sum`.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 2, 3], [4, 5]]).cumsum().to_list()
        [[1, 3, 6], [4, 9]]
        """
        chain, output = _sum_dtypes(self.dtype)
        if dtype is not None:
            output = canonical(dtype, f"{type(self).__name__}.cumsum: dtype")
        packed: R = self.packed()
        values = packed.values.astype(chain, copy=False)
        if chain.kind in "iu":
            before = _running(values)
            sums = before[1:] - np.repeat(before[packed.starts], packed.lengths, axis=0)
        else:
            parts = _as_reals(values) if values.ndim > 1 or chain.kind == "c" else values
            sums = _filled("cumsum", packed.offsets, None, parts).view(chain).reshape(values.shape)
        return self._trusted(_rounded(sums, output), packed._segments)

    # How it is done

    def _sums(self, chain: np.dtype[Any]) -> Array:
        values = self._values.astype(chain, copy=False)
        if chain.kind in "iu":  # exact in any order
            running = _running(values)
            exact: Array = running[self.ends] - running[self.starts]
            return exact
        if chain.kind == "c" and values.ndim == 1:  # two numbers, and each gets its 16 chains
            sums = np.empty(len(self), chain)
            sums.real = self._reduced("sum", np.ascontiguousarray(values.real))
            sums.imag = self._reduced("sum", np.ascontiguousarray(values.imag))
            return sums
        if chain.kind == "c":
            return self._reduced("sum", _as_reals(values)).view(chain).reshape(len(self), *self.row_shape)
        return self._reduced("sum", values)

    def _reduced(self, operation: str, values: Array, dtype: npt.DTypeLike | None = None) -> Array:
        out = np.empty((len(self), *values.shape[1:]), dtype or values.dtype)
        _core.segments(operation, forced_isa(operation), self.offsets, self._explicit_lengths(), values, out)
        return out

    def _explicit_lengths(self) -> Array | None:
        return self.lengths if self.has_gaps else None

    def _rows(self: R, operation: str, epsilon: float = 0.0) -> R:
        chain, output = _row_dtypes(f"{type(self).__name__}.{operation}", self.dtype)
        packed: R = self.packed()
        values = packed.values.astype(chain, copy=False)
        out = _filled(operation, packed.offsets, None, values, epsilon)
        return self._trusted(_rounded(out, output), packed._segments)

    def _extreme(self, operation: str, combine: np.ufunc, initial: Any) -> Array:
        owner = f"{type(self).__name__}.{operation}"
        refuse_complex(owner, self.dtype)
        self._check_fresh()
        if initial is None:
            self._refuse_empty(owner, f"; initial= gives the {operation} of an empty segment")
            return self._extremes(operation)
        least = scalar_of(owner, "initial", initial, self.dtype)
        result: Array = combine(self._extremes(operation, least), least)
        return result

    def _extremes(self, operation: str, of_nothing: Array | None = None) -> Array:
        if self.dtype.kind not in "biu":  # whose kernels begin with infinity
            chain = accumulator(self.dtype, self.dtype)
            return self._reduced(operation, self._values.astype(chain, copy=False)).astype(
                self.dtype, copy=False
            )
        full = np.flatnonzero(self.lengths)
        result = np.empty((len(self), *self.row_shape), self.dtype)
        result[full] = values_at(self, full, best_places(self, descending=operation == "max"))
        if of_nothing is not None:
            result[self.lengths == 0] = of_nothing
        return result

    def _place(self, operation: str) -> Array:
        owner = f"{type(self).__name__}.{operation}"
        refuse_complex(owner, self.dtype)
        self._check_fresh()
        self._refuse_empty(owner, "")
        if self.dtype.kind in "biu":
            return best_places(self, descending=operation == "argmax")
        chain = accumulator(self.dtype, self.dtype)
        return self._reduced(operation, self._values.astype(chain, copy=False), np.int64)

    def _refuse_empty(self, owner: str, hint: str) -> None:
        if len(self) and self._segments.shortest == 0:
            raise ShapeError(f"{owner}: segment {int((self.lengths == 0).argmax())} is empty{hint}")


def _filled(
    operation: str, offsets: Array, lengths: Array | None, values: Array, epsilon: float = 0.0
) -> Array:
    out = np.empty_like(values)
    _core.segments(operation, forced_isa(operation), offsets, lengths, values, out, epsilon)
    return out


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    return values if values.dtype == dtype else round_once(values, dtype)


@lru_cache(maxsize=64)
def _sum_dtypes(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype in which values of `dtype` are summed, and that of the result."""
    if dtype.kind in "biu":
        wide = np.dtype(np.uint64 if dtype.kind == "u" else np.int64)
        return wide, wide
    return accumulator(dtype, dtype), default_output(dtype, dtype, 0)


def _row_dtypes(owner: str, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype in which a normalisation computes, and that of its result."""
    if dtype.kind == "c":
        raise DTypeError(f"{owner}: values are {dtype}, expected real numbers")
    if dtype.kind in "biu":
        return np.dtype(np.float64), np.dtype(np.float64)
    return _sum_dtypes(dtype)


def _running(values: Array) -> Array:
    """Return the sums of all rows before each row, and of all; integers wrap, so differences are exact."""
    sums = np.zeros((len(values) + 1, *values.shape[1:]), values.dtype)
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _as_reals(values: Array) -> Array:
    """Return rows of real numbers: the real and imaginary parts are elements of their own."""
    numbers = (2 if values.dtype.kind == "c" else 1) * math.prod(values.shape[1:])
    return values.view(values.real.dtype).reshape(len(values), numbers)
