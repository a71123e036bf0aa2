"""Quantised operands that the core dequantises while packing: the chain meets what `dequantize` gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

ISAS = _core.cpu_info()["usable"]
KINDS = [
    ("int8", {"axis": 1}),
    ("int8", {"axis": 0}),
    ("int8", {"axis": None, "symmetric": False}),
    ("uint8", {"axis": 1, "symmetric": False}),
    ("uint8", {"axis": 1, "group_size": 20, "symmetric": False}),
    ("int8", {"axis": 0, "group_size": 48}),
    ("int4", {"axis": 1, "group_size": 16}),
    ("uint4", {"axis": 0, "symmetric": False}),
    ("float8_e4m3fn", {"axis": 1}),
    ("float8_e5m2", {"axis": 1, "group_size": 32}),
]
# Other rows, inner extent and columns: about panels of 32, blocks of 64 rows and stretches of 512.
SHAPES = [
    (5, 70, 33),
    (40, 600, 97),
    (200, 65, 31),
    (3, 1, 1),
    (33, 129, 64),
    (4, 0, 7),
    (0, 5, 9),
    (230, 530, 66),
]

pytestmark = pytest.mark.usefixtures("three_threads")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("name", "kind"), KINDS, ids=str)
def test_every_kind_of_scale(name, kind, isa):
    for (m, k, n), dtype in itertools.product(SHAPES, ("float32", "float16", dtypes.bfloat16)):
        if k == 0 and name.startswith("float8"):
            continue
        W = dg.quantize(testing.random_values("W", (k, n), "f4"), name, **kind)
        X = testing.random_values("X", (m, k), dtype)
        wanted = reference.matmul(X, W)
        threads = 1 + (m + k) % 3
        plan = dg.plan(X, W, kernel=f"dequantized_panels@{isa}", threads=threads)
        testing.assert_same(plan(X), wanted, f"{m} {k} {n} {dtype}")
        assert plan.isa == isa
        out = np.empty_like(wanted, order="F")
        testing.assert_same(plan(np.asfortranarray(X), out=out), wanted)
        packed = dg.plan(X, W, kernel=f"dequantized@{isa}", threads=threads, reuse=100)
        testing.assert_same(packed(X), wanted, f"packed {m} {k} {n}")
        left = dg.plan(W.T, X.T, kernel=f"dequantized_panels@{isa}", threads=threads)
        testing.assert_same(left(X.T), wanted.T, f"left {m} {k} {n}")
        testing.assert_same(dg.plan(W.T, X.T, kernel=f"dequantized@{isa}", reuse=100)(X.T), wanted.T)


def test_what_follows():
    W = dg.quantize(testing.random_values("W", (90, 70), "f4"), "int8", axis=1, group_size=30)
    X, C = testing.random_values("X", (50, 90), "f4"), testing.random_values("C", (50, 70), "f4")
    chain = reference.matmul(X, W)
    given = {"bias": np.arange(70), "activation": "gelu"}
    for kernel in ("dequantized_panels", "dequantized"):
        for reuse in (None, 50):
            plan = dg.plan(X, W, kernel=kernel, reuse=reuse, **given)
            testing.assert_same(plan(X), reference.epilogue(chain, **given))
            testing.assert_same(plan(X, C=C, beta=2), reference.epilogue(chain, C=C, beta=2, **given))


def test_numbers_that_stand_for_no_float():
    """Scales and results may overflow, and a nan of float8 stays one."""
    values = np.float32([[448.0, np.nan, -448.0, 1.0]] * 3)
    W = dg.Quantized(values.astype(dtypes.float8_e4m3fn), np.full((1, 1), 3e38, "f4"))
    X = np.ones((40, 3), "f4")
    testing.assert_same(dg.matmul(X, W, kernel="dequantized_panels"), reference.matmul(X, W))
