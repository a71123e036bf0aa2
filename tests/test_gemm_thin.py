"""Dense products of few rows or columns, streamed along rows or turned in registers; stages of many."""

from __future__ import annotations

import itertools
import tracemalloc

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


@pytest.mark.parametrize("isa", ISAS)
def test_blocks_of_k_and_stages_of_columns(isa):
    """Whole numbers, whose sums are exact in any order, in a product of several of both."""
    rng = np.random.default_rng(0)
    A, B = (rng.integers(-3, 4, shape).astype("f4") for shape in ((200, 1030), (1030, 1100)))
    wanted = (A.astype("i4") @ B.astype("i4")).astype("f4")
    plan = dg.plan(A, B, fixed="right", reuse=1000, kernel=f"gemm_packed@{isa}")
    for threads in (1, 3):
        got = dg.matmul(A, B, threads=threads, kernel=f"gemm_packed@{isa}")
        testing.assert_same(got, wanted, f"{threads}")
    testing.assert_same(plan(A), wanted)


def test_columns_that_share_a_set_of_the_cache():
    B = testing.random_values("B", (1024, 64), "float32")
    x = testing.random_values("x", (1024,), "float32")
    testing.assert_same(dg.matmul(np.ascontiguousarray(B.T), x), reference.matmul(B.T, x))


STORAGE = (
    np.dtype(np.float16),
    dg.bfloat16,
    dg.float8_e4m3fn,
    dg.float8_e5m2,
    np.dtype("i1"),
    np.dtype("u1"),
)
# Inner extents about words of two and four elements, squares of 8 and 16 of them, and rows that pass by at a
# time; columns about vectors, strips and squares.
NARROW_SHAPES = ((0, 5), (1, 16), (2, 17), (3, 1), (5, 33), (15, 7), (31, 8), (33, 64), (63, 15), (66, 130))


@pytest.mark.parametrize("storage", STORAGE, ids=str)
def test_narrow_storage(storage):
    """Read where it stands, its rows or its columns being contiguous, beside operands of every dtype."""
    for few, (inner, many) in itertools.product((*range(1, 10), 12, 15, 16, 17), NARROW_SHAPES):
        B = testing.random_values("B", (inner, many), storage)
        for other in ("float32", "float16", dg.bfloat16, "float8_e4m3fn")[: 4 if few < 4 else 1]:
            A = testing.random_values("A", (few, inner), other)
            wanted = reference.matmul(A, B)
            for isa, laid in itertools.product(ISAS, (B, np.asfortranarray(B), B[:, ::-1][:, ::-1])):
                options = {"kernel": f"gemm_packed@{isa}", "threads": 1 + (few + inner) % 3}
                testing.assert_same(dg.matmul(A, laid, **options), wanted, f"{few} {inner} {many} {other}")
                testing.assert_same(dg.matmul(laid.T, A.T, **options), wanted.T, f"{many} {inner} {few}")


@pytest.mark.parametrize("storage", STORAGE, ids=str)
def test_strips_of_narrow_storage(storage):
    """Wide enough for several strips and tasks, deep enough for several squares and steps."""
    for few, inner, many in ((1, 1101, 2600), (4, 139, 1300), (13, 77, 700)):
        A = testing.random_values("A", (few, inner), "float32")
        B = testing.random_values("B", (inner, many), storage)
        C, bias = (testing.random_values(name, (many,), "float32") for name in ("C", "bias"))
        wanted, half = reference.matmul(A, B), reference.matmul(A, B, dtype="float16")
        ended = reference.epilogue(wanted, alpha=0.5, C=C, bias=bias, activation="relu")
        for isa, laid in itertools.product(ISAS[:-1] or ISAS, (B, np.asfortranarray(B))):
            for threads in (1, 2, 3):
                options = {"kernel": f"gemm_packed@{isa}", "threads": threads}
                testing.assert_same(dg.matmul(A, laid, **options), wanted, f"{isa} {threads}")
                out = np.empty((many, few), np.float32).T
                assert dg.matmul(A, laid, out=out, **options) is out
                testing.assert_same(out, wanted)
            got = dg.matmul(A, laid, alpha=0.5, C=C, bias=bias, activation="relu")
            testing.assert_same(got, ended)
            testing.assert_same(dg.matmul(A, laid, dtype="float16"), half)
            testing.assert_same(dg.matmul(laid.T, A[0]), wanted[0])


def test_nonfinite_numbers_in_narrow_storage():
    A = testing.with_nonfinite(testing.random_values("A", (3, 40), "float32"))
    for storage in STORAGE[:4]:
        B = testing.with_nonfinite(testing.random_values("B", (40, 50), storage))
        for laid in (B, np.asfortranarray(B)):
            testing.assert_same(dg.matmul(A, laid), reference.matmul(A, B), str(storage))


def test_rows_too_long_to_be_packed_and_strips_of_a_few_columns():
    for few, inner, many in ((16, 66_000, 9), (9, 130_000, 3), (2, 2000, 33), (5, 3000, 97)):
        A = testing.random_values("A", (few, inner), "float32")
        B = testing.random_values("B", (inner, many), "float16")
        wanted = reference.matmul(A[:, -300:], B[-300:])
        short = dg.matmul(A[:, -300:], np.asfortranarray(B[-300:]))
        testing.assert_same(short, wanted)
        for threads in (1, 2, 3):
            got = [dg.matmul(A, W, threads=threads) for W in (B, np.asfortranarray(B))]
            testing.assert_same(got[0], dg.matmul(A, B.astype("float32"), threads=1))
            testing.assert_same(got[0], got[1])


def test_a_plan_of_narrow_weights_beside_few_rows_keeps_no_copy():
    weights = np.ones((1024, 1024), np.float32).astype(dg.float8_e4m3fn)
    X = np.ones((4, 1024), np.float32)
    tracemalloc.start()
    try:
        plan = dg.plan(X, weights, fixed="right", reuse=100)
        assert plan.kernel == "gemm_packed"
        assert tracemalloc.get_traced_memory()[0] < weights.nbytes / 2
    finally:
        tracemalloc.stop()
    testing.assert_same(plan(X), np.full((4, 1024), 1024, np.float32))
    weights[::7] = 2
    with pytest.raises(dg.StaleDataError):
        plan(X)
