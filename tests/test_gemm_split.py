"""`gemm_split`: long inner indices in pieces, in its documented order everywhere, never by default."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
PIECE = 4096  # csrc/core/gemm_split.cpp
SHAPES = [
    (1, 16385, 1),
    (2, 20_000, 2),
    (5, 3 * PIECE + 7000, 3),
    (15, 16390, 15),
    (16, 5 * PIECE, 3),
    (3, 17_001, 20),
]

pytestmark = pytest.mark.usefixtures("three_threads")


def operands(shape, dtype):
    m, k, n = shape
    return testing.random_values("A", (m, k), dtype), testing.random_values("B", (k, n), dtype)


def piecewise(A, B):
    """The order of the kernel: pieces of the inner index, added in ascending order."""
    m, k = A.shape
    result = np.zeros((m, B.shape[1]), A.dtype)
    for first in range(0, k, PIECE):
        left, right = A[:, first : first + PIECE], B[first : first + PIECE]
        if max(result.shape) >= 16:
            part = reference.matmul(left, right)
        else:
            part = np.array([[reference.dot(row, column) for column in right.T] for row in left], A.dtype)
        result = result + part
    return result


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pieces_are_added_in_order(shape, dtype):
    A, B = operands(shape, dtype)
    wanted = piecewise(A, B)
    for isa in ISAS:
        for number, layout in enumerate(
            ("C", "F", "row-stride", "column-stride", "negative-columns", "misaligned")
        ):
            left, right = testing.LAYOUTS[layout](A), testing.LAYOUTS[layout](B)
            side, threads = ("left", "right")[number % 2], number % 3 + 1
            plan = dg.plan(
                left, right, fixed=side, kernel=f"gemm_split@{isa}", threads=threads, reproducible=False
            )
            assert (plan.kernel, plan.isa) == ("gemm_split", isa)
            testing.assert_same(plan(right if side == "left" else left), wanted, f"{isa} {layout} {threads}")


def test_within_the_bound_of_any_order():
    A, B = operands((3, 50_000, 4), "f4")
    got = dg.matmul(A, B, kernel="gemm_split", reproducible=False)
    wide = A.astype("f8") @ B.astype("f8")
    bound = np.abs(A).astype("f8") @ np.abs(B).astype("f8") * (A.shape[1] * 2.0**-24)
    assert (np.abs(got - wide) <= bound).all()


def test_narrower_operands_vectors_and_results():
    A, B = operands((4, 18_000, 5), "f4")
    half, x = A.astype("f2"), B[:, 0].copy()
    options = {"kernel": "gemm_split", "reproducible": False}
    wide = half.astype("f4")
    testing.assert_same(dg.matmul(half, B, **options), piecewise(wide, B))
    testing.assert_same(dg.matmul(A, x, **options), piecewise(A, x[:, None])[:, 0])
    out = np.empty((4, 5), "f4", order="F")
    assert dg.matmul(A, B, out=out, **options) is out
    testing.assert_same(out, piecewise(A, B))


def test_it_is_refused_with_a_reason():
    A, B = operands((2, 20_000, 2), "f4")
    assert "rounds in an order of its own" in str(dg.plan(A, B).explain())
    assert dg.plan(A, B, reproducible=False).kernel in ("gemm_split", "numpy_blas")
    for left, right, message in (
        (A[:, :1000], B[:1000], "wants an inner index of at least 16,385, this one is 1,000"),
        (np.ones((30, 17_000)), np.ones((17_000, 30)), "wants up to 511 results, this product has 900"),
        (A.astype("D"), B.astype("D"), "serves float32 and float64; this product accumulates in complex128"),
        (dg.CSR(A), B, "wants two dense operands"),
    ):
        with pytest.raises(dg.UnsupportedError, match=message):
            dg.plan(left, right, kernel="gemm_split", reproducible=False)
    with pytest.raises(dg.UnsupportedError, match="rounds in an order of its own"):
        dg.matmul(A, B, kernel="gemm_split")
