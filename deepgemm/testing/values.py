"""Values that tell orders of rounding apart."""

from __future__ import annotations

import zlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import dtypes

Array: TypeAlias = npt.NDArray[Any]


def random_values(
    seed: int | str, shape: int | tuple[int, ...], dtype: npt.DTypeLike, *, zeros: float = 0.0
) -> Array:
    """Return random values whose sums depend on the order in which they are rounded.

    Floating values have random signs and exponents spread over eight binades; integers use the whole range
    of 8-bit dtypes and twelve bits of others; bool is true in half of the places.

    Parameters
    ----------
    seed : int or str
        The same seed gives the same values on every machine.
    shape : int or tuple of int
        Shape of the result.
    dtype : dtype_like
        Any dtype that deepgemm stores.
    zeros : float
        Share of the values that are set to zero.

    Examples
    --------
    >>> random_values("x", 3, "int8").dtype
    dtype('int8')
    """
    dtype = dtypes.canonical(dtype)
    generator = np.random.default_rng(zlib.crc32(str(seed).encode()))
    if dtype.kind == "b":
        values = generator.integers(0, 2, shape).astype(bool)
    elif dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = max(int(limits.min), -2048), min(int(limits.max), 2047)
        values = generator.integers(low, high + 1, shape).astype(dtype)
    elif dtype.kind == "c":
        real = _random_reals(generator, shape)
        values = (real + 1j * _random_reals(generator, shape)).astype(dtype)
    else:
        values = _random_reals(generator, shape).astype(dtype)
    if zeros:
        values[generator.random(shape) < zeros] = 0
    return values


def _random_reals(generator: np.random.Generator, shape: int | tuple[int, ...]) -> Array:
    mantissa = generator.uniform(1.0, 2.0, shape) * generator.choice([-1.0, 1.0], shape)
    return np.asarray(mantissa * 2.0 ** generator.integers(-6, 2, shape))


def with_nonfinite(values: Array, seed: int | str = 0) -> Array:
    """Return a copy of a floating or complex array with some elements set to inf, -inf and nan.

    Examples
    --------
    >>> bool(np.isfinite(with_nonfinite(np.zeros(10))).all())
    False
    """
    values = values.copy()
    generator = np.random.default_rng(zlib.crc32(str(seed).encode()))
    special = np.array([np.inf, -np.inf, np.nan])
    if values.size:
        count = min(values.size, max(3, values.size // 16))
        places = generator.choice(values.size, count, replace=False)
        values.reshape(-1)[places] = np.resize(special, count).astype(values.dtype)
    return values
