"""`gemm_split`: long inner indices in pieces, in its documented order everywhere, never by default."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
PIECE = 2048  # csrc/core/gemm_split.cpp
LEAST_LANES = 8
# Few lines on both sides, where k runs in lanes; adjacent ones in lanes; long rows along which B is streamed.
SHAPES = [
    (1, 16385, 1),
    (2, 20_000, 2),
    (5, 8 * PIECE + 700, 3),
    (7, 17_000, 6),
    (1, 18_000, 7),
    (9, 8 * PIECE + 1, 4),
    (15, 16390, 15),
    (16, 9 * PIECE, 3),
    (3, 17_001, 20),
    (2, 16_400, 150),
    (100, 16_385, 5),
]
LAYOUTS = [
    ("C", "C"),
    ("F", "C"),
    ("C", "F"),
    ("F", "F"),
    ("row-stride", "row-stride"),
    ("column-stride", "C"),
    ("F", "column-stride"),
    ("negative-columns", "negative-rows"),
    ("misaligned", "C"),
    ("unaligned-vectors", "unaligned-vectors"),
]

pytestmark = pytest.mark.usefixtures("three_threads")


def operands(shape, dtype):
    m, k, n = shape
    return testing.random_values("A", (m, k), dtype), testing.random_values("B", (k, n), dtype)


def interleaved(A, B):
    """Whether a piece of an element is 16 chains, by the layout of the operands."""
    size = A.itemsize
    if A.strides[1] == B.strides[0] == size:
        return True
    in_lanes = [(B.strides[1], B.shape[1]), (A.strides[0], A.shape[0])]
    return not any(stride == size and extent >= LEAST_LANES for stride, extent in in_lanes)


def piecewise(A, B):
    """The order of the kernel: pieces of the inner index, added in ascending order."""
    all_entries = scipy.sparse.csr_array(np.ones((A.shape[0], B.shape[1])))
    result = np.zeros(all_entries.shape, A.dtype)
    for first in range(0, A.shape[1], PIECE):
        left, right = A[:, first : first + PIECE], B[first : first + PIECE]
        if interleaved(A, B):
            part = reference.sddmm(all_entries, left, right)[0].reshape(result.shape)
        else:
            part = reference.matmul(left, right)
        result = result + part
    return result


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pieces_are_added_in_order(shape, dtype):
    A, B = operands(shape, dtype)
    wanted = {}
    for number, layouts in enumerate(LAYOUTS):
        left, right = (testing.LAYOUTS[layout](x) for layout, x in zip(layouts, (A, B), strict=True))
        order = interleaved(left, right)
        if order not in wanted:
            wanted[order] = piecewise(left, right)
        side = ("left", "right")[number % 2]
        for isa in ISAS:
            for threads in (1, 2, 3):
                plan = dg.plan(
                    left, right, fixed=side, kernel=f"gemm_split@{isa}", threads=threads, reproducible=False
                )
                assert (plan.kernel, plan.isa) == ("gemm_split", isa)
                got = plan(right if side == "left" else left)
                testing.assert_same(got, wanted[order], f"{isa} {layouts} {threads}")


def test_views_within_wider_arrays():
    A, B = operands((5, 17_000, 6), "f4")
    for columns in (2, 3, 5):
        left, right = np.asfortranarray(A)[:columns], B[:, :columns]
        wanted = piecewise(left, right)
        for x, y in ((left, right), (left, right.copy()), (left.copy(), right)):
            got = dg.matmul(x, y, kernel="gemm_split", reproducible=False)
            testing.assert_same(got, wanted)


def test_what_stands_behind_operands_takes_no_part():
    for m, n in ((3, 3), (1, 7), (6, 2)):
        A, B = operands((m, 16_390, n), "f4")
        padded = np.full((2, 16_390 + 64, 8), np.nan, "f4")
        for layout in ("C", "F"):
            left = padded[0].reshape(-1)[: A.size].reshape(A.shape, order=layout)
            right = padded[1].reshape(-1)[: B.size].reshape(B.shape)
            left[:], right[:] = A, B
            got = dg.matmul(left, right, kernel="gemm_split", reproducible=False)
            testing.assert_same(got, piecewise(left, right))


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


def test_results_without_elements():
    for m, n in ((0, 14), (14, 0), (0, 0), (0, 3), (3, 0)):
        A, B = np.ones((m, 20_000), "f4"), np.ones((20_000, n), "f4")
        for left, right in ((A, B), (np.asfortranarray(A), B), (A, np.asfortranarray(B))):
            assert dg.matmul(left, right, kernel="gemm_split", reproducible=False).shape == (m, n)
            assert dg.matmul(left, right, reproducible=False).shape == (m, n)


def test_it_is_refused_with_a_reason():
    A, B = operands((2, 20_000, 2), "f4")
    assert "rounds in an order of its own" in str(dg.plan(A, B).explain())
    for shape in ((1, 65_536, 300), (4, 100_000, 64), (2, 1_000_000, 2), (20, 20_000, 25)):
        left, right = operands(shape, "f4")
        assert dg.plan(left, right, reproducible=False).kernel == "gemm_split", shape
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
