"""Whether a product that is to be timed is right: compared with SciPy's in double precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from ..dtypes import accumulator, is_inexact
from ..sparse import CSR

__all__ = ["Reference"]

# Wider products are checked in this many columns: the first, the last, and others spread evenly.
_COLUMNS_CHECKED = 64
# What `numpy.finfo` tells, for the dtypes that NumPy does not know; it has no types of its own.
_finfo: Any = ml_dtypes.finfo


@dataclass(frozen=True)
class Reference:
    """The product in double precision with the error that any order of summation may make.

    Attributes
    ----------
    columns : ndarray of int or None
        The columns that are compared; None stands for all, or for a vector.
    expected : ndarray
        The product of the operands' values, accumulated in float64, complex128 or int64.
    scale : ndarray
        The product of the operands' magnitudes: what cancellation can cost at most.
    smallest : float
        Smallest subnormal of the results: underflow may cost that much.
    bound : float
        Largest error, as a share of `scale`, that an honest kernel can make (N. J. Higham, "Accuracy and
        Stability of Numerical Algorithms", 2nd ed., section 3.1).
    """

    columns: npt.NDArray[np.intp] | None
    expected: npt.NDArray[Any]
    scale: npt.NDArray[Any]
    smallest: float
    bound: float

    @classmethod
    def of(cls, A: CSR, X: npt.NDArray[Any], output: np.dtype[Any]) -> Reference:
        """Compute the reference of ``A @ X`` for results of dtype `output`.

        Parameters
        ----------
        A : CSR
            m × k.
        X : ndarray
            k × n, or k.
        output : numpy.dtype
            Dtype of the results that will be compared.

        Returns
        -------
        Reference
            Of at most 64 columns. Time is that of one single-threaded product in double precision.
        """
        columns = None
        if X.ndim == 2 and X.shape[1] > _COLUMNS_CHECKED:
            columns = np.linspace(0, X.shape[1] - 1, _COLUMNS_CHECKED).round().astype(np.intp)
            X = X[:, columns]
        arithmetic = accumulator(A.dtype, X.dtype)
        wide = np.dtype({"c": np.complex128, "f": np.float64}.get(arithmetic.kind, np.int64))
        left, right = A.astype(wide).to_scipy(), X.astype(wide)
        expected = np.asarray(left @ right)
        if not is_inexact(arithmetic):
            return cls(columns, expected, np.ones(1), 0.0, 0.0)
        scale = np.asarray(abs(left) @ np.abs(right), dtype=np.float64)
        longest = int(np.diff(A.indptr).max(initial=0))
        # A complex product makes each part of two real ones. The reference errs in double precision itself.
        steps = 4 * (longest + 2) if arithmetic.kind == "c" else longest + 2
        unit = float(np.finfo(arithmetic).eps) / 2
        rounding, smallest = _precision(output)
        bound = steps * unit / max(1 - steps * unit, 0.01) + rounding + steps * 2.0**-53
        return cls(columns, expected, scale, smallest, bound)

    def error(self, result: npt.NDArray[Any]) -> float:
        """Return the largest error of `result` as a share of the magnitudes that made it.

        Returns
        -------
        float
            inf where the shape differs, or a value is nan or infinite and the reference's is not.
        """
        if self.columns is not None and result.ndim == 2:
            result = result[:, self.columns] if result.shape[1] > self.columns[-1] else result[:, :0]
        if result.shape != self.expected.shape:
            return float("inf")
        if result.size == 0:
            return 0.0
        with np.errstate(all="ignore"):
            # Integers wrap as the output does; nan and infinities of the operands must come out again.
            same = result == self.expected.astype(result.dtype)
            same |= np.isnan(self.expected) & np.isnan(result)
            off = np.abs(result.astype(self.expected.dtype) - self.expected) - self.smallest
            share = np.where(same | (off <= 0), 0.0, off / self.scale)
        worst = float(share.max())
        return worst if worst == worst else float("inf")

    def accepts(self, error: float) -> bool:
        """Whether `error` is within what rounding explains."""
        return error <= self.bound


def _precision(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the unit roundoff and the smallest subnormal of `dtype`, zeros for integers."""
    if not is_inexact(dtype):
        return 0.0, 0.0
    info: Any = np.finfo(dtype) if dtype.char in "efdFD" else _finfo(dtype)
    return float(info.eps) / 2, float(info.smallest_subnormal)
