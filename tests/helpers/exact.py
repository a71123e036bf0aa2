"""Exact rational arithmetic, rounded by the definition of rounding: what the statements are held against."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np

from deepgemm import dtypes, reference

FORMATS = {  # precision in bits, exponent of the smallest subnormal, largest finite value
    np.dtype(np.float64): (53, -1074, float(np.finfo(np.float64).max)),
    np.dtype(np.float32): (24, -149, float(np.finfo(np.float32).max)),
    np.dtype(np.float16): (11, -24, 65504.0),
    dtypes.bfloat16: (8, -133, float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)),
    dtypes.float8_e5m2: (3, -16, 57344.0),
    dtypes.float8_e4m3fn: (4, -9, 448.0),
}


def round_exactly(value: Fraction, dtype: np.dtype) -> float:
    """Round a rational number to nearest even by its definition, independently of any library."""
    precision, lowest, largest = FORMATS[dtype]
    if value == 0:
        return 0.0
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - precision + 1, lowest)
    result = round(magnitude / unit) * unit  # Python rounds halves of a Fraction to even
    if result > Fraction(largest):
        result = math.nan if dtype == dtypes.float8_e4m3fn else math.inf
    return math.copysign(float(result), 1 if value > 0 else -1)


def exact_fma(a: float, b: float, c: float, dtype: np.dtype) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        with np.errstate(all="ignore"):
            return float(np.float64(a) * np.float64(b) + np.float64(c))
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        product_sign = math.copysign(1, a) * math.copysign(1, b)
        both_zero = (a == 0 or b == 0) and c == 0
        return -0.0 if both_zero and product_sign < 0 and math.copysign(1, c) < 0 else 0.0
    return round_exactly(exact, dtype)


def identical(got: float, wanted: float) -> bool:
    """Equality that tells zeros apart by their sign."""
    if math.isnan(wanted):
        return math.isnan(got)
    return got == wanted and math.copysign(1, got) == math.copysign(1, wanted)


def check_fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    result = reference.fma(a, b, c)
    assert result.dtype == a.dtype
    for x, y, z, got in zip(a.tolist(), b.tolist(), c.tolist(), result.tolist(), strict=True):
        wanted = exact_fma(x, y, z, a.dtype)
        assert identical(got, wanted), (
            f"fma({x.hex()}, {y.hex()}, {z.hex()}) = {got.hex()}, not {wanted.hex()}"
        )


def random_floats(rng: np.random.Generator, dtype: type, count: int, low: int, high: int) -> np.ndarray:
    mantissa = rng.uniform(1, 2, count) * rng.choice([-1, 1], count)
    with np.errstate(all="ignore"):
        return np.ldexp(mantissa, rng.integers(low, high + 1, count)).astype(dtype)


def slow_chain(left, right, accumulator, ks=None):
    """One element of the product, in Python numbers, step by step."""
    single = np.dtype(np.float32 if accumulator in (np.float32, np.complex64) else np.float64)

    def step(a, b, c):  # fmt: skip
        return exact_fma(a, b, c, single)

    if accumulator.kind != "c":
        total = 0.0
        for k in range(len(left)) if ks is None else ks:
            total = step(float(left[k]), float(right[k]), total)
        return total
    re = im = 0.0
    for k in range(len(left)) if ks is None else ks:
        a, b = complex(left[k]), complex(right[k])
        re = step(-a.imag, b.imag, step(a.real, b.real, re))
        im = step(a.imag, b.real, step(a.real, b.imag, im))
    return complex(re, im)


def slow_matmul(A, B, accumulator, mask=None):
    result = np.zeros((A.shape[0], B.shape[1]), accumulator)
    for i in range(A.shape[0]):
        ks = None if mask is None else np.flatnonzero(mask[i])
        for j in range(B.shape[1]):
            result[i, j] = slow_chain(A[i], B[:, j], accumulator, ks)
    return result
