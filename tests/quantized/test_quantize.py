"""Quantising, dequantising and fake quantising equal their statements, and their errors are bounded."""

from __future__ import annotations

import numpy as np
import pytest
from deepgemm.sparse.quantized_blocks import PANEL

import deepgemm as dg
from deepgemm import reference
from deepgemm.dtypes import code_limits
from deepgemm.testing import LAYOUTS, SIZES, assert_same


def assert_as_stated(x, options, **more):
    made = dg.quantize(x, **options, **more)
    values, scales, zero_points = reference.quantize(x, **options, **more)
    assert_same(made.values.astype(np.float32), values.astype(np.float32))
    assert_same(made.scales, scales)
    zeros = np.zeros(scales.shape, np.int64) if made.zero_points is None else made.zero_points
    assert_same(
        zeros.astype(np.int64), np.zeros_like(zeros, np.int64) if zero_points is None else zero_points
    )
    assert_same(made.dequantize(), reference.dequantize(made))
    return made


@pytest.mark.parametrize(
    ("source", "scale_dtype"),
    [
        ("float32", "float32"),
        ("float32", dg.bfloat16),
        ("float64", "float16"),
        ("float16", "float16"),
        (dg.bfloat16, "float32"),
        ("int16", "float32"),
    ],
)
def test_as_stated(kind, source, scale_dtype, tools):
    assert_as_stated(tools.random((7, 13), source), kind, scale_dtype=scale_dtype)


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size, tools):
    for shape in ((size, 3), (3, size)):
        for options in ({"axis": 0, "group_size": 16}, {"axis": 1, "group_size": 16}, {}):
            assert_as_stated(tools.random(shape), {"dtype": "int4", "symmetric": False, **options})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layouts(layout, matrix, tools):
    given = LAYOUTS[layout](matrix)
    before = given.copy()
    made = dg.quantize(given, "int4", axis=0, group_size=4)
    assert_same(made.dequantize(), dg.quantize(matrix, "int4", axis=0, group_size=4).dequantize())
    assert_same(given, before)


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"axis": 1}, {"axis": 1, "group_size": 700}])
def test_more_than_one_panel(options):
    x = np.random.default_rng(0).standard_normal((2000, 3 * PANEL // 2000)).astype(np.float32)
    made = dg.quantize(x, "int8", symmetric=False, **options)
    shape = made.scales.shape
    rows, columns = (np.arange(n) // b for n, b in zip(x.shape, made.block, strict=True))
    scale = made.scales[np.minimum(rows, shape[0] - 1)][:, np.minimum(columns, shape[1] - 1)]
    assert (np.abs(made.dequantize() - x) <= scale * 1.001).all()


def test_error_is_half_a_scale(tools):
    for dtype in tools.dtypes[:6]:
        x = tools.random((40, 50))
        made = dg.quantize(x, dtype, axis=0)
        error = np.abs(made.dequantize().astype(np.float64) - x)
        assert (error <= made.scales * (0.5 + 1e-6)).all(), dtype


def test_values_stay_off_the_odd_end():
    """Symmetric values run as far to one side as to the other: -128 is never among them."""
    made = dg.quantize([[-1.0, 1.0, 0.25]], "int8")
    assert made.values.tolist() == [[-127, 127, 32]]
    made = dg.quantize([[-1.0, 1.0, 0.0]], "uint8")
    assert made.values.tolist() == [[1, 255, 128]]
    assert made.zero_points.tolist() == [[128]]


def test_ties_go_to_even():
    x = [[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]]
    assert dg.quantize(x, "int8").values.tolist() == [[127, 0, 2, 2, 0, -2]]


def test_scale_is_the_smallest_that_fits(tools):
    for scale_dtype in ("float32", "float16", dg.bfloat16):
        made = dg.quantize(tools.random((60, 9)), "int8", axis=0, scale_dtype=scale_dtype)
        largest = np.abs(tools.random((60, 9))).max(axis=1).astype(np.float64)
        scales = made.scales[:, 0].astype(np.float64)
        below = np.nextafter(made.scales, np.zeros_like(made.scales))[:, 0].astype(np.float64)
        used = largest > 0
        assert (scales * 127 >= largest).all()
        assert (below[used] * 127 < largest[used]).all()
        assert (scales[~used] == 1).all()


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-39, 3.0, -3.0, 3e38])
def test_constant_rows(value, tools):
    for dtype in tools.dtypes:
        for symmetric in (True, False) if "int" in dtype else (True,):
            x = np.full((2, 5), value, np.float32)
            made = assert_as_stated(x, {"dtype": dtype, "symmetric": symmetric, "axis": 0})
            w = made.dequantize()
            most = np.float64(made.scales) if "int" in dtype else 2.0**-3 * np.abs(x)
            assert (np.abs(w - x) <= most).all()
            assert np.ptp(w) == 0


def test_float64_is_divided_in_float64():
    x = np.array([[127.0, 2.5 + 1e-12]])
    assert dg.quantize(x, "int8").values.tolist() == [[127, 3]]
    assert dg.quantize(x.astype(np.float32), "int8").values.tolist() == [[127, 2]]


def test_limits_saturate(matrix):
    options = {"dtype": "int8", "axis": 0, "limits": (-1.0, np.full((7, 1), 0.5))}
    made = assert_as_stated(matrix, options)
    assert np.abs(made.dequantize()).max() <= 1.0 + 1e-6
    assert (made.scales == made.scales[0]).all()


def test_nonfinite_numbers(matrix):
    x = matrix.copy()
    x[0, :4] = np.inf, -np.inf, np.nan, 0.0
    for bad in (np.inf, np.nan):
        y = matrix.copy()
        y[4, 2] = bad
        with pytest.raises(ValueError, match=r"infinity or nan in the block at row 4, column 0.*saturate"):
            dg.quantize(y, "int8", axis=0)
    for dtype in ("int8", "float8_e4m3fn"):
        made = dg.quantize(x, dtype, axis=0, nonfinite="saturate")
        high = code_limits(made.dtype)[1]
        assert made.values[0, :4].astype(np.float32).tolist() == [high, -high, 0, 0]
        expected = dg.quantize(matrix[1:], dtype, axis=0)
        assert_same(made[1:].dequantize(), expected.dequantize())


def test_fake_quantize(kind, matrix):
    values, mask = dg.fake_quantize(matrix, **kind)
    made = dg.quantize(matrix, **kind)
    assert_same(values, made.dequantize())
    assert mask.dtype == np.bool_
    assert mask.all() or not kind["symmetric"]
    for source in ("float64", "float16", dg.bfloat16):
        assert dg.fake_quantize(matrix.astype(source), **kind)[0].dtype == source


def test_mask_is_false_where_elements_saturate(matrix):
    values, mask = dg.fake_quantize(matrix, "int8", limits=(-1.0, 1.0))
    assert_same(mask, np.abs(matrix) <= 1.0)
    assert np.abs(values).max() <= 1.0 + 1e-6


def test_dequantize_to_other_dtypes(matrix):
    made = dg.quantize(matrix, "int8", axis=0)
    wide = made.dequantize()
    for dtype in ("float64", "float16", dg.bfloat16):
        assert_same(made.dequantize(dtype), reference.rounded(wide, dtype))
    assert_same(dg.dequantize(made, "float64"), wide.astype(np.float64))
