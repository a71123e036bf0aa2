"""Dense products of 8-bit integers: exact for every ISA, shape, order in memory and number of threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing
from deepgemm.errors import UnsupportedError

ISAS = _core.cpu_info()["usable"]
PAIRS = list(itertools.product((np.int8, np.uint8), repeat=2))
# Around groups of four, vectors, panels, tiles and blocks of the inner index.
SHAPES = [(1, 1, 1), (2, 0, 3), (0, 4, 2), (1, 5, 3), (7, 33, 17), (40, 70, 65), (33, 2049, 5)]
# Few rows, or columns: around vectors, the rows that a stream takes at a time, and its blocks of columns.
FEW = [
    (1, 16, 64),
    (2, 17, 63),
    (3, 602, 90),
    (4, 31, 2113),
    (1, 1030, 129),
    (65, 130, 4),
    (500, 3, 2),
    (4, 64, 3),
]


def integers(shape: tuple[int, ...], dtype: type, seed: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)


def placements(array: np.ndarray) -> list[np.ndarray]:
    wide = np.zeros((array.shape[0] + 1, 2 * array.shape[1] + 1), array.dtype)
    wide[1:, 1::2] = array
    return [array, np.asfortranarray(array), np.ascontiguousarray(array[::-1])[::-1], wide[1:, 1::2]]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("left", "right"), PAIRS, ids=lambda dtype: dtype.__name__)
def test_products_equal_the_reference(left, right, isa):
    for m, k, n in SHAPES + FEW:
        A, B = integers((m, k), left, 1), integers((k, n), right, 2)
        wanted = reference.matmul(A, B)
        for X, W in zip(placements(A), placements(B), strict=True):
            testing.assert_same(dg.matmul(X, W, kernel=f"gemm_integers@{isa}"), wanted)
            for side, other in (("right", X), ("left", W)):
                plan = dg.plan(X, W, fixed=side, reuse=100, kernel=f"gemm_integers@{isa}")
                assert plan.isa == isa
                testing.assert_same(plan(other), wanted)
                out = np.empty(wanted.shape, wanted.dtype, order="F")
                testing.assert_same(plan(other, out=out), wanted)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("left", "right"), PAIRS, ids=lambda dtype: dtype.__name__)
def test_the_largest_products_are_exact(left, right, isa):
    # The longest inner extents whose results int32 holds, and longer ones: sums wrap on the way.
    for k in (33025, 131071, 200_003):
        A = np.full((2, k), np.iinfo(left).max, left)
        B = np.full((k, 3), np.iinfo(right).max, right)
        A[0] = np.iinfo(left).min
        B[:, 0] = np.iinfo(right).min
        wanted = A.astype(np.int64) @ B.astype(np.int64)
        result = dg.matmul(A, B, kernel=f"gemm_integers@{isa}")
        assert result.dtype == dg.dtypes.default_output(np.dtype(left), np.dtype(right), k)
        assert np.array_equal(result, wanted)
        plan = dg.plan(A, B, fixed="right", reuse=10, kernel=f"gemm_integers@{isa}")
        assert np.array_equal(plan(A), wanted)
        assert np.array_equal(dg.matmul(A, B, dtype="int64"), wanted)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_strips_leave_no_trace(threads):
    A, B = integers((700, 301), np.int8, 1), integers((301, 2500), np.int8, 2)
    wanted = A.astype(np.int32) @ B.astype(np.int32)
    testing.assert_same(dg.matmul(A, B, threads=threads), wanted)
    testing.assert_same(dg.plan(A, B, fixed="right", reuse=100, threads=threads)(A), wanted)
    testing.assert_same(dg.plan(A, B, fixed="left", reuse=100, threads=threads)(B), wanted)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", [(1, 3000, 900), (4, 5003, 70), (2, 65, 70_001), (800, 2500, 2)])
def test_few_rows_on_threads(shape, isa):
    m, k, n = shape
    for left, right in PAIRS:
        A, B = integers((m, k), left, 1), integers((k, n), right, 2)
        wanted = A.astype(np.int32) @ B.astype(np.int32)
        for W, threads in itertools.product((B, np.asfortranarray(B)), (1, 2, 3)):
            got = dg.matmul(A, W, threads=threads, kernel=f"gemm_integers@{isa}")
            testing.assert_same(got, wanted)


def test_the_planner_takes_it():
    A = integers((64, 64), np.int8, 1)
    assert dg.plan(A, A, fixed="right").kernel == "gemm_integers"
    if "vnni" in _core.cpu_info()["features"]:
        assert dg.plan(A, A, fixed="right", kernel="avx512_vnni").kernel == "gemm_integers"
    with pytest.raises(UnsupportedError, match="asks for vnni arithmetic, which no kernel has"):
        dg.matmul(A.astype("f4"), A.astype("f4"), kernel="avx512_vnni")


def test_other_dtypes_are_refused():
    A = integers((8, 8), np.int8, 1)
    with pytest.raises(UnsupportedError, match="wants int8 or uint8 on both sides"):
        dg.matmul(A, A.astype(np.float32), kernel="gemm_integers")
    with pytest.raises(UnsupportedError, match="gives int32 or int64, not float64"):
        dg.matmul(A, A, dtype="float64", kernel="gemm_integers")
