"""What the core widens and rounds is what NumPy and `rounded` make of it, in every layout."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core
from deepgemm.rounding import rounded
from deepgemm.testing import assert_same, random_values

NARROW = ("float16", dg.bfloat16, dg.float8_e4m3fn, dg.float8_e5m2, "int8", "uint8")
SHAPES = ((0, 3), (3, 0), (1, 1), (1, 40_000), (40_000, 1), (70, 500), (500, 33), (70_001,))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NARROW)
def test_widened(dtype, shape):
    values = np.random.default_rng(1).integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
    source = np.ascontiguousarray(values).view(dtype)[..., 0]
    for order in "CF":
        array = np.asarray(source, order=order)
        made = np.empty(shape, np.float32, order=order)
        _core.cast(array, made)
        assert_same(made, array.astype(np.float32))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NARROW[:2])
def test_rounded(dtype, shape):
    source = random_values("x", shape, np.float32) * np.float32(1e4)
    for order in "CF":
        array = np.asarray(source, order=order)
        for target in "CF":
            made = np.empty(shape, dtype, order=target)
            _core.cast(array, made)
            assert_same(made, rounded(array, dtype))


def test_products_through_casts_are_the_same():
    S = dg.CSR(random_values("s", (300, 200), np.float32, zeros=0.9)).astype("float16")
    for columns in (1, 40):
        X = random_values("x", (200, columns), np.float32).astype("float16")
        wanted = dg.matmul(S, X, kernel="csr_narrow")
        for operand in (X, np.asfortranarray(X), X[::-1][::-1], np.repeat(X, 2, axis=0)[::2]):
            assert_same(dg.matmul(S, operand, kernel="csr_rowwise"), wanted)
            out = np.empty((columns, 300), np.float16).T
            assert_same(dg.matmul(S, operand, kernel="csr_rowwise", out=out), wanted)


def test_refusals():
    with pytest.raises(dg.DTypeError, match="casts are to float32"):
        _core.cast(np.ones(3), np.ones(3, np.float32))
    with pytest.raises(dg.FormatError, match="arrays of one shape"):
        _core.cast(np.ones(3, np.float16), np.ones(6, np.float32)[::2])
    with pytest.raises(dg.FormatError, match="arrays of one shape"):
        _core.cast(np.ones(3, np.float16), np.ones(4, np.float32))
