"""Embedding tables in the bytes of FBGEMM and PyTorch, compared with PyTorch's own where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.errors import DTypeError, ShapeError, UnsupportedError
from deepgemm.testing import assert_same

LAYOUTS = {"fused_8bit_rowwise": "byte", "fused_4bit_rowwise": "4bit", "fused_2bit_rowwise": "2bit"}


def tables():
    generator = np.random.default_rng(3)
    normal = generator.standard_normal((40, 64)).astype(np.float32)
    yield pytest.param(normal, id="normal")
    yield pytest.param(generator.standard_normal((500, 4)).astype(np.float32), id="short rows")
    yield pytest.param(np.zeros((3, 8), np.float32), id="zeros")
    yield pytest.param(np.full((3, 64), 1.7, np.float32), id="constant")
    yield pytest.param(np.full((3, 64), -1.7e-3, np.float32), id="constant and small")
    for power in (-30, -9, -7, -5, 3):
        yield pytest.param(normal * np.float32(10.0**power), id=f"times 1e{power}")
    yield pytest.param(normal * np.float32(1e-6) + 5, id="nearly constant")
    yield pytest.param(np.arange(64, dtype=np.float32)[None] * generator.integers(1, 9, (9, 1)), id="ties")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("table", list(tables()))
def test_the_bytes_are_those_of_torch(table, layout):
    torch = pytest.importorskip("torch")
    table = np.ascontiguousarray(table, np.float32)
    operators = torch.ops.quantized
    theirs = getattr(operators, f"embedding_bag_{LAYOUTS[layout]}_prepack")(torch.from_numpy(table)).numpy()
    ours = dg.quantize_table(table, layout)
    assert_same(ours.to_bytes(layout), theirs)
    read = dg.Quantized.from_bytes(theirs, layout)
    assert_same(read.to_bytes(layout), theirs)
    assert_same(read.dequantize(), ours.dequantize())
    back = getattr(operators, f"embedding_bag_{LAYOUTS[layout]}_unpack")(torch.from_numpy(theirs)).numpy()
    # PyTorch rounds the product as well, so its numbers may differ in the last bit of the larger term.
    magnitude = np.abs(ours.offsets.astype(np.float64)) + 256 * ours.scales.astype(np.float64)
    assert (np.abs(read.dequantize().astype(np.float64) - back) <= 2.0**-23 * magnitude).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_byte_comes_back(layout):
    """Whatever values a row holds: scales and offsets are kept as they are, not computed anew."""
    generator = np.random.default_rng(5)
    for columns in (1, 2, 3, 5, 8, 33):
        made = dg.quantize_table(generator.standard_normal((6, columns)).astype(np.float32), layout)
        data = made.to_bytes(layout)
        dtype = made.scales.dtype
        data[:, -2 * dtype.itemsize :] = generator.random((6, 2)).astype(dtype).view(np.uint8)
        again = dg.Quantized.from_bytes(data, layout, columns=columns)
        assert again.shape == (6, columns)
        assert_same(again.to_bytes(layout), data)
        assert_same(dg.Quantized.from_bytes(data.tobytes(), layout, columns=columns).to_bytes(layout), data)
        again.dequantize()


def test_half_precision_tables():
    table = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float16)
    for layout in LAYOUTS:
        wide = dg.quantize_table(table.astype(np.float32), layout)
        assert_same(dg.quantize_table(table, layout).to_bytes(layout), wide.to_bytes(layout))


def test_zero_points_become_offsets():
    table = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    made = dg.quantize(table, "uint8", axis=0, symmetric=False)
    read = dg.Quantized.from_bytes(made.to_bytes("fused_8bit_rowwise"), "fused_8bit_rowwise")
    assert np.abs(read.dequantize() - made.dequantize()).max() < 1e-6
    positive = dg.Quantized(np.array([[1, 2]], np.uint8), [[0.5]])
    assert positive.to_bytes("fused_8bit_rowwise")[0, -4:].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_products_with_tables(layout):
    table = dg.quantize_table(np.random.default_rng(0).standard_normal((20, 12)).astype(np.float32), layout)
    bags = dg.CSR(np.random.default_rng(1).random((4, 20)).astype(np.float32) > 0.6, dtype="float32")
    assert_same(bags @ table, bags @ table.dequantize())
    dense = bags.toarray()
    assert_same(dense @ table, dg.matmul(dense, table.dequantize()))
    assert_same(table[[3, 3, 19]].dequantize(), table.dequantize()[[3, 3, 19]])


def test_what_does_not_fit():
    made = dg.quantize(np.ones((4, 6), np.float32), "uint8", axis=0, symmetric=False)
    for match, table, layout in (
        ("fused_4bit_rowwise holds uint4, this matrix is uint8", made, "fused_4bit_rowwise"),
        ("has a scale for each row", dg.quantize(np.ones((4, 6)), "uint8"), "fused_8bit_rowwise"),
        (
            "stores the scale in float16, which would round these of float32",
            dg.Quantized(np.zeros((1, 4), np.uint8), [[0.1]], dtype="uint4"),
            "fused_4bit_rowwise",
        ),
    ):
        with pytest.raises(UnsupportedError, match=match):
            table.to_bytes(layout)
    with pytest.raises(ValueError, match="layout is 'tbe', expected one of: fused_8bit_rowwise, fused_4bit"):
        made.to_bytes("tbe")
    data = made.to_bytes("fused_8bit_rowwise")
    read = dg.Quantized.from_bytes
    for error, match, arguments, options in (
        (ValueError, "layout is 'tbe'", (data, "tbe"), {}),
        (DTypeError, "data has dtype float64, expected uint8", (data * 1.0, "fused_8bit_rowwise"), {}),
        (ShapeError, "data has 1 dimensions, expected 2", (data[0], "fused_8bit_rowwise"), {}),
        (ShapeError, "rows have 7 bytes", (data[:, :7], "fused_8bit_rowwise"), {}),
        (
            ShapeError,
            "rows have 14 bytes, .* of 5 columns has 13",
            (data, "fused_8bit_rowwise"),
            {"columns": 5},
        ),
        (ValueError, "columns must be given for bytes", (data.tobytes(), "fused_8bit_rowwise"), {}),
        (
            ShapeError,
            "56 bytes are no whole number of rows of 13",
            (data.tobytes(), "fused_8bit_rowwise"),
            {"columns": 5},
        ),
    ):
        with pytest.raises(error, match=match):
            read(*arguments, **options)


def test_tables_that_cannot_be_quantised():
    table = np.ones((4, 6), np.float32)
    with pytest.raises(DTypeError, match="table has dtype float64, expected float32, float16 or bfloat16"):
        dg.quantize_table(table.astype(np.float64), "fused_8bit_rowwise")
    with pytest.raises(ValueError, match="layout is 'x'"):
        dg.quantize_table(table, "x")
    table[2, 1] = np.nan
    for layout in LAYOUTS:
        with pytest.raises(ValueError, match="table has an infinity or nan in row 2"):
            dg.quantize_table(table, layout)
    table[2, 1] = 1e9
    with pytest.raises(OverflowError, match="row 2 reaches from 1 to 1e\\+09, which the float16 scale"):
        dg.quantize_table(table, "fused_4bit_rowwise")


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ShapeError, "quantize_table: table has 3 dimensions", lambda: table_of(np.ones((1, 2, 3)))),
        (DTypeError, "table has dtype float8_e5m2, expected float32", lambda: table_of(EIGHTS)),
        (
            ValueError,
            r"layout is \['a'\], expected one of",
            lambda: dg.quantize_table(np.ones((2, 4), "f4"), ["a"]),
        ),
        (ValueError, "from_bytes: columns is -8, expected at least 0", lambda: read_bytes(-8)),
        (DTypeError, "from_bytes: columns is 2.0, expected a whole number", lambda: read_bytes(2.0)),
        (DTypeError, "from_bytes: columns is True", lambda: read_bytes(True)),
    ],
)
def test_what_is_no_table(error, match, call):
    with pytest.raises(error, match=match):
        call()


EIGHTS = np.ones((2, 4), np.float32).astype(dg.float8_e5m2)


def table_of(values):
    return dg.quantize_table(values, "fused_8bit_rowwise")


def read_bytes(columns):
    return dg.Quantized.from_bytes(bytes(20), "fused_8bit_rowwise", columns=columns)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tables_begin_with_a_cache_line(layout):
    table = dg.quantize_table(np.ones((5, 64), np.float32), layout)
    for made in (table, dg.Quantized.from_bytes(table.to_bytes(layout), layout)):
        assert made.stored.ctypes.data % 64 == 0
