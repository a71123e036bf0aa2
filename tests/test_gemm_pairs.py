"""bfloat16 by the instruction for pairs: within its bound, the same on any threads, never by default."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

SHAPES = [
    *((1, 1, 1), (3, 7, 5), (17, 33, 31), (64, 64, 64), (5, 1, 9), (4, 0, 3), (0, 5, 2)),
    *((70, 1301, 200), (300, 2050, 33)),
]

pytestmark = [
    pytest.mark.usefixtures("three_threads"),
    pytest.mark.skipif("bf16" not in _core.cpu_info()["features"], reason="no instruction for bfloat16"),
]


def operands(shape, scale=1.0):
    m, k, n = shape
    A, B = testing.random_values("A", (m, k), "f4"), testing.random_values("B", (k, n), "f4")
    A, B = A * np.float32(scale), B * np.float32(scale)
    return A.astype(dtypes.bfloat16), B.astype(dtypes.bfloat16)


def bound_of(A, B):
    """What the kernel's docstring states, for a float32 result."""
    a, b = np.abs(A.astype(np.float64)), np.abs(B.astype(np.float64))
    steps = A.shape[1] + 2
    largest = 1 + a.max(initial=0.0) + b.max(initial=0.0)
    return steps * (2.0**-24 * (a @ b) + 2.0**-125 * largest)


def any_order(A, B, fixed, **options):
    return dg.plan(A, B, fixed=fixed, kernel="gemm_pairs", reproducible=False, **options)


@pytest.mark.parametrize("scale", [1.0, 1e-19, 1e15])
def test_within_the_bound(scale):
    for shape, fixed, reuse in itertools.product(SHAPES, ("left", "right"), (None, 10)):
        A, B = operands(shape, scale)
        exact = A.astype(np.float64) @ B.astype(np.float64)
        one = None
        for threads in (1, 2, 3):
            plan = any_order(A, B, fixed, dtype="float32", threads=threads, reuse=reuse)
            assert (plan.kernel, plan.isa) == ("gemm_pairs", "avx512")
            got = plan(B if fixed == "left" else A)
            assert (np.abs(got - exact) <= bound_of(A, B)).all(), f"{shape} {fixed} {threads}"
            if one is not None:
                testing.assert_same(got, one)
            one = got
        narrow = any_order(A, B, fixed, reuse=reuse)(B if fixed == "left" else A)
        assert narrow.dtype == dtypes.bfloat16
        testing.assert_same(narrow, one.astype(dtypes.bfloat16))


def test_layouts():
    A, B = operands((37, 131, 70))
    wanted = any_order(A, B, "right", dtype="float32")(A)
    for (left, place), (right, other) in itertools.product(testing.LAYOUTS.items(), repeat=2):
        got = any_order(place(A), other(B), "right", dtype="float32")(place(A))
        testing.assert_same(got, wanted, f"{left} {right}")


def test_infinities_and_nan():
    A, B = operands((20, 50, 40))
    A[3, 7], A[4, 8] = np.inf, np.nan
    got = any_order(A, B, "right", dtype="float32")(A)
    assert not np.isfinite(got[3]).any()
    assert np.isnan(got[4]).all()
    assert np.isfinite(np.delete(got, [3, 4], axis=0)).all()


def test_subnormal_numbers_count_as_zero():
    A = np.full((16, 32), 2.0**-130, np.float32).astype(dtypes.bfloat16)
    B = np.full((32, 16), 2.0**10, np.float32).astype(dtypes.bfloat16)
    assert (dg.matmul(A, B, dtype="float32") > 0).all()
    assert (any_order(A, B, "right", dtype="float32")(A) == 0).all()


def test_what_follows():
    A, B = operands((40, 60, 50))
    product = any_order(A, B, "right", dtype="float32")(A)
    plan = any_order(A, B, "right", bias=np.arange(50), activation="relu")
    wanted = reference.epilogue(product, bias=np.arange(50), activation="relu", dtype=dtypes.bfloat16)
    testing.assert_same(plan(A), wanted)


def test_only_where_it_is_asked_for():
    A, B = operands((256, 256, 256))
    assert dg.plan(A, B, fixed="right").kernel == "gemm_packed"
    assert dg.plan(A, B, fixed="right", reproducible=False).kernel == "gemm_pairs"
    with pytest.raises(
        dg.UnsupportedError, match=r"flushes subnormal numbers, and rounds in an order of its own"
    ):
        dg.matmul(A, B, kernel="gemm_pairs")
    with pytest.raises(dg.UnsupportedError, match="wants AVX-512 with instructions for bfloat16"):
        dg.matmul(A, B, kernel="gemm_pairs@avx2", reproducible=False)
    with pytest.raises(dg.UnsupportedError, match="wants bfloat16 on both sides"):
        dg.matmul(A.astype("f4"), B, kernel="gemm_pairs", reproducible=False)
    forced = dg.plan(A, B, fixed="right", kernel="avx512_bf16", reproducible=False)
    assert forced.kernel == "gemm_pairs"
    with pytest.raises(dg.UnsupportedError, match="has no fp16 arithmetic"):
        dg.matmul(A, B, kernel="gemm_pairs@avx512_fp16", reproducible=False)
