"""`gemm_halves` as machine code: what tests/test_gemm_halves.py runs in a process of its own.

`DEEPGEMM_EMULATOR` names the library of fp16.cpp where the CPU lacks the instruction, and is empty where it
has it. A signal for each instruction takes ten microseconds, hence the sizes.
"""

from __future__ import annotations

import ctypes
import itertools
import os

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

STRETCH = 128  # of the inner index, in one float16 sum
SHAPES = [
    *((1, 1, 1), (3, 7, 5), (17, 33, 31), (16, 16, 64), (5, 1, 9), (4, 0, 3), (0, 5, 2), (2, 5, 0)),
    *((15, STRETCH - 1, 33), (29, STRETCH, 32), (14, STRETCH + 1, 130), (1, 300, 70), (70, 300, 1)),
    *((3, 700, 66), (7, 1000, 17)),
    (15, 2 * 1024 + 2 * STRETCH + 3, 17),  # three blocks of k, in whole stretches
]

EMULATOR = os.environ["DEEPGEMM_EMULATOR"]
library = ctypes.CDLL(EMULATOR) if EMULATOR else None
if library is not None:
    library.emulate_fp16.restype = ctypes.c_bool
    library.emulated.restype = ctypes.c_ulonglong
    assert library.emulate_fp16()
    _core.assume_feature("fp16")

pytestmark = pytest.mark.usefixtures("three_threads")


def operands(shape, scale=1.0):
    m, k, n = shape
    A, B = testing.random_values("A", (m, k), "f4"), testing.random_values("B", (k, n), "f4")
    return (A * np.float32(scale)).astype("f2"), (B * np.float32(scale)).astype("f2")


def in_halves(A, B, fixed="right", **options):
    return dg.plan(A, B, fixed=fixed, kernel="gemm_halves", reproducible=False, **options)


def bound_of(A, B):
    """What `reference.matmul_halves` states."""
    a, b = np.abs(A.astype("f8")), np.abs(B.astype("f8"))
    k = A.shape[1]
    return (68 * 2.0**-11 + k * 2.0**-30) * (a @ b) + k * 2.0**-24


def check(A, B, wanted, threads, reuse, fixed, dtype=np.float32):
    plan = in_halves(A, B, fixed, dtype=dtype, threads=threads, reuse=reuse)
    assert (plan.kernel, plan.isa) == ("gemm_halves", "avx512")
    got = plan(B if fixed == "left" else A)
    testing.assert_same(got, wanted, f"{A.shape} {B.shape} {threads} {reuse} {fixed}")


