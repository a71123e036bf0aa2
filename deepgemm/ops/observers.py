"""Observers: what range a stream of matrices should be quantised to."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..dtypes import quantized
from ..errors import DTypeError, ShapeError
from ..sparse.quantized_blocks import block_of, grid, panels
from ._grid import ends as ends_of
from .quantize import fake_quantize, matrix

__all__ = ["MSEObserver", "MinMaxObserver", "MovingAverageObserver", "Observer", "PercentileObserver"]

Array = npt.NDArray[Any]
Self = TypeVar("Self", bound="Observer")

# Bins of a histogram, over a range that is symmetric and a power of two: doubling it merges pairs of bins,
# so that the counts do not depend on the order of what was observed.
BINS = 2048
# Ranges that are tried for each end, as shares of the observed one.
CANDIDATES = 64


class Observer(ABC):
    """Follows the matrices that pass by, and says which range to quantise them to.

    Parameters
    ----------
    axis, group_size : int, optional
        As for `quantize`: each of its blocks has a range of its own.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> observer: dg.Observer = dg.MinMaxObserver()
    >>> for batch in (np.array([[1.0, 2.0]]), np.array([[-3.0, 0.0]])):
    ...     observer = observer.observe(batch)
    >>> dg.quantize(batch, "int8", limits=observer.limits)
    Quantized(shape=(1, 2), dtype=int8, a float32 scale for all, memory=6 B)
    """

    def __init__(self, *, axis: int | None = None, group_size: int | None = None) -> None:
        self.axis, self.group_size = axis, group_size
        block_of(type(self).__name__, (1, 1), axis, group_size)
        self._counts: tuple[int, int] | None = None  # blocks along each axis

    def observe(self: Self, x: npt.ArrayLike) -> Self:
        """Take a matrix into account, and return the observer itself.

        Raises
        ------
        ShapeError, DTypeError
            If `x` is no real matrix, or has other blocks than those before.
        ValueError
            If it has an infinity or nan.
        """
        name = type(self).__name__
        array = matrix(name, x)
        shape = (array.shape[0], array.shape[1])
        block = block_of(name, shape, self.axis, self.group_size)
        counts = grid(shape, block)
        if self._counts not in (None, counts):
            raise ShapeError(
                f"{name}: x has {counts} blocks, but what was observed before had {self._counts}"
            )
        low, high = ends_of(name, array, block, "raise")
        self._update(array, block, low, high, first=self._counts is None)
        self._counts = counts
        return self

    @property
    def limits(self) -> tuple[Array, Array]:
        """The least and the greatest number to represent, of the shape of the scales, in float64.

        Raises
        ------
        ValueError
            If nothing was observed.
        """
        if self._counts is None:
            raise ValueError(f"{type(self).__name__}: nothing was observed yet")
        return self._limits()

    def __repr__(self) -> str:
        seen = "nothing observed" if self._counts is None else f"{self._counts[0]} × {self._counts[1]} blocks"
        return f"{type(self).__name__}(axis={self.axis}, group_size={self.group_size}, {seen})"

    @abstractmethod
    def _update(self, x: Array, block: tuple[int, int], low: Array, high: Array, *, first: bool) -> None:
        """Take a checked matrix and its least and greatest elements into account."""

    @abstractmethod
    def _limits(self) -> tuple[Array, Array]:
        """Return the limits of what was observed."""


def _check_number(observer: str, name: str, value: Any) -> None:
    if not isinstance(value, numbers.Real):
        raise DTypeError(f"{observer}: {name} is {value!r}, expected a real number")


class MinMaxObserver(Observer):
    """The least and the greatest number that ever occurred.

    Parameters
    ----------
    axis, group_size : int, optional
        As for `quantize`.

    Examples
    --------
    >>> import deepgemm as dg
    >>> observer = dg.MinMaxObserver(axis=1).observe([[1.0, 5.0]]).observe([[-1.0, 2.0]])
    >>> [end.tolist() for end in observer.limits]
    [[[-1.0, 2.0]], [[1.0, 5.0]]]
    """

    _low: Array
    _high: Array

    def _update(self, x: Array, block: tuple[int, int], low: Array, high: Array, *, first: bool) -> None:
        self._low = low if first else np.minimum(self._low, low)
        self._high = high if first else np.maximum(self._high, high)

    def _limits(self) -> tuple[Array, Array]:
        return self._low, self._high


class MovingAverageObserver(MinMaxObserver):
    """A moving average of the least and the greatest number of each matrix.

    Parameters
    ----------
    momentum : float
        Share of the newest matrix, above 0 and up to 1.
    axis, group_size : int, optional
        As for `quantize`.

    Examples
    --------
    >>> import deepgemm as dg
    >>> observer = dg.MovingAverageObserver(0.5).observe([[0.0, 4.0]]).observe([[0.0, 8.0]])
    >>> observer.limits[1].tolist()
    [[6.0]]
    """

    def __init__(
        self, momentum: float = 0.01, *, axis: int | None = None, group_size: int | None = None
    ) -> None:
        super().__init__(axis=axis, group_size=group_size)
        _check_number("MovingAverageObserver", "momentum", momentum)
        if not 0 < momentum <= 1:
            raise ValueError(f"MovingAverageObserver: momentum is {momentum!r}, expected above 0 and up to 1")
        self.momentum = momentum

    def _update(self, x: Array, block: tuple[int, int], low: Array, high: Array, *, first: bool) -> None:
        if first:
            self._low, self._high = low, high
        else:
            self._low = self._low + self.momentum * (low - self._low)
            self._high = self._high + self.momentum * (high - self._high)


class _HistogramObserver(MinMaxObserver):
    """Counts the numbers of each block in `BINS` bins between -2**exponent and 2**exponent."""

    _bins: Array  # blocks × BINS
    _exponents: Array  # one for each block

    def _update(self, x: Array, block: tuple[int, int], low: Array, high: Array, *, first: bool) -> None:
        super()._update(x, block, low, high, first=first)
        exponents = np.frexp(np.maximum(np.abs(low), np.abs(high)))[1].ravel()
        if first:
            self._exponents, self._bins = exponents, np.zeros((low.size, BINS))
        grown = np.maximum(self._exponents, exponents)
        self._bins = _coarser(self._bins, grown - self._exponents)
        self._exponents = grown
        columns = np.arange(x.shape[1]) // block[1]
        for rows in panels((x.shape[0], x.shape[1])):
            owner = (np.arange(rows.start, rows.stop) // block[0])[:, None] * low.shape[1] + columns
            scaled = np.ldexp(x[rows].astype(np.float64), _LOG_HALF - grown[owner])
            place = np.floor(scaled).astype(np.int64) + BINS // 2
            self._bins += np.bincount((owner * BINS + place).ravel(), minlength=self._bins.size).reshape(
                self._bins.shape
            )

    def _edges(self) -> Array:
        """Return the lower edges of the bins, and the upper one of the last."""
        places = np.arange(BINS + 1, dtype=np.float64) - BINS // 2
        edges: Array = np.ldexp(places, (self._exponents - _LOG_HALF)[:, None])
        return edges


_LOG_HALF = (BINS // 2).bit_length() - 1


def _coarser(bins: Array, doublings: Array) -> Array:
    """Return the counts over ranges that are so many times doubled."""
    if not doublings.any():
        return bins
    places = np.arange(BINS) - BINS // 2
    moved = (places >> np.minimum(doublings, 62)[:, None]) + BINS // 2
    flat = np.arange(len(bins))[:, None] * BINS + moved
    return np.bincount(flat.ravel(), bins.ravel(), bins.size).reshape(bins.shape)


class PercentileObserver(_HistogramObserver):
    """The range that holds most numbers of each block, without as many outliers on either side.

    Parameters
    ----------
    percentile : float
        How many of the numbers the range holds at least, in percent.
    axis, group_size : int, optional
        As for `quantize`.

    Notes
    -----
    Numbers are counted in 2048 bins over a range up to twice that of the numbers, so an end is exact to a
    thousandth of it.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> x = np.append(np.linspace(-1, 1, 9999), 1000.0)[None]
    >>> round(float(dg.PercentileObserver(99.9).observe(x).limits[1][0, 0]))
    1
    """

    def __init__(
        self, percentile: float = 99.99, *, axis: int | None = None, group_size: int | None = None
    ) -> None:
        super().__init__(axis=axis, group_size=group_size)
        _check_number("PercentileObserver", "percentile", percentile)
        if not 0 < percentile <= 100:
            raise ValueError(f"PercentileObserver: percentile is {percentile!r}, expected above 0 up to 100")
        self.percentile = percentile

    def _limits(self) -> tuple[Array, Array]:
        below = self._bins.cumsum(axis=1)
        total = below[:, -1:]
        tail = total * ((100 - self.percentile) / 200)
        first, last = (below <= tail).sum(axis=1), (below < total - tail).sum(axis=1)
        edges, blocks = self._edges(), np.arange(len(below))
        low, high = edges[blocks, np.minimum(first, BINS - 1)], edges[blocks, np.minimum(last + 1, BINS)]
        low, high = low.reshape(self._low.shape), high.reshape(self._high.shape)
        return np.maximum(low, self._low), np.minimum(high, self._high)


class MSEObserver(_HistogramObserver):
    """The range with the least mean square error of quantisation.

    Parameters
    ----------
    dtype : dtype_like
        What will be quantised to, as for `quantize`.
    symmetric : bool
        Whether values are to be symmetric around zero.
    axis, group_size : int, optional
        As for `quantize`.

    Notes
    -----
    Sixty-four shares of the observed range are tried on a histogram of 2048 bins, and unless symmetric as
    many again for each end by itself: 64 or 192 times the time of quantising 2048 numbers for each block.
    The idea is that of [1]_.

    References
    ----------
    .. [1] R. Banner, Y. Nahshan, D. Soudry, "Post training 4-bit quantization of convolutional networks for
       rapid-deployment", NeurIPS (2019).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> x = np.random.default_rng(0).standard_normal((1, 100_000))
    >>> high = dg.MSEObserver("int4").observe(x).limits[1]
    >>> bool(2.0 < high[0, 0] < 3.5 < x.max())
    True
    """

    def __init__(
        self,
        dtype: npt.DTypeLike,
        symmetric: bool = True,
        *,
        axis: int | None = None,
        group_size: int | None = None,
    ) -> None:
        super().__init__(axis=axis, group_size=group_size)
        self.dtype, self.symmetric = quantized(dtype, "MSEObserver: dtype"), symmetric

    def _limits(self) -> tuple[Array, Array]:
        low, high = self._low.reshape(-1, 1), self._high.reshape(-1, 1)
        if self.symmetric:
            high = np.maximum(-low, high)
            low = -high
        low, high = self._searched(low, high, (low, high))
        if not self.symmetric:
            low, high = self._searched(low, high, (self._low.reshape(-1, 1), None))
            low, high = self._searched(low, high, (None, self._high.reshape(-1, 1)))
        return low.reshape(self._low.shape), high.reshape(self._high.shape)

    def _searched(
        self, low: Array, high: Array, whole: tuple[Array | None, Array | None]
    ) -> tuple[Array, Array]:
        """Return the best limits for each block, of those with shares of the `whole` ends in their place."""
        edges = self._edges()
        centres = (edges[:, :-1] + edges[:, 1:]) / 2
        best, least = (low, high), np.full(low.shape, np.inf)
        for share in np.arange(CANDIDATES, 0, -1) / CANDIDATES:
            ends = [
                end if full is None else share * full for end, full in zip((low, high), whole, strict=True)
            ]
            lower, upper = np.minimum(*ends), np.maximum(*ends)
            values, _ = fake_quantize(
                centres, self.dtype, axis=0, symmetric=self.symmetric, limits=(lower, upper)
            )
            error = (self._bins * (values - centres) ** 2).sum(axis=1, keepdims=True)
            better = error < least
            least = np.where(better, error, least)
            best = np.where(better, lower, best[0]), np.where(better, upper, best[1])
        return best
