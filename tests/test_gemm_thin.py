"""Dense products of a few rows or columns: streamed along rows, or turned in registers along columns."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
# Rows that stream and one more; inner extents about the rows of B that pass by at a time and a block of k;
# columns about vectors, panels and the strip that one pass serves.
ROWS = (1, 2, 3, 4)
INNER = (0, 1, 3, 7, 8, 9, 33, 513, 1030)
COLUMNS = (1, 15, 16, 17, 63, 128, 259)

pytestmark = pytest.mark.usefixtures("three_threads")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes(dtype, isa):
    for few, inner, many in itertools.product(ROWS, INNER, COLUMNS):
        threads = 1 + (few + inner + many) % 3
        A = testing.random_values("A", (few, inner), dtype)
        B = testing.random_values("B", (inner, many), dtype)
        wanted = reference.matmul(A, B)
        for left, right in ((A, B), (A, np.asfortranarray(B)), (np.asfortranarray(A), B)):
            got = dg.matmul(left, right, threads=threads, kernel=f"gemm_packed@{isa}")
            testing.assert_same(got, wanted, f"{few} {inner} {many}")
            got = dg.matmul(right.T, left.T, threads=threads, kernel=f"gemm_packed@{isa}")
            testing.assert_same(got, wanted.T, f"{many} {inner} {few}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts(dtype):
    """Wide enough for several strips and tasks, in every layout of the operand and of the result."""
    for few, inner, many in ((1, 1100, 9000), (3, 530, 5000)):
        A = testing.random_values("A", (few, inner), dtype)
        B = testing.random_values("B", (inner, many), dtype)
        bias = testing.random_values("bias", (many,), dtype)
        wanted = reference.matmul(A, B)
        for layout, place in testing.LAYOUTS.items():
            laid = place(B)
            testing.assert_same(dg.matmul(A, laid, kernel="gemm_packed"), wanted, layout)
            out = testing.LAYOUTS["C" if layout == "read-only" else layout](np.empty_like(wanted))
            dg.matmul(A, B, out=out, kernel="gemm_packed")
            testing.assert_same(out, wanted, f"out {layout}")
        ended = reference.epilogue(wanted, bias=bias, activation="relu")
        testing.assert_same(dg.matmul(A, B, bias=bias, activation="relu"), ended)
        testing.assert_same(dg.matmul(A[0], B), wanted[0])
        testing.assert_same(dg.matmul(B.T, A[0]), wanted[0])


def test_columns_that_share_a_set_of_the_cache():
    B = testing.random_values("B", (1024, 64), "float32")
    x = testing.random_values("x", (1024,), "float32")
    testing.assert_same(dg.matmul(np.ascontiguousarray(B.T), x), reference.matmul(B.T, x))
