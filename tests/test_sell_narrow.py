"""Products of slices whose values stay narrow with a vector equal the reference with ``==``."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.testing import LAYOUTS, assert_same, random_values

ISAS = _core.cpu_info()["usable"]
KERNEL = "sell_vector_narrow"
DTYPES = ("float16", dg.bfloat16, "int8")
FLOATS = ("float32", "float16", dg.bfloat16, dg.float8_e5m2)

pytestmark = pytest.mark.usefixtures("three_threads")


def many_lengths(generator):
    """Slices of every shape, with empty rows and full ones."""
    return np.nonzero(
        generator.random((150, 90)) < generator.permutation(np.linspace(-0.1, 1.1, 150))[:, None]
    )


def few_rows(generator):
    """Threads take halves of slices."""
    return np.nonzero(generator.random((25, 1000)) < np.linspace(0.1, 0.5, 25)[:, None])


def wide(generator):
    """Columns of a slice reach further than 16 bits tell; more than one window of rows."""
    rows, columns = generator.integers(0, 2100, 6000), generator.integers(0, 150_000, 6000)
    return np.unique(np.stack([rows, columns]), axis=1)


PATTERNS = {
    "many lengths": (many_lengths, (150, 90)),
    "few rows": (few_rows, (25, 1000)),
    "wide": (wide, (2100, 150_000)),
}


@cache
def array(name, dtype):
    draw, shape = PATTERNS[name]
    rows, columns = draw(np.random.default_rng(5))
    return dg.CSR(dg.COO((random_values(name, rows.size, dtype), (rows, columns)), shape=shape))


def compare(A, x, wanted, isa, note="", **options):
    for threads in (1, 2, 3):
        result = dg.matmul(A, x, kernel=f"{KERNEL}@{isa}", threads=threads, **options)
        assert_same(result, wanted, f"{A.dtype} × {x.dtype}, {threads} threads {note}")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PATTERNS)
def test_float_operands(name, dtype, isa):
    A = array(name, dtype)
    for other in FLOATS:
        x = random_values("x", A.shape[1], other)
        compare(A, x, reference.matmul(A, x), isa)
        compare(A, x[:, None], reference.matmul(A, x[:, None]), isa)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("other", ["int8", "uint8"])
@pytest.mark.parametrize("name", ["many lengths", "wide"])
def test_integers(name, other, isa):
    A = array(name, "int8")
    x = random_values("x", A.shape[1], other)
    compare(A, x, reference.matmul(A, x), isa)
    compare(A, x, reference.matmul(A, x, dtype="int64"), isa, dtype="int64")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("other", ["float32", "float16"])
def test_layouts_and_sides(other, layout):
    A = array("many lengths", "float16")
    x = LAYOUTS[layout](random_values("x", 90, other))
    compare(A, x, reference.matmul(A, x), ISAS[0], layout)
    out = np.zeros(300, x.dtype)[::2]
    assert dg.matmul(A, x, out=out, kernel=KERNEL) is out
    assert_same(out, reference.matmul(A, x))
    z = LAYOUTS[layout](random_values("z", 150, other))
    compare(A.T, z, reference.matmul(A.T, z), ISAS[0], layout)
    assert_same(dg.matmul(z, A, kernel=KERNEL), reference.matmul(z, A))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (15, 3), (16, 3), (17, 3), (67, 1)])
def test_shapes_without_entries(shape):
    A = dg.CSR(np.zeros(shape, np.float16))
    compare(A, np.ones(shape[1], np.float16), np.zeros(shape[0], np.float16), ISAS[0])


def test_structural_zeros_and_nonfinite_values():
    A = dg.CSR(np.array([[0, 1, 0], [np.inf, 0, 0], [0, 2, 65504]], np.float16))
    for x in ([np.inf, np.nan, 1.0], [1.0, 2.0, np.inf], [0.0, -0.0, 3.0]):
        x = np.array(x, np.float32)
        compare(A, x, reference.matmul(A, x), ISAS[0])


def test_other_values_take_the_structure():
    A = array("many lengths", "float16")
    x = random_values("x", 90, "float16")
    assert_same(dg.matmul(A, x, kernel=KERNEL), reference.matmul(A, x))
    assert "sell:csr" in A._layouts.names()
    B = A.with_data(A.data[::-1].copy())
    assert_same(dg.matmul(B, x, kernel=KERNEL), reference.matmul(B, x))
    C, x = A.with_data(A.data.astype(np.float32)), x.astype(np.float32)
    assert_same(dg.matmul(C, x, kernel="sell_vector"), reference.matmul(C, x))


@pytest.mark.parametrize(
    ("dtype", "other", "message"),
    [
        ("float32", "float32", "wants values of float16, bfloat16, int8"),
        ("float16", "float64", "accumulates in float64"),
        ("float16", "complex64", "accumulates in complex64"),
    ],
)
def test_refusals(dtype, other, message):
    with pytest.raises(dg.UnsupportedError, match=message):
        dg.matmul(dg.CSR(np.ones((5, 6), dtype)), np.ones(6, other), kernel=KERNEL)


def test_matrices_and_long_integer_rows_are_refused():
    with pytest.raises(dg.UnsupportedError, match="wants a vector, this operand has 3 columns"):
        dg.matmul(array("many lengths", "float16"), np.ones((90, 3), np.float16), kernel=KERNEL)
    A = dg.CSR(np.full((2, 1025), -128, np.int8))
    with pytest.raises(dg.UnsupportedError, match="1,025 products of integers may exceed"):
        dg.matmul(A, np.full(1025, -128, np.int8), kernel=KERNEL)
    assert_same(A @ np.full(1025, -128, np.int8), np.full(2, 1025 * 128 * 128, np.int32))
