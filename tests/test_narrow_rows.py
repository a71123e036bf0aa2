"""Products of sparse arrays whose values stay narrow equal the reference with ``==``."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.testing import LAYOUTS, assert_same, random_values

ISAS = _core.cpu_info()["usable"]
FLOATS = ("float16", dg.bfloat16, dg.float8_e4m3fn, dg.float8_e5m2)
COLUMNS = (None, 1, 2, 15, 16, 17, 70, 130)

pytestmark = pytest.mark.usefixtures("three_threads")


def sparse(shape, dtype, zeros=0.8):
    """Rows of very different length, an empty one among them, and a full one."""
    values = random_values("s", shape, np.float32, zeros=zeros)
    if min(shape) > 3:
        values[1] = 0
        values[2] = random_values("row", shape[1], np.float32)
    if np.dtype(dtype).kind in "iu":
        values = np.clip(np.rint(values * 50), 0 if dtype == "uint8" else -128, 127)
    return dg.CSR(values.astype(dtype))


def other(shape, dtype):
    if np.dtype(dtype).kind not in "iu":
        return random_values("x", shape, np.float32).astype(dtype)
    limits = np.iinfo(dtype)
    return np.random.default_rng(3).integers(limits.min, limits.max + 1, shape).astype(dtype)


def compare(A, X, isa, **options):
    wanted = reference.matmul(A, X)
    for threads in (1, 2, 3):
        product = dg.matmul(A, X, kernel=f"csr_narrow@{isa}", threads=threads, **options)
        assert_same(product, wanted, f"{A.dtype} × {X.dtype}, {X.shape}, {threads} threads")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint8"])
def test_float_operands(dtype, isa):
    A = sparse((37, 53), dtype)
    for columns in COLUMNS:
        shape = (53,) if columns is None else (53, columns)
        for theirs in ("float32", "float16", dg.bfloat16):
            compare(A, other(shape, theirs), isa)
    Z = other((5, 37), "float32")
    assert_same(dg.matmul(Z, A, kernel=f"csr_narrow@{isa}"), reference.matmul(Z, A))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("theirs", ["int8", "uint8"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers(dtype, theirs, isa):
    A = sparse((37, 53), dtype)
    for columns in COLUMNS:
        shape = (53,) if columns is None else (53, columns)
        X = other(shape, theirs)
        compare(A, X, isa)
        options = {"dtype": "int64", "kernel": f"csr_narrow@{isa}"}
        assert_same(dg.matmul(A, X, **options), reference.matmul(A, X, dtype="int64"))


@pytest.mark.parametrize("indices", ["i4", "i8"])
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_formats(format, indices):
    S = sparse((36, 54), "float16").to_scipy()
    S.indices, S.indptr = S.indices.astype(indices), S.indptr.astype(indices)
    A = dg.CSR(S).astype("float16").asformat(format)
    X = other((54, 9), "float16")
    compare(A, X, ISAS[0])
    compare(A.T, other((36, 3), "float16"), ISAS[0])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint8"])
def test_blocks(dtype, isa):
    options = {"kernel": f"bsr_narrow@{isa}"}
    for size in ((3, 2), (12, 9), (1, 1)):
        A = sparse((36, 54), dtype).tobsr(size)
        for columns in (None, 1, 7, 33):
            shape = (54,) if columns is None else (54, columns)
            for theirs in ("float32", "float16"):
                X = other(shape, theirs)
                for threads in (1, 3):
                    assert_same(dg.matmul(A, X, threads=threads, **options), reference.matmul(A, X))
        Z = other((5, 36), "float32")
        assert_same(dg.matmul(Z, A, **options), reference.matmul(Z, A))
        assert A._layouts.names() == {"bsr.T"}
        B = A.with_data(A.data[::-1].copy())
        assert_same(dg.matmul(Z, B, **options), reference.matmul(Z, B))
    with pytest.raises(dg.UnsupportedError, match="wants blocks, this operand is csr"):
        dg.matmul(A.tocsr(), X, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    A = sparse((37, 53), "int8")
    for theirs in ("float32", "float16"):
        X = LAYOUTS[layout](other((53, 21), theirs))
        compare(A, X, ISAS[0])
        out = np.zeros((21, 37), X.dtype).T
        assert dg.matmul(A, X, out=out, kernel="csr_narrow") is out
        assert_same(out, reference.matmul(A, X))


def test_long_rows():
    """Rows of more entries than are widened at a time, and shapes without any."""
    A = sparse((70, 3000), "bfloat16", zeros=0.3)
    for columns in (None, 3, 40):
        compare(A, other((3000,) if columns is None else (3000, columns), dg.bfloat16), ISAS[0])
    for shape in ((0, 5), (5, 0), (1, 1)):
        compare(dg.CSR(np.zeros(shape, np.float16)), other((shape[1], 4), "float16"), ISAS[0])
        compare(dg.CSR(np.zeros(shape, np.float16)), other((shape[1],), "float16"), ISAS[0])


def test_structural_zeros_and_nonfinite_values():
    A = dg.CSR(np.array([[0, 1], [np.inf, 0]], np.float16))
    X = np.array([[np.inf, 1.0], [np.nan, 2.0]], np.float32)
    compare(A, X, ISAS[0])


def test_no_copy_of_the_values_is_made():
    A = sparse((500, 400), "int8")
    X = other((400, 16), "float32")
    plan = dg.plan(A, X, kernel="csr_narrow")
    plan(X)
    assert not A._layouts.names()


@pytest.mark.parametrize(
    ("dtype", "theirs", "message"),
    [
        ("float32", "float32", "wants values of float16"),
        ("float16", "float64", "accumulates in float64"),
        ("float16", "complex64", "accumulates in complex64"),
    ],
)
def test_refusals(dtype, theirs, message):
    A = sparse((5, 6), dtype)
    with pytest.raises(dg.UnsupportedError, match=message):
        dg.matmul(A, np.ones((6, 2), theirs), kernel="csr_narrow")


def test_integers_beyond_float32_are_refused():
    A = dg.CSR(np.full((2, 1100), -128, np.int8))
    X = np.full((1100, 2), -128, np.int8)
    with pytest.raises(dg.UnsupportedError, match="1,100 products of integers may exceed"):
        dg.matmul(A, X, kernel="csr_narrow")
    assert_same(A @ X, np.full((2, 2), 1100 * 128 * 128, np.int32))
    with pytest.raises(dg.UnsupportedError, match="multiplies no stacks"):
        dg.matmul(sparse((5, 6), "float16"), np.ones((2, 6, 3), np.float16), kernel="csr_narrow")
