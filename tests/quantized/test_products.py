"""Products with quantised operands equal the reference with ``==``, on every ISA and number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.kernels.native import quantized as adapter
from deepgemm.testing import LAYOUTS, assert_same, random_values

ISAS = _core.cpu_info()["usable"]
KERNELS = ("dequantized_panels", "dequantized")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_one_operand(kind, kernel, isa, tools):
    W = tools.quantized((7, 13), kind)
    X, Y = random_values("x", (13, 9), np.float32), random_values("y", (5, 7), np.float32)
    for threads in (1, 2, 3):
        options = {"kernel": f"{kernel}@{isa}", "threads": threads}
        assert_same(dg.matmul(W, X, **options), reference.matmul(W, X))
        assert_same(dg.matmul(Y, W, **options), reference.matmul(Y, W))
        assert_same(dg.matmul(W, X[:, 0], **options), reference.matmul(W, X[:, 0]))
        assert_same(dg.matmul(Y[0], W, **options), reference.matmul(Y[0], W))


@pytest.mark.parametrize(
    "other", ["float64", "float16", dg.bfloat16, "complex64", "complex128", "int32", "int8"]
)
@pytest.mark.parametrize("kernel", KERNELS)
def test_other_dtypes(other, kernel, tools):
    W = tools.quantized((7, 13), {"dtype": "int8", "axis": 0})
    X = random_values("x", (13, 4), np.dtype(other))
    named = other if other in ("float16", dg.bfloat16) else None  # activations keep their dtype
    assert_same(dg.matmul(W, X, kernel=kernel), dg.matmul(W.dequantize(), X, dtype=named))
    assert_same(dg.matmul(W, X, kernel=kernel), reference.matmul(W, X))
    wide = "complex128" if "complex" in str(other) else "float64"
    assert_same(dg.matmul(W, X, dtype=wide), reference.matmul(W, X, dtype=wide))


@pytest.mark.parametrize("isa", ISAS)
def test_both_operands(kind, isa, tools):
    A = tools.quantized((7, 13), kind)
    for name, options in (("one", {}), ("columns", {"axis": 1}), ("groups", {"axis": 1, "group_size": 4})):
        for dtype in ("int8", "uint4", "float8_e5m2"):
            B = dg.quantize(random_values(name, (13, 6), np.float32), dtype, **options)
            for threads in (1, 2, 3):
                product = dg.matmul(A, B, threads=threads, kernel=isa)
                assert_same(product, reference.matmul(A, B), f"{A} @ {B}")
            assert_same(A @ B, product)


def test_offsets_are_dequantised(tools):
    values = random_values("v", (6, 8), np.uint8)
    table = dg.Quantized(values, np.full((6, 1), 0.1), offsets=np.linspace(-3, 2, 6)[:, None])
    X = random_values("x", (8, 3), np.float32)
    B = dg.quantize(X, "int8")
    assert_same(table @ X, reference.matmul(table.dequantize(), X))
    assert_same(table @ B, reference.matmul(table.dequantize(), B.dequantize()))
    assert_same(table @ B, reference.matmul(table, B))


def test_exact_sums_beyond_float32():
    """257 × 255² exceeds 2**24: the sums need more than float32 has, and are exact all the same."""
    for k in (257, 258, 259, 70_000):
        A = dg.Quantized(np.full((1, k), 255, np.uint8), 1.0)
        B = dg.Quantized(np.full((k, 2), [255, 254], np.uint8), 1.0)
        expected = (k * 255 * np.array([[255, 254]])).astype(np.float32)
        assert_same(A @ B, expected)


@pytest.mark.parametrize("k", [5, 33_025, 33_026, 40_000])
def test_zero_points_beyond_32_bits(k):
    """Differences of bytes reach 255, so that sums leave 32 bits from 33,026 on."""
    A = dg.Quantized(np.full((2, k), [[255], [0]], np.uint8), 1.0, [[0]])
    B = dg.Quantized(np.full((k, 3), [-128, 127, 1], np.int8), [[0.5, 2.0, 1.0]], [[127, -128, 0]])
    assert_same(A @ B, reference.matmul(A, B))
    assert_same(B.T @ A.T, reference.matmul(B.T, A.T))


def test_panels(monkeypatch, tools):
    monkeypatch.setattr(adapter, "PANEL_BYTES", 1)
    W = tools.quantized((150, 33), {"dtype": "int4", "axis": 0, "group_size": 7})
    X, Y = random_values("x", (33, 9), np.float32), random_values("y", (5, 150), np.float32)
    assert_same(dg.matmul(W, X, kernel="dequantized_panels"), reference.matmul(W, X))
    assert_same(dg.matmul(W.T, Y.T, kernel="dequantized_panels"), reference.matmul(W.T, Y.T))
    assert_same(dg.matmul(Y, W, kernel="dequantized_panels"), reference.matmul(Y, W))
    B = tools.quantized((33, 140), {"dtype": "uint8", "symmetric": False, "axis": 1, "group_size": 5})
    assert_same(W @ B, reference.matmul(W, B))


def test_shapes(tools):
    for m, k, n in ((0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (1, 300, 1), (65, 17, 66)):
        A = dg.quantize(random_values("a", (m, k), np.float32), "int4", axis=0, group_size=3)
        B = random_values("b", (k, n), np.float32)
        Bq = dg.quantize(B, "uint8", axis=1, symmetric=False)
        assert_same(A @ B, reference.matmul(A, B))
        assert_same(A @ Bq, reference.matmul(A, Bq))
        assert_same(A.dequantize() @ Bq, reference.matmul(A.dequantize(), Bq))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_other_operand(layout, tools):
    W = tools.quantized((17, 19), {"dtype": "int8", "axis": 0})
    X = LAYOUTS[layout](random_values("x", (19, 5), np.float32))
    assert_same(W @ X, reference.matmul(W, X))
    assert_same(X.T @ W.T, reference.matmul(X.T, W.T))


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_sparse_operands(format, tools):
    S = dg.CSR(random_values("s", (6, 7), np.float32, zeros=0.6)).asformat(format)
    W = tools.quantized((7, 13), {"dtype": "int4", "axis": 0})
    assert_same(S @ W, reference.matmul(S, W))
    assert_same(W.T @ S.T, reference.matmul(W.T, S.T))
    assert_same(dg.matmul(S.to_scipy(), W), reference.matmul(S, W))
    assert_same(W.T @ S.T.to_scipy(), reference.matmul(W.T, S.T))


def test_values_of_a_sparse_operand_beside_a_quantised_one(tools):
    S = dg.CSR(random_values("s", (6, 7), np.float32, zeros=0.6))
    W = tools.quantized((7, 13), {"dtype": "int4", "axis": 0})
    V = random_values("v", (3, S.nnz), np.float32)
    stack = np.stack([S.with_data(one) @ W for one in V])
    assert_same(dg.matmul(S, W, values=V), stack)
    assert_same(dg.matmul(S, W, out=np.empty((6, 13), np.float32)), S @ W)
    assert_same(dg.matmul(S, W, dense=True), S @ W)


@pytest.mark.parametrize("half", ["float16", dg.bfloat16])
def test_half_activations_keep_their_dtype(half, tools):
    """The product is that of `dequantize()`, rounded once to the dtype of the activations."""
    W = tools.quantized((7, 13), {"dtype": "int8", "axis": 0})
    X = random_values("x", (13, 4), np.float32).astype(half)
    S = dg.CSR(random_values("s", (6, 7), np.float32, zeros=0.6)).astype(half)
    wide = dg.matmul(W.dequantize(), X)
    assert wide.dtype == np.float32
    for product in (W @ X, dg.plan(W, X)(X), (X.T @ W.T).T):
        assert product.dtype == X.dtype
        assert_same(product, wide.astype(half))
    assert_same(dg.matmul(W, X, dtype="float32"), wide)
    assert (S @ W).dtype == X.dtype
    assert_same(S @ W, reference.matmul(S, W))
    assert dg.error_bound(W, X).max() > dg.error_bound(W, X, dtype="float32").max()


def test_nonfinite_activations(tools):
    """A zero weight meets an infinity as any zero does: quantised matrices are dense."""
    W = dg.Quantized(np.array([[0, 1]], np.int8), 1.0)
    assert np.isnan(W @ np.array([np.inf, 1.0], np.float32)).all()


def test_plans(tools):
    W = tools.quantized((40, 30), {"dtype": "int8", "axis": 0})
    X, X2 = random_values("x", (30, 8), np.float32), random_values("x2", (30, 8), np.float32)
    for reuse in (None, 1, 1000):
        plan = dg.plan(W, X, reuse=reuse)
        out = np.empty((40, 8), np.float32)
        assert_same(plan(X2), reference.matmul(W, X2))
        assert plan(X2, out=out) is out
        assert_same(out, reference.matmul(W, X2))
        assert "a float32 scale for each row" in str(plan.explain())
    packed = dg.plan(X.T, W.T, reuse=1000)
    assert packed.kernel == "quantized_panels"
    assert_same(packed(X2.T), reference.matmul(X2.T, W.T))


def test_plans_of_two_quantised_operands(tools):
    A = tools.quantized((5, 8), {"dtype": "int8", "axis": 0}, "a")
    B, B2 = (tools.quantized((8, 6), {"dtype": "int8", "axis": 1}, seed) for seed in "bc")
    for fixed in ("left", "right"):
        plan = dg.plan(A, B, fixed=fixed)
        other = B2 if fixed == "left" else A
        expected = reference.matmul(A, B2 if fixed == "left" else B)
        assert plan.kernel == "whole_groups"
        assert_same(plan(other), expected)
        out = np.empty((5, 6), np.float32)
        assert plan(other, out=out) is out
        assert_same(out, expected)


def test_plans_replay(tools):
    from deepgemm.planner.decision import replay

    W = tools.quantized((40, 30), {"dtype": "int4", "axis": 0, "group_size": 8})
    plan = dg.plan(W, np.ones((30, 2), np.float32))
    again = replay(plan.to_json())
    assert again.problem == plan.problem
    assert again.choice == plan.decision.choice


def test_the_dequantised_copy_is_bought():
    W = dg.quantize(random_values("w", (600, 500), np.float32), "int8", axis=0)  # scales along K
    X = random_values("x", (1, 600), np.float32)
    expected = X @ W
    for _ in range(200):
        assert_same(X @ W, expected)
    assert W._layouts.names() == {"dequantized:float32"}


def test_operators_and_out(tools):
    W = tools.quantized((7, 13), {"dtype": "int8"})
    X = random_values("x", (13, 2), np.float32)
    out = np.empty((7, 2), np.float32)
    assert dg.matmul(W, X, out=out) is out
    assert_same(out, W.dot(X))
    assert_same(W @ X.tolist(), reference.matmul(W, X.astype(np.float64)))
    B = tools.quantized((13, 2), {"dtype": "int8"})
    assert dg.matmul(W, B, out=out) is out
    assert_same(out, W @ B)