@pytest.mark.skipif(library is None, reason="the instruction is not emulated here")
def test_the_instruction_runs():
    A, B = operands((14, STRETCH, 32))
    plan = in_halves(A, B, dtype="float32", threads=1, reuse=10)
    before = library.emulated()
    plan(A)
    # One tile of 14 rows and two vectors: a step for each pair along k, and one that adds both sums of it.
    assert library.emulated() - before == 14 * 2 * (STRETCH // 2 + 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_stated_order(shape):
    A, B = operands(shape)
    wanted = reference.matmul_halves(A, B, dtype="float32")
    ways = [*itertools.product(("left", "right"), (None, 10))]
    for number, (fixed, reuse) in enumerate(ways):
        check(A, B, wanted, number % 3 + 1, reuse, fixed)
    exact = A.astype("f8") @ B.astype("f8")
    assert (np.abs(wanted - exact) <= bound_of(A, B)).all()


def test_threads_leave_no_trace():
    A, B = operands((100, 130, 40))
    wanted = reference.matmul_halves(A, B, dtype="float32")
    for threads, fixed in itertools.product((1, 2, 3), ("left", "right")):
        check(A, B, wanted, threads, None, fixed)


@pytest.mark.parametrize("dtype", ["float32", "float16", dtypes.bfloat16], ids=str)
def test_dtypes_of_results(dtype):
    A, B = operands((19, 150, 35))
    wanted = reference.matmul_halves(A, B, dtype=dtype)
    for reuse in (None, 10):
        check(A, B, wanted, 2, reuse, "right", dtype)


def test_layouts():
    A, B = operands((15, 131, 36))
    wanted = reference.matmul_halves(A, B, dtype="float32")
    layouts = [*testing.LAYOUTS.items()]
    for number, (name, place) in enumerate(layouts):
        other = layouts[(number + 4) % len(layouts)][1]
        for reuse in (None, 10):
            plan = in_halves(place(A), other(B), dtype="float32", reuse=reuse)
            testing.assert_same(plan(place(A)), wanted, name)
    plan = in_halves(A, B, dtype="float32")
    for place in (testing.LAYOUTS[name] for name in ("F", "row-stride", "column-stride", "negative-rows")):
        out = place(np.empty(wanted.shape, "f4"))
        assert plan(A, out=out) is out
        testing.assert_same(out, wanted)


@pytest.mark.parametrize(("low", "high"), [(-24, -14), (-12, 0), (-24, 5), (0, 5), (-3, -2)])
def test_exponents(low, high):
    """Products that are lost, sums that are subnormal, and cancellation at every scale."""
    rng = np.random.default_rng(high - low)
    A, B = (
        np.ldexp(rng.uniform(-2, 2, shape), rng.integers(low, high, shape)).astype("f2")
        for shape in ((17, 200), (200, 34))
    )
    B[100:] = -B[:100]
    A[:, 100:] = A[:, :100]
    A[0, :100] *= np.float16(1.5)
    wanted = reference.matmul_halves(A, B, dtype="float32")
    check(A, B, wanted, 2, None, "right")
    assert (np.abs(wanted - A.astype("f8") @ B.astype("f8")) <= bound_of(A, B)).all()


def test_adversarial_chains():
    """A number near half a unit of a chain is lost in each step: nearly what the bound allows."""
    k = 2 * STRETCH
    A, B = np.full((3, k), 1 - 2.0**-11, "f2"), np.ones((k, 18), "f2")
    A[:, ::STRETCH] = A[:, 1::STRETCH] = 2048.0
    exact = A.astype("f8") @ B.astype("f8")
    wanted = reference.matmul_halves(A, B, dtype="float32")
    off = np.abs(wanted - exact)
    assert (off <= bound_of(A, B)).all()
    assert (off >= 60 * 2.0**-11 * exact).all()
    check(A, B, wanted, 2, 10, "right")


@pytest.mark.parametrize("reuse", [None, 10])
@pytest.mark.parametrize("fixed", ["left", "right"])
def test_what_is_not_finite_is_computed_in_the_stated_order(fixed, reuse):
    for changes in (
        {"A": [((3, 7), np.inf), ((4, 8), np.nan)]},
        {"B": [((7, 3), -np.inf)]},
        {"A": [((3, slice(None)), 1000.0)], "B": [((slice(None), 5), 60.0)]},  # 150 × 60,000
        {"A": [((3, 149), 65504.0)], "B": [((149, 34), 65504.0)]},
    ):
        named = dict(zip("AB", operands((19, 150, 35)), strict=True))
        for name, places in changes.items():
            for place, value in places:
                named[name][place] = value
        A, B = named["A"], named["B"]
        for dtype in ("float32", "float16"):
            wanted = reference.matmul(A, B, dtype=dtype)
            testing.assert_same(reference.matmul_halves(A, B, dtype=dtype), wanted)
            for threads in (1, 3):
                check(A, B, wanted, threads, reuse, fixed, dtype)


def test_overflow_is_found_wherever_it_is():
    A, B = operands((20, 2600, 40))
    A, B = A * np.float16(2**-6), B * np.float16(2**-6)
    wanted = reference.matmul(A, B, dtype="float32")
    for k, j in ((0, 0), (2599, 39), (1300, 33)):
        left, right = A.copy(), B.copy()
        left[19, k], right[k, j] = 2000.0, 2000.0
        plan = in_halves(left, right, dtype="float32", threads=3)
        got = plan(left)
        testing.assert_same(got, reference.matmul(left, right, dtype="float32"))
        assert np.isfinite(got).all()
        kept = np.ones(got.shape, bool)
        kept[19], kept[:, j] = False, False
        assert (got == wanted)[kept].all()


def test_a_sum_that_no_column_asked_for():
    """Columns that only fill a vector hold zeros, and inf times zero is of no interest there."""
    A, B = operands((5, 40, 3))
    A[2, 3], B[3] = np.inf, 1.0
    testing.assert_same(in_halves(A, B, dtype="float32")(A), reference.matmul(A, B, dtype="float32"))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_follows(dtype):
    A, B = operands((20, 140, 34))
    bias, C = np.arange(34), testing.random_values("C", (20, 34), "f4")
    for big in (False, True):
        if big:
            A[3, 4] = np.inf
        product = reference.matmul_halves(A, B, dtype="float32")
        wanted = reference.epilogue(
            product, alpha=0.5, beta=2.0, C=C, bias=bias, activation="relu", dtype=dtype
        )
        for reuse in (None, 10):
            plan = in_halves(A, B, dtype=dtype, alpha=0.5, bias=bias, activation="relu", reuse=reuse)
            testing.assert_same(plan(A, C=C, beta=2.0), wanted)


def test_vectors_and_stacks():
    A, B = operands((9, 140, 21))
    wanted = reference.matmul_halves(A, B, dtype="float32")
    for reuse in (None, 10):
        plan = in_halves(A, B[:, 0], "left", dtype="float32", reuse=reuse)
        testing.assert_same(plan(B[:, 0]), wanted[:, 0])
        plan = in_halves(A[0], B, dtype="float32", reuse=reuse)
        testing.assert_same(plan(A[0]), wanted[0])
    stack = np.stack([A, A[::-1]])
    plan = in_halves(stack, B, dtype="float32")
    testing.assert_same(plan(stack), np.stack([wanted, wanted[::-1]]))


def test_chosen_where_it_may_be():
    A, B = operands((256, 256, 256))
    assert dg.plan(A, B, fixed="right").kernel == "gemm_packed"
    assert dg.plan(A, B, fixed="right", reproducible=False).kernel == "gemm_halves"
    small = A[:14, :130], B[:130, :32]
    for kernel in ("avx512_fp16", "gemm_halves@avx512_fp16", "gemm_halves@avx512"):
        forced = dg.plan(*small, fixed="right", kernel=kernel, reproducible=False)
        assert forced.kernel == "gemm_halves"
    wanted = reference.matmul_halves(*small)
    testing.assert_same(dg.matmul(*small, kernel="avx512_fp16", reproducible=False), wanted)
    with pytest.raises(
        dg.UnsupportedError, match=r"gemm_halves: sums in float16, and rounds in an order of its own"
    ):
        dg.matmul(*small, kernel="avx512_fp16")
    with pytest.raises(dg.UnsupportedError, match="wants AVX-512 with instructions for float16"):
        dg.matmul(*small, kernel="gemm_halves@avx2", reproducible=False)
    with pytest.raises(dg.UnsupportedError, match="wants float16 on both sides"):
        dg.matmul(A.astype("f4"), B, kernel="avx512_fp16", reproducible=False)
    with pytest.raises(dg.UnsupportedError, match="has no bf16 arithmetic"):
        dg.matmul(*small, kernel="gemm_halves@avx512_bf16", reproducible=False)
    with pytest.raises(dg.UnsupportedError, match="gives float32, float16, bfloat16, not float64"):
        dg.matmul(*small, dtype="float64", kernel="gemm_halves", reproducible=False)


def test_the_variable(monkeypatch):
    A, B = operands((14, 130, 32))
    monkeypatch.setenv("DEEPGEMM_KERNEL", "AVX512_FP16")
    testing.assert_same(dg.matmul(A, B, reproducible=False), reference.matmul_halves(A, B))
    with pytest.raises(dg.UnsupportedError, match="sums in float16"):
        dg.matmul(A, B)
