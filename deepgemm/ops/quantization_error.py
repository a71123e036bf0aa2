"""`quantization_error`: how far a quantised product is from the unquantised one, measured on a sample."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ShapeError
from ..sparse.base import SparseArray
from . import _request as request
from .matmul import matmul

__all__ = ["QuantizationError", "quantization_error"]

Array = npt.NDArray[Any]


class QuantizationError(NamedTuple):
    """The error of a quantised product.

    Attributes
    ----------
    relative : float
        Frobenius norm of the error over that of the product.
    rms, largest : float
        Root mean square and maximum of the magnitudes of the errors.
    rows, of_rows : int
        How many rows of the product were computed, and how many there are.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.QuantizationError(0.01, 0.5, 2.0, 64, 4096)
    QuantizationError(relative=0.01 (40.0 dB), rms=0.5, largest=2, 64 of 4,096 rows)
    """

    relative: float
    rms: float
    largest: float
    rows: int
    of_rows: int

    @property
    def decibels(self) -> float:
        """Ratio of signal to noise in decibels."""
        return -20 * math.log10(self.relative) if self.relative > 0 else math.inf

    def __repr__(self) -> str:
        return (
            f"QuantizationError(relative={self.relative:.3g} ({self.decibels:.1f} dB), rms={self.rms:.3g}, "
            f"largest={self.largest:.3g}, {self.rows:,} of {self.of_rows:,} rows)"
        )


def quantization_error(
    A: Any, B: Any, *, original: tuple[Any, Any], sample: int | None = 256, seed: int = 0
) -> QuantizationError:
    """Measure how far a quantised product is from the unquantised one, on some rows of it.

    Parameters
    ----------
    A, B : sparse array, Quantized, QuantizedSparse or array_like, shapes (m, k) and (k, n)
        The operands of the quantised product, which `matmul` takes.
    original : tuple of array_like or sparse array
        What they were quantised from; an operand that is not quantised stands there itself.
    sample : int or None
        How many rows of the product to compute, None for all.
    seed : int
        Of the choice of rows.

    Returns
    -------
    QuantizationError

    Raises
    ------
    ShapeError
        If an operand is no matrix, or `original` has other shapes.
    DTypeError, UnsupportedError
        As for `matmul`; rows cannot be sampled where groups of them share a scale.

    Notes
    -----
    The time of two products of `sample` rows; the unquantised one is accumulated in float64, so that its own
    rounding does not count.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> generator = np.random.default_rng(0)
    >>> X, W = generator.standard_normal((100, 64)), generator.standard_normal((64, 32))
    >>> error = dg.quantization_error(X, dg.quantize(W, "int8", axis=1), original=(X, W))
    >>> 40 < error.decibels < 50
    True
    """
    op = "quantization_error"
    if not isinstance(original, tuple) or len(original) != 2:
        raise ValueError(f"{op}: original is a {type(original).__name__}, expected the two original operands")
    left, right = request.operand(op, "A", A), request.operand(op, "B", B)
    exact_left, exact_right = (request.operand(op, f"original[{i}]", x) for i, x in enumerate(original))
    for name, x, exact in (("A", left, exact_left), ("B", right, exact_right)):
        if x.ndim != 2:
            raise ShapeError(f"{op}: {name} has 1 dimension, expected 2")
        if x.shape != exact.shape:
            raise ShapeError(f"{op}: {name} has shape {x.shape}, but its original has {exact.shape}")
    request.check_shapes(op, left, right)
    total = left.shape[0]
    if sample is not None and request.positive(op, "sample", sample) < total:
        rows = np.sort(np.random.default_rng(seed).choice(total, sample, replace=False))
        left, exact_left = left[rows], exact_left[rows]
    product = _dense(matmul(_float64(exact_left), _float64(exact_right)))
    error = np.abs(_dense(matmul(left, right)).astype(product.dtype) - product)
    size = float(np.linalg.norm(product))
    relative = float(np.linalg.norm(error)) / size if size else math.inf if error.any() else 0.0
    rms = math.sqrt(float((error**2).mean())) if error.size else 0.0
    return QuantizationError(relative, rms, float(error.max(initial=0.0)), product.shape[0], total)


def _float64(operand: Any) -> Any:
    return operand.astype(np.complex128 if operand.dtype.kind == "c" else np.float64)


def _dense(product: Any) -> Array:
    array: Array = product.toarray() if isinstance(product, SparseArray) else product
    return array
