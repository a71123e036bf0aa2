"""Dense products of operands that are stored narrower than the chain, against the reference, exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

NARROW = [np.dtype(np.float16), dtypes.bfloat16, dtypes.float8_e4m3fn, dtypes.float8_e5m2]
STORED = [np.dtype(np.float32), *NARROW, np.dtype(np.int8), np.dtype(np.uint8)]
PAIRS = [
    (left, right)
    for left, right in itertools.product(STORED, STORED)
    if (left in NARROW or right in NARROW) or (np.float32 in (left, right) and left != right)
]
ISAS = _core.cpu_info()["usable"]
SHAPES = [(1, 5, 3), (3, 1100, 90), (20, 1090, 40), (7, 33, 17), (40, 70, 65)]


def numbers(shape: tuple[int, ...], dtype: np.dtype, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.kind in "iu":
        return rng.integers(0, 120, shape).astype(dtype)
    return (rng.standard_normal(shape) * 3).astype(np.float32).astype(dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("left", "right"), PAIRS, ids=lambda dtype: str(dtype))
def test_products_equal_the_reference(left, right, isa):
    for m, k, n in SHAPES:
        A, B = numbers((m, k), left), numbers((k, n), right, 1)
        wanted = reference.matmul(A, B)
        for X, W in (
            (A, B),
            (np.asfortranarray(A), np.asfortranarray(B)),
            (A[::-1][::-1], B[:, ::-1][:, ::-1]),
        ):
            testing.assert_same(dg.matmul(X, W, kernel=f"gemm_packed@{isa}"), wanted)
        for side, other in (("right", A), ("left", B)):
            for reuse in (None, 100):
                plan = dg.plan(A, B, fixed=side, reuse=reuse, kernel=f"gemm_packed@{isa}")
                testing.assert_same(plan(other), wanted)
                out = np.empty_like(wanted, order="F")
                testing.assert_same(plan(other, out=out), wanted)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("storage", [s for s in STORED if s.itemsize < 4], ids=str)
def test_every_stored_value_is_widened_exactly(storage, isa):
    every = np.arange(256**storage.itemsize, dtype=f"u{storage.itemsize}").view(storage)
    one = np.ones((1, 1), np.float32)
    testing.assert_same(
        dg.matmul(every[:, None], one, dtype="float32", kernel=f"gemm_packed@{isa}")[:, 0], every.astype("f4")
    )
    testing.assert_same(
        dg.matmul(one, every[None, :], dtype="float32", kernel=f"gemm_packed@{isa}")[0], every.astype("f4")
    )


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("output", NARROW[:2], ids=str)
def test_results_are_rounded_once_to_nearest_even(output, isa):
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)
    half = np.arange(2**16, dtype=np.uint16).view(output).astype(np.float32)
    ties = (half.view(np.uint32)[:-1].astype(np.uint64) + half.view(np.uint32)[1:]) // 2
    values = np.concatenate([bits.view(np.float32), half, ties.astype(np.uint32).view(np.float32)])
    one = np.ones((1, 1), output)
    with np.errstate(all="ignore"):
        wanted = reference.rounded(values + np.float32(0), output)  # the chain turns -0 into +0
        got = dg.matmul(values[:, None], one, dtype=output, kernel=f"gemm_packed@{isa}")[:, 0]
    testing.assert_same(got, wanted)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_strips_of_large_results_leave_no_trace(threads):
    A, B = numbers((700, 40), NARROW[0]), numbers((40, 5000), NARROW[0], 1)
    wanted = reference.matmul(A, B)
    testing.assert_same(dg.matmul(A, B, threads=threads), wanted)
    plan = dg.plan(A, B, fixed="right", reuse=100, threads=threads)
    testing.assert_same(plan(A), wanted)
    out = np.empty((5000, 700), NARROW[0]).T
    testing.assert_same(dg.matmul(A, B, out=out, threads=threads), wanted)
