"""Products with weights that stay narrow equal the reference with ``==``, in place and in panels."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.testing import LAYOUTS, assert_same, random_values

ISAS = _core.cpu_info()["usable"]
HALVES = (np.dtype(np.float16), dg.bfloat16)
INTEGERS = ("int8", "uint8", "int4", "uint4")
SCALINGS = {
    "one": {},
    "columns": {"axis": 1},
    "shifted columns": {"axis": 1, "symmetric": False},
    "groups": {"axis": 1, "group_size": 8},
    "shifted groups": {"axis": 1, "group_size": 12, "symmetric": False},
    "half scales": {"axis": 1, "scale_dtype": "float16"},
}
# Rows and columns of weights: around panels of 4 and 8 vectors of each ISA, and nothing at all.
SHAPES = ((1, 1), (9, 4), (40, 33), (17, 64), (25, 129), (8, 257), (0, 5), (5, 0))
ROWS = (1, 2, 3, 4, 5, 7, 12, 13, 25)  # around the tiles of each ISA
KERNELS = ("quantized_panels", "quantized_in_place")

pytestmark = pytest.mark.usefixtures("three_threads")


def weights(shape, dtype, scaling):
    return dg.quantize(random_values("w", shape, np.float32), dtype, **SCALINGS[scaling])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_quantised_weights(dtype, scaling, isa):
    for shape in SHAPES:
        W = weights(shape, dtype, scaling)
        for m in ROWS[:5] if isa == "scalar" else ROWS:
            X = random_values("x", (m, shape[0]), np.float32)
            wanted = reference.matmul(X, W)
            for kernel in KERNELS:
                for threads in (1, 2, 3):
                    options = {"kernel": f"{kernel}@{isa}", "threads": threads}
                    assert_same(dg.matmul(X, W, **options), wanted, f"{kernel} {shape} {m} rows")
            assert_same(dg.matmul(W.T, X.T, kernel=f"quantized_panels@{isa}"), wanted.T)
            if m == 1:
                assert_same(dg.matmul(X[0], W, kernel=f"quantized_panels@{isa}"), wanted[0])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("other", ["float16", dg.bfloat16, "float8_e5m2", "int8", "uint8"])
def test_other_dtypes(other, kernel):
    W = weights((40, 70), "int8", "groups")
    X = random_values("x", (5, 40), np.float32).astype(other)
    for dtype in (None, "float32", "float16", dg.bfloat16):
        assert_same(dg.matmul(X, W, dtype=dtype, kernel=kernel), reference.matmul(X, W, dtype=dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_layouts(layout, kernel):
    W = weights((40, 70), "int8", "columns")
    X = LAYOUTS[layout](random_values("x", (5, 40), np.float32))
    wanted = reference.matmul(X, W)
    assert_same(dg.matmul(X, W, kernel=kernel), wanted)
    out = np.zeros((70, 5), np.float32).T
    assert dg.matmul(X, W, out=out, kernel=kernel) is out
    assert_same(out, wanted)
    V = dg.quantize(random_values("v", (30, 40), np.float32), "int8", axis=0)
    for part in (V.T, dg.Quantized(np.asfortranarray(W.values), W.scales)):
        assert_same(dg.matmul(X, part, kernel=kernel), reference.matmul(X, part))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", HALVES)
def test_halves(dtype, isa):
    for shape in SHAPES:
        W = random_values("w", shape, np.float32).astype(dtype)
        for m in ROWS[:5] if isa == "scalar" else ROWS:
            for other in (np.dtype(np.float32), dtype):
                X = random_values("x", (m, shape[0]), np.float32).astype(other)
                wanted = reference.matmul(X, W)
                for reuse, order in ((None, "C"), (None, "F"), (9, "C"), (9, "F")):
                    V = np.asarray(W, order=order)
                    options = {"kernel": f"gemm_narrow@{isa}", "reuse": reuse, "threads": 1 + m % 3}
                    assert_same(dg.plan(X, V, fixed="right", **options)(X), wanted, f"{shape} {m} rows")
                    assert_same(dg.plan(V.T, X.T, fixed="left", **options)(X.T), wanted.T)


def test_strided_halves():
    W = random_values("w", (80, 300), np.float32).astype(np.float16)
    X = random_values("x", (3, 40), np.float32)
    for part in (W[::2, ::3], W[40:, ::-1], W[39::-1, 5:205]):
        plan = dg.plan(X, part, fixed="right", kernel="gemm_narrow")
        assert_same(plan(X), reference.matmul(X, part))


def test_nonfinite():
    W = dg.Quantized(np.array([[0, 1], [1, 0]], np.int8), 1.0)
    X = np.array([[np.inf, 1.0], [np.nan, 2.0]], np.float32)
    for kernel in KERNELS:
        assert_same(dg.matmul(X, W, kernel=kernel), reference.matmul(X, W))
    H = np.array([[np.inf, 6e-8], [-np.inf, 0.0]], np.float16)
    assert_same(dg.matmul(X, H, kernel="gemm_narrow"), reference.matmul(X, H))


@pytest.mark.parametrize(
    ("W", "message"),
    [
        (dg.quantize(np.ones((40, 3), np.float32), "int2"), "wants int8, uint8, int4, uint4"),
        (dg.quantize(np.ones((40, 3), np.float32), "float8_e5m2"), "wants int8, uint8, int4, uint4"),
        (dg.quantize(np.ones((40, 3), np.float32), "int8", axis=0), "wants scales that 8 elements"),
        (
            dg.Quantized(np.ones((40, 3), np.uint8), np.ones((1, 3)), offsets=np.ones((1, 3))),
            "with zero points, not with offsets",
        ),
    ],
)
def test_refusals(W, message):
    X = np.ones((2, 40), np.float32)
    for kernel in KERNELS:
        with pytest.raises(dg.UnsupportedError, match=message):
            dg.matmul(X, W, kernel=kernel)


def test_more_refusals():
    X, W = np.ones((2, 40)), weights((40, 6), "int8", "columns")
    with pytest.raises(dg.UnsupportedError, match="accumulates in float64"):
        dg.matmul(X, W, kernel="quantized_panels")
    with pytest.raises(dg.UnsupportedError, match="4 bits on the right"):
        dg.matmul(weights((6, 40), "int4", "one"), X.T.astype("f4"), kernel="quantized_in_place")
    with pytest.raises(dg.UnsupportedError, match="wants float16, bfloat16 on the side that is kept"):
        dg.plan(X.astype("f4"), np.ones((40, 3), np.float32), fixed="right", kernel="gemm_narrow")


def test_panels_are_a_layout():
    """Panels take the bytes of the storage and of float32 scales, and are made once."""
    W = weights((512, 640), "int4", "columns")
    X = random_values("x", (1, 512), np.float32)
    plan = dg.plan(X, W, reuse=1000, kernel="quantized_panels")
    assert_same(plan(X), reference.matmul(X, W))
    (layout,) = W._layouts.items()
    assert layout[0].startswith("panels:right:")
    assert layout[1].nbytes == 512 * 640 // 2 + 640 * 4
    assert dg.plan(X, W, reuse=1000, kernel="quantized_panels").chosen.conversion == 0.0
