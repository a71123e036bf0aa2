"""`gram` and `sandwich` as stated: weights rounded into one factor, and one half mirrored."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from exact import slow_matmul

from deepgemm import reference, testing


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("sparse", [False, True])
def test_sandwich_scales_one_factor_and_mirrors_the_upper_half(dtype, sparse):
    A = testing.random_values("A", (17, 6), dtype, zeros=0.5)
    w = testing.random_values("w", 17, dtype)
    operand = scipy.sparse.csr_array(A) if sparse else A
    upper = np.triu(slow_matmul((w[:, None] * A).T, A, np.dtype(dtype)))
    testing.assert_same(reference.sandwich(operand, w), upper + np.triu(upper, 1).T)
    testing.assert_same(reference.gram(operand), slow_matmul(A.T, A, np.dtype(dtype)))
    testing.assert_same(reference.gram(operand), reference.sandwich(operand, np.ones(17, dtype)))


@pytest.mark.parametrize("dtype", ["F", "D"])
@pytest.mark.parametrize("sparse", [False, True])
def test_complex_halves_mirror_the_upper_one(dtype, sparse):
    A = testing.random_values("A", (17, 6), dtype, zeros=0.5)
    operand = scipy.sparse.csr_array(A) if sparse else A
    upper = np.triu(slow_matmul(A.T, A, np.dtype(dtype)))
    testing.assert_same(reference.gram(operand), upper + np.triu(upper, 1).T)
    w = testing.random_values("w", 17, dtype)
    scaled = np.empty_like(A)
    scaled.real = w.real[:, None] * A.real - w.imag[:, None] * A.imag
    scaled.imag = w.real[:, None] * A.imag + w.imag[:, None] * A.real
    upper = np.triu(slow_matmul(scaled.T, A, np.dtype(dtype)))
    testing.assert_same(reference.sandwich(operand, w), upper + np.triu(upper, 1).T)


def test_the_weight_is_rounded_into_its_factor():
    x = np.float64(1 + 2.0**-30)
    result = reference.sandwich(np.array([[x, 1.0]]), [x])
    assert result[0, 0] == float(np.float64(x * x) * x)
    assert result[0, 1] == result[1, 0] == x * x
