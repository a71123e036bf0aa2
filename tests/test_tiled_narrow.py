"""Products of tiles whose values stay narrow equal the reference with ``==``."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.testing import LAYOUTS, assert_same, random_values

ISAS = _core.cpu_info()["usable"]
KERNEL = "csr_tiled_narrow"
DTYPES = ("float16", dg.bfloat16, "int8")
FLOATS = ("float32", "float16", dg.bfloat16, dg.float8_e4m3fn)
COLUMNS = (1, 2, 7, 8, 9, 16, 17, 33, 64, 130)

pytestmark = pytest.mark.usefixtures("three_threads")


def rows_of_many_lengths(generator):
    """One tile: rows of all lengths, empty and full ones."""
    return generator.random((37, 53)) < np.linspace(0, 1.1, 37)[:, None]


def panels(generator):
    """Several panels of columns, rows that miss some of them, and more blocks than one."""
    filled = generator.random((150, 500)) < 0.3
    filled[3] = filled[60:90] = False
    filled[4] = True
    filled[5:20, 200:400] = False
    return filled


PATTERNS = {"one tile": rows_of_many_lengths, "panels": panels}


@cache
def array(name, dtype):
    filled = PATTERNS[name](np.random.default_rng(5))
    dense = np.where(filled, random_values(name, filled.shape, dtype), np.zeros((), dtype))
    return dg.CSR(dense.astype(dtype))


@cache
def product(name, dtype, other, columns):
    A = array(name, dtype)
    X = random_values("X", (A.shape[1], columns), other)
    return X, reference.matmul(A, X)


def compare(A, X, wanted, isa, note="", **options):
    for threads in (1, 2, 3):
        result = dg.matmul(A, X, kernel=f"{KERNEL}@{isa}", threads=threads, **options)
        assert_same(result, wanted, f"{A.dtype} × {X.dtype}, {X.shape}, {threads} threads {note}")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PATTERNS)
def test_float_operands(name, dtype, isa):
    for turn, columns in enumerate(COLUMNS):
        for other in (FLOATS[turn % 4], FLOATS[(turn + 1) % 4]):
            X, wanted = product(name, dtype, other, 130)
            compare(array(name, dtype), X[:, :columns], wanted[:, :columns], isa)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("other", ["int8", "uint8"])
@pytest.mark.parametrize("name", PATTERNS)
def test_integers(name, other, isa):
    A = array(name, "int8")
    X, wanted = product(name, "int8", other, 130)
    for columns in COLUMNS:
        compare(A, X[:, :columns], wanted[:, :columns], isa)
    compare(A, X, reference.matmul(A, X, dtype="int64"), isa, dtype="int64")


def test_sums_of_integers_are_exact_up_to_what_is_refused():
    A = dg.CSR(np.full((3, 1024), -128, np.int8))
    X = np.full((1024, 5), -128, np.int8)
    compare(A, X, np.full((3, 5), 1 << 24, np.int32), ISAS[0])
    with pytest.raises(dg.UnsupportedError, match="1,025 products of integers may exceed"):
        dg.matmul(dg.CSR(np.full((2, 1025), -128, np.int8)), np.ones((1025, 2), np.int8), kernel=KERNEL)


def test_wide_operands():
    """Columns take 16 bits, so that panels have no more than those tell."""
    generator = np.random.default_rng(7)
    columns = np.unique(np.concatenate([generator.integers(0, 200_000, 900), [0, 65_535, 65_536, 199_999]]))
    rows = generator.integers(0, 40, columns.size)
    data = random_values("wide", columns.size, "float16")
    A = dg.CSR(dg.COO((data, (rows, columns)), shape=(40, 200_000)))
    X = random_values("x", (200_000, 9), "float16")
    compare(A, X, reference.matmul(A, X), ISAS[0])


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_formats_and_sides(format):
    A = array("panels", "float16").asformat(format)
    X, wanted = product("panels", "float16", "float16", 9)
    compare(A, X, wanted, ISAS[0])
    Z = random_values("z", (9, A.shape[0]), "float32")
    assert_same(dg.matmul(Z, A, kernel=KERNEL), reference.matmul(Z, A))
    Z = random_values("z", (A.shape[0], 20), "float16")
    assert_same(dg.matmul(A.T, Z, kernel=KERNEL), reference.matmul(A.T, Z))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("other", ["float32", "float16"])
def test_layouts(other, layout):
    for name in PATTERNS:
        A = array(name, "float16")
        X, wanted = product(name, "float16", other, 21)
        X = LAYOUTS[layout](X)
        compare(A, X, wanted, ISAS[0], layout)
        out = np.zeros((21, A.shape[0]), X.dtype).T
        assert dg.matmul(A, X, out=out, kernel=KERNEL) is out
        assert_same(out, wanted)


def test_shapes_without_entries():
    for shape in ((0, 5), (5, 0), (1, 1), (40, 3)):
        A = dg.CSR(np.zeros(shape, np.float16))
        compare(A, np.ones((shape[1], 4), np.float16), np.zeros((shape[0], 4), np.float16), ISAS[0])


def test_structural_zeros_and_nonfinite_values():
    A = dg.CSR(np.array([[0, 1], [np.inf, 0]], np.float16))
    X = np.array([[np.inf, 1.0, 2.0], [np.nan, 2.0, 65504.0]], np.float32)
    compare(A, X, reference.matmul(A, X), ISAS[0])


def test_other_values_take_the_structure():
    A = array("panels", "float16")
    X, wanted = product("panels", "float16", "float16", 9)
    plan = dg.plan(A, X, kernel=KERNEL)
    assert_same(plan(X), wanted)
    assert "tiled:csr" in A._layouts.names()
    B = A.with_data(A.data[::-1].copy())
    assert_same(dg.matmul(B, X, kernel=KERNEL), reference.matmul(B, X))
    C = A.with_data(A.data.astype(np.float32))
    X = X.astype(np.float32)
    assert_same(dg.matmul(C, X, kernel="csr_tiled"), reference.matmul(C, X))


@pytest.mark.parametrize(
    ("dtype", "other", "message"),
    [
        ("float32", "float32", "wants values of float16, bfloat16, int8"),
        ("uint8", "float32", "wants values of float16, bfloat16, int8"),
        ("float16", "float64", "accumulates in float64"),
        ("float16", "complex64", "accumulates in complex64"),
    ],
)
def test_refusals(dtype, other, message):
    A = dg.CSR(np.ones((5, 6), dtype))
    with pytest.raises(dg.UnsupportedError, match=message):
        dg.matmul(A, np.ones((6, 2), other), kernel=KERNEL)


def test_stacks_are_refused():
    with pytest.raises(dg.UnsupportedError, match="multiplies no stacks"):
        dg.matmul(array("one tile", "float16"), np.ones((2, 53, 3), np.float16), kernel=KERNEL)
