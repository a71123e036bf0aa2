"""What a product may do to its elements before it rounds them: the stated order, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..fma import fma_unchecked
from ..rounding import rounded
from .elementary import erf, exp, tanh
from .operands import Array

ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")

# Arguments below are taken as this: gelu is 0 there, and -inf must not become nan.
_LOWEST_GELU = -40.0
_LOWEST_SILU = {"float32": -104.0, "float64": -746.0}


def epilogue(
    product: npt.ArrayLike,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    C: npt.ArrayLike | None = None,
    scale: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    activation: str | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return what `matmul` makes of a product in the accumulator dtype.

    Every operand is brought into the accumulator dtype first. Then, each step rounded once: ``alpha * x``,
    ``fma(beta, C, x)``, ``scale * x``, ``x + bias``, the activation; at last the output dtype. What is not
    given is left out; `beta` is 1 unless it is given.

    Parameters
    ----------
    product : array_like of float32 or float64
        Chains of the product, not rounded to an output dtype.
    alpha, beta : float, optional
    C, scale, bias : array_like, optional
        They broadcast with the product.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
    dtype : dtype_like, optional
        Of the result; by default that of the accumulator.

    Examples
    --------
    >>> epilogue(np.float32([[1.0, -4.0]]), alpha=2, bias=[1.0, 1.0], activation="relu").tolist()
    [[3.0, 0.0]]
    """
    x = np.asarray(product)
    number = x.dtype.type

    def like(value: Any) -> Array:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value).astype(x.dtype), x.shape))

    with np.errstate(all="ignore"):
        if alpha is not None:
            x = number(alpha) * x
        if C is not None:
            x = fma_unchecked(like(1.0 if beta is None else beta), like(C), np.ascontiguousarray(x))
        if scale is not None:
            x = like(scale) * x
        if bias is not None:
            x = x + like(bias)
        if activation is not None:
            x = _ACTIVATIONS[activation](x.reshape(-1)).reshape(x.shape)
        return x if dtype is None else rounded(x, dtype)


def relu(x: Array) -> Array:
    """Return x where it is not below zero, and zero elsewhere; nan stays."""
    return np.where(x < 0, x.dtype.type(0), x)


def gelu(x: Array) -> Array:
    """Return ``fma(h, erf(x * sqrt(1/2)), h)`` where h is x / 2.

    Off by at most 1.1e-7 (float32) and 2.1e-16 (float64) times max(|x|, 1).
    """
    y = _at_least(x, _LOWEST_GELU)
    h = x.dtype.type(0.5) * y
    return fma_unchecked(h, erf(y * x.dtype.type(0.5**0.5)), h)


def gelu_tanh(x: Array) -> Array:
    """Return ``fma(h, tanh(c * fma(u, x, x)), h)``: h = x / 2, u = 0.044715 * (x * x), c = sqrt(2 / pi)."""
    y = _at_least(x, _LOWEST_GELU)
    number = x.dtype.type
    h = number(0.5) * y
    inner = fma_unchecked(number(0.044715) * (y * y), y, y)
    return fma_unchecked(h, tanh(number((2 / np.pi) ** 0.5) * inner), h)


def silu(x: Array) -> Array:
    """Return ``x / (1 + exp(-x))``; for negative x as ``(x / (1 + e)) * e`` with e = exp(x).

    So nothing overflows. Within 3 units in the last place.
    """
    y = _at_least(x, _LOWEST_SILU[x.dtype.name])
    e = exp(-np.abs(y))
    s = y / (x.dtype.type(1) + e)
    result: Array = np.where(y < 0, s * e, s)
    return result


def _at_least(x: Array, lowest: float) -> Array:
    return np.where(x < lowest, x.dtype.type(lowest), x)


_ACTIVATIONS = {"relu": relu, "gelu": gelu, "gelu_tanh": gelu_tanh, "silu": silu}
