"""`Quantized` as a value: what it shows, shares, refuses and gives back."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from deepgemm.sparse.packing import pack, unpack

import deepgemm as dg
from deepgemm.errors import DTypeError, FormatError, ShapeError, StaleDataError, UnsupportedError
from deepgemm.testing import SIZES, assert_same

VALUES = np.array([[1, -2, 3], [4, 5, -6]], np.int8)


def test_repr(matrix):
    shown = {
        (): "a float32 scale for all",
        (0,): "a float32 scale for each row",
        (1,): "a float32 scale for each column",
        (0, 4): "a float32 scale for each 4 columns of each row",
        (1, 3): "a float32 scale for each 3 rows of each column",
    }
    for options, words in shown.items():
        made = dg.quantize(matrix, "int4", **dict(zip(("axis", "group_size"), options, strict=False)))
        assert words in repr(made)
        assert repr(made).startswith("Quantized(shape=(7, 13), dtype=int4, ")
        assert words in made._repr_html_()
        assert "<table" in made._repr_html_()
    assert "scale and zero point" in repr(dg.quantize(matrix, "uint8", symmetric=False))


def test_memory_is_shared_and_read_only():
    made = dg.Quantized(VALUES, 0.5)
    assert np.shares_memory(made.values, VALUES)
    assert np.shares_memory(made.T.values, VALUES)
    assert not np.shares_memory(dg.Quantized(VALUES, 0.5, copy=True).values, VALUES)
    assert not np.shares_memory(made.copy().values, VALUES)
    assert copy.copy(made) is made
    assert not np.shares_memory(copy.deepcopy(made).values, VALUES)
    for part in (made.values, made.scales, made.stored):
        with pytest.raises(ValueError, match="read-only"):
            part[0, 0] = 1
    with pytest.raises(TypeError, match="immutable"):
        made[0, 0] = 1
    with pytest.raises(AttributeError):
        made.scales = 1
    assert VALUES.flags.writeable


def test_changed_memory_is_seen():
    values = VALUES.copy()
    made = dg.Quantized(values, 0.5)
    values += 1
    for use in (made.dequantize, lambda: made @ np.ones(3, np.float32), lambda: pickle.dumps(made)):
        with pytest.raises(StaleDataError):
            use()


def test_packed_values(tools):
    for dtype, bits in (("int4", 4), ("uint4", 4), ("int2", 2), ("uint2", 2)):
        low = -(1 << (bits - 1)) if dtype.startswith("i") else 0
        for n in SIZES:
            codes = np.random.default_rng(n).integers(low, low + (1 << bits), (3, n))
            made = dg.Quantized(codes, 1.0, dtype=dtype)
            assert made.stored.shape == (3, -(-n * bits // 8))
            assert_same(made.values.astype(np.int64), codes)
            again = dg.Quantized(made.stored, 1.0, dtype=dtype, shape=(3, n))
            assert_same(again.values, made.values)
            assert_same(unpack(pack(made.values, bits), bits, low < 0, n), made.values)
            assert_same(dg.Quantized(made.values.astype(dtype), 1.0).values, made.values)


def test_pickle_copy_transpose_rows(kind, matrix):
    made = dg.quantize(matrix, **kind)
    w = made.dequantize()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(made, protocol))
        assert repr(again) == repr(made)
        assert again.block == made.block
        assert_same(again.dequantize(), w)
    assert_same(made.copy().dequantize(), w)
    assert_same(made.T.dequantize(), w.T)
    assert made.T.T is made
    assert made.T is made.T
    if made.block[0] in (1, len(matrix)):
        for rows in (slice(2, 5), slice(None, None, -2), [3, 0, 3], np.array([], int), slice(9, 9)):
            assert_same(made[rows].dequantize(), w[rows])
            assert_same(pickle.loads(pickle.dumps(made[rows])).dequantize(), w[rows])
        assert_same(made[4].dequantize(), w[4:5])
        assert_same(made[np.arange(7) > 3].dequantize(), w[4:])
    else:
        with pytest.raises(UnsupportedError, match="groups of 4"):
            made[1:3]


def test_nbytes():
    made = dg.quantize(np.ones((8, 9), np.float32), "int4", axis=0)
    assert made.nbytes == 8 * 5 + 8 * 4
    assert made.size == 72
    assert len(made) == 8


def test_scales_of_other_dtypes_are_rounded_once():
    assert dg.Quantized(VALUES, 0.1).scales.dtype == np.float32
    assert dg.Quantized(VALUES, np.array([[0.1]])).scales[0, 0] == np.float32(0.1)
    for dtype in ("float16", dg.bfloat16):
        assert dg.Quantized(VALUES, np.ones((2, 1), dtype)).scales.dtype == dtype


@pytest.mark.parametrize(
    ("error", "match", "arguments", "options"),
    [
        (ShapeError, "values have 1 dimensions", (VALUES[0], 1.0), {}),
        (
            DTypeError,
            "dtype is int16, expected one of: int8, uint8, int4",
            (VALUES.astype(np.int16), 1.0),
            {},
        ),
        (DTypeError, "dtype is nonsense", (VALUES, 1.0), {"dtype": "nonsense"}),
        (DTypeError, "values have dtype int8, expected float8_e5m2", (VALUES, 1.0), {"dtype": "float8_e5m2"}),
        (FormatError, "values hold -6, expected 0 to 255 for uint8", (VALUES, 1.0), {"dtype": "uint8"}),
        (FormatError, "values hold 5, expected -2 to 1 for int2", (VALUES // 2 + 3, 1.0), {"dtype": "int2"}),
        (ShapeError, "scales have 1 dimension.*scales.:, None. scales rows", (VALUES, [1.0, 2.0]), {}),
        (
            ShapeError,
            r"scales have 2 columns, expected 1 or 3 as the values \(group_size is not given\)",
            (VALUES, np.ones((2, 2))),
            {},
        ),
        (
            ShapeError,
            "scales have 2 columns, expected 1 or 3 as the values, or 3 groups of 1",
            (VALUES, np.ones((2, 2))),
            {"group_size": 1},
        ),
        (
            ShapeError,
            r"scales have shape \(2, 1\), in which no axis of \(2, 3\) has groups of 2",
            (VALUES, np.ones((2, 1))),
            {"group_size": 2},
        ),
        (ValueError, "Quantized: group_size is 0", (VALUES, np.ones((2, 1))), {"group_size": 0}),
        (FormatError, "scales hold nan", (VALUES, np.nan), {}),
        (FormatError, "scales hold inf, expected finite numbers", (VALUES, np.inf), {}),
        (DTypeError, "complex", (VALUES, 1j), {}),
        (FormatError, "zero_points hold 128, expected -128 to 127 for int8", (VALUES, 1.0, 128), {}),
        (
            FormatError,
            "zero_points hold 8, expected -8 to 7 for int4",
            (VALUES, np.ones((2, 1)), [[0], [8]]),
            {"dtype": "int4"},
        ),
        (
            ShapeError,
            r"zero_points have shape \(2, 1\), but scales have \(1, 1\)",
            (VALUES, 1.0, [[0], [1]]),
            {},
        ),
        (DTypeError, "zero_points have dtype float64, expected integers", (VALUES, 1.0, 0.5), {}),
        (
            FormatError,
            "zero_points are given, but float8_e5m2 has none",
            (VALUES.astype(dg.float8_e5m2), 1.0, 0),
            {},
        ),
        (FormatError, "zero_points and offsets are both given", (VALUES, 1.0, 0), {"offsets": 0.0}),
        (FormatError, "offsets hold inf", (VALUES, 1.0), {"offsets": np.inf}),
        (
            ShapeError,
            r"packed values have shape \(2, 3\), expected \(2, 2\) for \(2, 3\) of int4",
            (VALUES.view(np.uint8), 1.0),
            {"dtype": "int4", "shape": (2, 3)},
        ),
        (DTypeError, "packed values have dtype int8", (VALUES, 1.0), {"dtype": "int4", "shape": (2, 6)}),
        (ShapeError, r"values have shape \(2, 3\), but shape is \(3, 2\)", (VALUES, 1.0), {"shape": (3, 2)}),
    ],
)
def test_parts_that_do_not_fit(error, match, arguments, options):
    with pytest.raises(error, match=match):
        dg.Quantized(*arguments, **options)


def test_what_is_refused_after_construction():
    made = dg.Quantized(VALUES, 0.5)
    with pytest.raises(TypeError, match=r"never dequantised silently; use \.dequantize"):
        np.asarray(made)
    with pytest.raises(UnsupportedError, match="only rows can be taken"):
        made[:, 1]
    with pytest.raises(IndexError, match="expected a slice or a list of row numbers"):
        made[[0.5]]
    with pytest.raises(IndexError):
        made[7]
    with pytest.raises(DTypeError, match="dequantize: dtype is int8"):
        made.dequantize("int8")
    with pytest.raises(DTypeError, match="dequantize: x is a ndarray"):
        dg.dequantize(VALUES)
