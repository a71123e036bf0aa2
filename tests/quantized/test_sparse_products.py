"""Products with sparse quantised operands equal the reference with ``==``: kernels, ISAs and threads."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.planner.decision import replay
from deepgemm.testing import LAYOUTS, assert_same, random_values, sparse_cases

ISAS = _core.cpu_info()["usable"]
DTYPES = ("int8", "uint8", "int4", "uint4", "float8_e4m3fn", "float8_e5m2")
COLUMNS = (None, 1, 2, 15, 16, 17, 70, 130)
# Every kernel that may be chosen, and the formats that it serves.
KERNELS = {
    "csr_narrow": ("csr", "csc", "bsr"),
    "csr_rowwise": ("csr", "csc", "bsr"),
    "csr_tiled": ("csr", "csc", "bsr"),
    "csr_scatter": ("csr", "csc", "bsr"),
    "bsr_dense": ("bsr",),
    "bsr_narrow": ("bsr",),
}

pytestmark = pytest.mark.usefixtures("three_threads")


def sparse(shape, format="csr", zeros=0.8):
    """Rows of very different length, an empty one among them, and a full one."""
    values = random_values("s", shape, np.float32, zeros=zeros)
    if min(shape) > 3:
        values[1] = 0
        values[2] = random_values("row", shape[1], np.float32)
    return dg.BSR(values, blocksize=(4, 9)) if format == "bsr" else dg.CSR(values).asformat(format)


def compare(Aq, X, kernel, threads=(1, 2, 3), left=True):
    wanted = reference.matmul(Aq, X) if left else reference.matmul(X, Aq)
    for count in threads:
        product = dg.matmul(*((Aq, X) if left else (X, Aq)), kernel=kernel, threads=count)
        assert_same(product, wanted, f"{Aq} × {X.dtype}, {X.shape}, {kernel}, {count} threads")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_as_stored(dtype, axis, isa):
    for format in ("csr", "csc", "bsr"):
        Aq = dg.quantize(sparse((36, 54), format), dtype, axis=axis)
        for columns in COLUMNS:
            shape = (54,) if columns is None else (54, columns)
            for theirs in ("float32", "float16", dg.bfloat16, "int8"):
                X = random_values("x", shape, np.dtype(theirs))
                compare(Aq, X, f"csr_narrow@{isa}", (1, 3) if columns in (None, 70) else (2,))
        Z = random_values("z", (5, 36), np.float32)
        compare(Aq, Z, f"csr_narrow@{isa}", left=False)
        compare(Aq, Z[0], f"csr_narrow@{isa}", left=False)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_as_stored(dtype, axis, isa):
    for size in ((4, 9), (1, 3), (9, 2), (36, 1)):
        Aq = dg.quantize(sparse((36, 54)).tobsr(size), dtype, axis=axis)
        for columns in COLUMNS:
            shape = (54,) if columns is None else (54, columns)
            for theirs in ("float32", dg.bfloat16):
                X = random_values("x", shape, np.dtype(theirs))
                compare(Aq, X, f"bsr_narrow@{isa}", (1, 3) if columns in (None, 70) else (2,))
        Z = random_values("z", (5, 36), np.float32)
        compare(Aq, Z, f"bsr_narrow@{isa}", left=False)
        compare(Aq, Z[0], f"bsr_narrow@{isa}", left=False)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_is_the_product_of_what_values_stand_for(kernel, isa):
    for format in KERNELS[kernel]:
        for dtype, axis in (("int8", 0), ("int4", 1), ("uint8", None)):
            Aq = dg.quantize(sparse((36, 54), format), dtype, axis=axis)
            X, Z = random_values("x", (54, 19), np.float32), random_values("z", (5, 36), np.float32)
            compare(Aq, X, f"{kernel}@{isa}")
            compare(Aq, Z, f"{kernel}@{isa}", left=False)
            assert_same(dg.matmul(Aq, X, kernel=kernel), Aq.dequantize() @ X)


@pytest.mark.parametrize("kernel", ["csr_vector", "sell_vector", "bsr_vector", "csr_narrow", "bsr_narrow"])
def test_vectors(kernel):
    Aq = dg.quantize(sparse((36, 54), "bsr" if kernel.startswith("bsr") else "csr"), "int4", axis=0)
    compare(Aq, random_values("v", (54,), np.float32), kernel)
    compare(Aq, random_values("w", (36,), np.float32), kernel, left=False)


def test_everything_that_can_serve_gives_the_same():
    """Whatever the planner could choose: a kernel that read values without their scales would show here."""
    for format in ("csr", "csc", "bsr"):
        for columns in (1, 8):
            X = random_values("x", (54, columns), np.float32)
            Aq = dg.quantize(sparse((36, 54), format), "int8", axis=0)
            served = [c for c in dg.plan(Aq, X).candidates if c.refused is None]
            assert len(served) > 3
            for candidate in served:
                assert_same(dg.matmul(Aq, X, kernel=candidate.name), reference.matmul(Aq, X), candidate.name)


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("case", sparse_cases(np.float32), ids=lambda case: case.name)
def test_shapes(case, index_dtype):
    problem = case.make()
    arrays = problem.data, problem.indices.astype(index_dtype), problem.indptr.astype(index_dtype)
    A = dg.CSR(arrays, shape=problem.shape)
    X = random_values("x", (A.shape[1], 5), np.float32)
    for dtype, axis in (("int4", 0), ("int8", 1)):
        Aq = dg.quantize(A, dtype, axis=axis)
        compare(Aq, X, "csr_narrow", (3,))
        compare(Aq, X[:, 0], "csr_narrow", (2,))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_dense_operand(layout):
    Aq = dg.quantize(sparse((37, 53)), "int4", axis=0)
    for theirs in ("float32", "float16"):
        X = LAYOUTS[layout](random_values("x", (53, 21), np.dtype(theirs)))
        compare(Aq, X, "csr_narrow")
        out = np.zeros((21, 37), X.dtype).T
        assert dg.matmul(Aq, X, out=out, kernel="csr_narrow") is out
        assert_same(out, reference.matmul(Aq, X))


def test_long_rows():
    """Rows of more entries than are widened at a time."""
    for axis in (None, 0, 1):
        Aq = dg.quantize(sparse((70, 3000), zeros=0.3), "int4", axis=axis)
        blocks = dg.quantize(sparse((70, 3000), zeros=0.3).tobsr((7, 5)), "int4", axis=axis)
        for columns in (None, 3, 40):
            shape = (3000,) if columns is None else (3000, columns)
            compare(Aq, random_values("x", shape, np.float32), "csr_narrow", (1, 3))
            compare(blocks, random_values("x", shape, np.float32), "bsr_narrow", (1, 3))


@pytest.mark.parametrize("theirs", ["float64", "complex64", "complex128", "int32"])
def test_other_dtypes(theirs):
    Aq = dg.quantize(sparse((36, 54)), "int8", axis=0)
    X = random_values("x", (54, 4), np.dtype(theirs))
    assert_same(dg.matmul(Aq, X), reference.matmul(Aq, X))
    assert_same(Aq @ X, Aq.dequantize() @ X)
    assert_same(dg.matmul(Aq, X, dtype="complex128"), reference.matmul(Aq, X, dtype="complex128"))


def test_structural_zeros_and_nonfinite_values():
    Aq = dg.QuantizedSparse(dg.CSR(np.array([[0, 1], [3, 0]], np.int8)), 2.0)
    X = np.array([[np.inf, 1.0], [np.nan, 2.0]], np.float32)
    for kernel in ("csr_narrow", "csr_rowwise", "csr_scatter", "csr_tiled"):
        compare(Aq, X, kernel)


def test_subnormal_and_overflowing_scales():
    codes = dg.CSR(np.array([[127, 3], [-128, 1]], np.int8))
    for scale in (1e-44, 3e36, 1.1754944e-38):
        Aq = dg.QuantizedSparse(codes, scale)
        compare(Aq, np.eye(2, dtype=np.float32), "csr_narrow")


def test_stacks_and_epilogues():
    Aq = dg.quantize(sparse((36, 54)), "int8", axis=0)
    X = random_values("x", (3, 54, 7), np.float32)
    wanted = np.stack([reference.matmul(Aq, x) for x in X])
    assert_same(Aq @ X, wanted)
    assert_same(dg.plan(Aq, X, reuse=10)(X), wanted)
    bias = random_values("b", (7,), np.float32)
    assert_same(
        dg.matmul(Aq, X[0], bias=bias, activation="relu"),
        dg.matmul(Aq.dequantize(), X[0], bias=bias, activation="relu"),
    )


def test_plans():
    Aq = dg.quantize(sparse((36, 54)), "int8", axis=0)
    X = random_values("x", (54, 8), np.float32)
    plan = dg.plan(Aq, X)
    assert plan.kernel == "csr_narrow"
    assert not Aq._layouts.names()
    text = str(plan.explain())
    assert "csr int8 36 × 54" in text
    assert "left scaling    a float32 scale for each row" in text
    assert replay(plan.to_json()).choice == plan.decision.choice
    bought = dg.plan(Aq, X, kernel="csr_rowwise")
    assert bought.chosen.layout == "values:float32"
    assert bought.chosen.layout_bytes == 4 * Aq.nnz
    assert Aq._layouts.names() == {"values:float32"}
    for format in ("csr", "csc"):
        other = dg.quantize(sparse((36, 54), format), "int8")
        assert_same(dg.plan(other, X, kernel="csr_tiled")(X), reference.matmul(other, X))
        assert other._layouts.names() == {"tiled:csr:float32"}  # and no copy of the values on the way there
    turned = dg.plan(X.T, Aq.T, kernel="csr_narrow")
    assert turned.chosen.layout is None
    assert_same(plan(X), turned(np.ascontiguousarray(X.T)).T)
    blocks = dg.quantize(sparse((36, 54), "bsr"), "int4", axis=0)
    assert dg.plan(blocks, X, kernel="bsr_narrow").chosen.layout is None
    right = dg.plan(random_values("z", (5, 36), np.float32), Aq, kernel="csr_narrow")
    assert right.chosen.layout == "csc"
    half = dg.plan(random_values("z", (5, 36), np.float32), dg.quantize(sparse((36, 54)), "int4"))
    assert {c.kernel: c.layout_bytes for c in half.candidates}["csr_narrow"] == int(4.5 * Aq.nnz)


def test_entries_that_fill_blocks():
    A = dg.CSR(np.kron(random_values("b", (20, 30), np.float32, zeros=0.7), np.ones((8, 4), np.float32)))
    Aq = dg.quantize(A, "int8", axis=0)
    X = random_values("x", (120, 32), np.float32)
    plan = dg.plan(Aq, X, reuse=10**6)
    assert {c.kernel: c.layout for c in plan.candidates if c.refused is None}[
        "bsr_dense"
    ] == "bsr:8x4:float32"
    compare(Aq, X, "bsr_dense")
    compare(Aq, np.where(X > 0, X, np.inf).astype(np.float32), "bsr_dense")


def test_operators_keep_their_plan():
    Aq = dg.quantize(sparse((36, 54)), "int8")
    x = random_values("x", (54,), np.float32)
    for _ in range(3):
        assert_same(Aq @ x, reference.matmul(Aq, x))
        assert_same(Aq.dot(x), reference.matmul(Aq, x))
    assert Aq._recent_left is not None


def test_error_bound():
    for dtype, axis in (("int8", 0), ("int4", 1), ("float8_e5m2", None)):
        for format in ("csr", "bsr"):
            Aq = dg.quantize(sparse((36, 54), format), dtype, axis=axis)
            X = random_values("x", (54, 8), np.float32)
            codes = Aq._with_values(Aq.values.astype(np.float64) - Aq.zero_point).toarray()
            product = codes * Aq.scales.astype(np.float64) @ X.astype(np.float64)
            bound = dg.error_bound(Aq, X)
            assert bound.shape == product.shape
            assert (np.abs((Aq @ X) - product) <= bound).all()
            assert bound.max() < 1e-3
            Z = random_values("z", (3, 36), np.float16)
            assert (dg.error_bound(Z, Aq) > 0).any()
            assert (dg.error_bound(Aq, X[:, 0]) <= bound[:, 0] * 1.0001).all()


def test_quantization_error():
    A = sparse((36, 54))
    X = random_values("x", (54, 8), np.float32)
    coarse = dg.quantization_error(dg.quantize(A, "int4", axis=0), X, original=(A, X), sample=20)
    fine = dg.quantization_error(dg.quantize(A, "int8", axis=0), X, original=(A, X))
    assert fine.decibels > coarse.decibels + 15
    assert (coarse.rows, coarse.of_rows) == (20, 36)
    Z = random_values("z", (9, 36), np.float32)
    assert dg.quantization_error(Z, dg.quantize(A, "int8", axis=1), original=(Z, A), sample=4).decibels > 30
