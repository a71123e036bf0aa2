"""Dot products and sampled products as stated: sixteen chains and a tree."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from exact import slow_chain

from deepgemm import reference, testing
from deepgemm.errors import ShapeError


def slow_dot(x, y, accumulator):
    """Sixteen chains in Python numbers, and the tree."""
    lanes = list(
        np.array([slow_chain(x[lane::16], y[lane::16], accumulator) for lane in range(16)], accumulator)
    )
    for width in (8, 4, 2, 1):
        lanes = [lanes[lane] + lanes[lane + width] for lane in range(width)]
    return np.asarray(lanes[0])


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 67])
def test_dot_is_sixteen_chains_and_a_tree(dtype, length):
    x, y = testing.random_values("x", length, dtype), testing.random_values("y", length, dtype)
    result = reference.dot(x, y)
    assert result.shape == ()
    testing.assert_same(result, slow_dot(x, y, np.dtype(dtype)))
    testing.assert_same(reference.matmul(x, y), result)


def test_dot_integers_bool_and_output():
    x = np.full(40, 100, np.int8)
    assert (int(reference.dot(x, x)), reference.dot(x, x).dtype) == (400_000, np.int32)
    assert reference.dot([True, False], [False, True]).item() is False
    assert reference.dot([True] * 20, [False] * 19 + [True]).item() is True
    assert reference.dot(np.float16([1, 2]), np.float16([3, 4])).dtype == np.float16
    with pytest.raises(ShapeError, match="x has 2 elements but y has 3"):
        reference.dot([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match="operands have 2 and 1 dimensions"):
        reference.dot([[1.0]], [1.0])


@pytest.mark.parametrize("dtype", ["f4", "f8", "F"])
def test_sddmm_is_a_dot_product_for_each_entry_of_the_mask(dtype):
    X, Y = testing.random_values("X", (5, 37), dtype), testing.random_values("Y", (37, 6), dtype)
    mask = scipy.sparse.random_array((5, 6), density=0.5, format="csr", dtype=np.float32, rng=1)
    values, indices, indptr = reference.sddmm(mask, X, Y)
    rows = np.repeat(np.arange(5), np.diff(mask.indptr))
    assert (indices.tolist(), indptr.tolist()) == (mask.indices.tolist(), mask.indptr.tolist())
    expected = [slow_dot(X[i], Y[:, j], np.dtype(dtype)) for i, j in zip(rows, mask.indices, strict=True)]
    testing.assert_same(values, np.array(expected, dtype))
    scaled, _, _ = reference.sddmm(mask, X, Y, scaled=True)
    if dtype != "F":
        testing.assert_same(scaled, values * mask.data.astype(dtype))
