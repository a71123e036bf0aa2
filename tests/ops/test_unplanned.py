"""Products that are over before a planner could look at them: the same as any other, in every dtype."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

PAIRS = [
    *((d, d) for d in ("float32", "float64", "complex64", "float16", dtypes.bfloat16, "int8", "uint8")),
    ("int8", "uint8"),
    ("uint8", "int8"),
    ("float32", "float16"),
    (dtypes.bfloat16, "float32"),
    ("float16", dtypes.bfloat16),
    ("float16", "int8"),
    ("uint8", dtypes.bfloat16),
    ("float32", "int8"),
    ("float8_e4m3fn", "float8_e4m3fn"),
    ("float8_e5m2", "float32"),
    (dtypes.bfloat16, "float8_e4m3fn"),
    ("int8", "float8_e5m2"),
]
SHAPES = [(1, 1, 1), (4, 4, 4), (17, 5, 33), (64, 64, 64), (3, 0, 2), (0, 3, 4), (1, 70, 9), (15, 700, 1)]

pytestmark = pytest.mark.usefixtures("three_threads")


def plain(A, B, out=None):
    """The short way, which serves these."""
    got = _core.multiply_plain(A, B, out)
    assert got is not NotImplemented
    return got


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_every_dtype(pair):
    for shape, left, right in itertools.product(SHAPES, ("C", "F", "row-stride"), ("C", "negative-columns")):
        m, k, n = shape
        A = testing.LAYOUTS[left](testing.random_values("A", (m, k), pair[0]))
        B = testing.LAYOUTS[right](testing.random_values("B", (k, n), pair[1]))
        wanted = reference.matmul(A, B)
        got = plain(A, B)
        assert got.dtype == wanted.dtype
        testing.assert_same(got, wanted, f"{shape} {left} {right}")
        if wanted.size:
            out = np.empty_like(wanted, order="F")
            assert plain(A, B, out) is out
            testing.assert_same(out, wanted)
        if n == 1:
            testing.assert_same(plain(A, B[:, 0]), wanted[:, 0])
        if m == 1:
            testing.assert_same(plain(A[0], B), wanted[0])


def test_the_inner_length_of_integers_decides_their_result():
    for pair, most in ((("int8", "int8"), 131071), (("uint8", "uint8"), 33025), (("int8", "uint8"), 65793)):
        for k, wanted in ((most, np.int32), (most + 1, np.int64)):
            A, B = np.full((1, k), np.iinfo(pair[0]).max, pair[0]), np.full((k, 1), 1, pair[1])
            got = plain(A, B)
            assert got.dtype == wanted == dtypes.default_output(A.dtype, B.dtype, k)
            assert got[0, 0] == k * int(A[0, 0])


def test_stacks():
    for dtype in ("float16", dtypes.bfloat16, "int8"):
        A, B = testing.random_values("A", (3, 1, 6, 7), dtype), testing.random_values("B", (2, 7, 5), dtype)
        testing.assert_same(plain(A, B), reference.matmul_stack(A, B))


def test_where_there_is_one_kernel_size_does_not_matter():
    wide = testing.random_values("A", (512, 520), "f4"), testing.random_values("B", (520, 515), "f4")
    testing.assert_same(plain(*wide), dg.plan(*wide, fixed="right")(wide[0]))
    for dtype in ("int8", "uint8", "float16", dtypes.bfloat16):
        A, B = testing.random_values("A", (90, 400), dtype), testing.random_values("B", (400, 300), dtype)
        got = plain(A, B)
        testing.assert_same(got, reference.matmul(A, B))
        planned = dg.plan(A, B, fixed="right")
        assert planned.kernel in ("gemm_integers", "gemm_packed")
        testing.assert_same(planned(A), got)


def test_what_goes_the_long_way():
    half = np.ones((4, 4), np.float16)
    swapped = half.astype(half.dtype.newbyteorder())
    few, big = np.ones((20, 512), np.float16), np.ones((512, 512), np.float16)  # several kernels serve these
    empty = np.zeros((600, 600), np.float32)  # zeros could be skipped
    empty[::7, ::5] = 1
    pairs = [(half, half.astype("f8")), (swapped, half), (few, big), (half > 0, half > 0), (empty, empty)]
    for left, right in pairs:
        assert _core.multiply_plain(left, right, None) is NotImplemented
        testing.assert_same(dg.matmul(left, right), reference.matmul(left, right))
    wrong = np.empty((4, 4), np.float32)
    assert _core.multiply_plain(half, half, wrong) is NotImplemented
    with pytest.raises(dg.DTypeError, match="out has dtype float32, expected float16"):
        dg.matmul(half, half, out=wrong)


@pytest.mark.parametrize("dtype", ["float16", dtypes.bfloat16])
def test_a_few_rows_of_narrow_weights_leave_nothing_to_choose(dtype):
    weights = testing.random_values("W", (600, 4000), dtype)
    for few in (1, 16):
        X = testing.random_values("X", (few, 600), "float32")
        testing.assert_same(plain(X, weights), reference.matmul(X, weights))
        testing.assert_same(plain(weights.T, X.T), reference.matmul(X, weights).T)
    X = np.ones((17, 600), dtype)
    assert _core.multiply_plain(X, weights, None) is NotImplemented


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_a_result_is_not_written_over_an_operand(dtype):
    A, B = testing.random_values("A", (64, 64), dtype), testing.random_values("B", (64, 64), dtype)
    kept = A.copy(), B.copy()
    for out in (A, A.T, B, B.T, B[::-1]):
        with pytest.raises(dg.FormatError, match="out shares memory with"):
            dg.matmul(A, B, out=out)
        for fixed, other in (("right", A), ("left", B)):
            with pytest.raises(dg.FormatError, match="out shares memory with"):
                dg.plan(A, B, fixed=fixed)(other, out=out)
    testing.assert_same(A, kept[0])
    testing.assert_same(B, kept[1])
