"""Structures that are none, refused by class and by a message that names the segment."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg

VALUES = np.arange(6.0)
LARGE = np.iinfo(np.int64).max


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ({"offsets": [0, 4, 2, 6]}, dg.FormatError, "segment 1 ends at 2, before its start at 4"),
        ({"offsets": [0, LARGE, -2, 6]}, dg.FormatError, "segment 1 ends at -2, before its start"),
        ({"offsets": [0, -1, 6]}, dg.FormatError, "segment 0 ends at -1, before its start at 0"),
        ({"offsets": [1, 6]}, dg.FormatError, r"segment 0 starts at offsets\[0\] = 1, expected 0"),
        ({"offsets": [0, 3, 9]}, dg.FormatError, "segment 1 ends at 9, but values has 6 rows"),
        ({"offsets": [0, 3]}, dg.FormatError, "offsets end at 3, but values has 6 rows"),
        ({"offsets": []}, dg.FormatError, "offsets is empty, expected one entry more than"),
        ({"offsets": [[0, 6]]}, dg.FormatError, "offsets has 2 dimensions, expected 1"),
        ({"offsets": [0.0, 6.0]}, dg.DTypeError, "offsets has dtype float64, expected int32 or int64"),
        ({"offsets": [0, 2**63]}, (dg.FormatError, dg.DTypeError), "offsets"),
        ({"offsets": [0, 6], "ends": [6]}, dg.FormatError, "got offsets and ends, expected one of them"),
        ({"ends": [4, 2, 6]}, dg.FormatError, "segment 1 ends at 2, before its start at 4"),
        ({"ends": [-1, 6]}, dg.FormatError, "segment 0 ends at -1, expected at least 0"),
        ({"ends": [2, 7]}, dg.FormatError, "segment 1 ends at 7, but values has 6 rows"),
        ({"starts": [1, 3]}, dg.FormatError, "segment 0 starts at 1, expected 0"),
        ({"starts": [0, 5, 3]}, dg.FormatError, "segment 1 ends at 3, before its start at 5"),
        ({"starts": [0, 7]}, dg.FormatError, "segment 1 starts at 7, but values has 6 rows"),
        ({"starts": []}, dg.FormatError, "starts is empty, but values has 6 rows"),
        ({"lengths": [3, -1, 4]}, dg.FormatError, "segment 1 has length -1, expected at least 0"),
        ({"lengths": [3, 7]}, dg.FormatError, "segment 1 has length 7, but values has 6 rows"),
        ({"lengths": [LARGE, LARGE]}, dg.FormatError, f"segment 0 has length {LARGE}, but"),
        ({"lengths": [2, 3]}, dg.ShapeError, "lengths sum to 5, but values has 6 rows"),
        ({"offsets": [0, 3, 6], "lengths": [3]}, dg.ShapeError, "lengths has 1 entries, but offsets make 2"),
        (
            {"offsets": [0, 3, 6], "lengths": [4, 3]},
            dg.FormatError,
            "segment 0 has length 4, but there are 3 rows before segment 1 starts",
        ),
        (
            {"offsets": [0, 3, 6], "lengths": [3, 4]},
            dg.FormatError,
            "segment 1 has length 4, but there are 3 rows before values ends",
        ),
        ({"offsets": [0, 3, 6], "lengths": [3, -1]}, dg.FormatError, "segment 1 has length -1, expected"),
    ],
)
def test_structures(where, error, message):
    with pytest.raises(error, match=f"Ragged: {message}"):
        dg.Ragged(VALUES, **where)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (3.0, dg.FormatError, r"got 3.0, expected values and offsets, or a list of arrays"),
        ("abc", dg.FormatError, "got 'abc', expected"),
        ([1.0, 2.0], dg.ShapeError, "segment 0 is a scalar, expected an array; offsets= divides one array"),
        ([[1.0], "x"], dg.DTypeError, "segment 1 is 'x', expected an array of numbers"),
        ([[1.0], ["x"]], dg.DTypeError, "segment 1 has dtype"),
        ([[1.0], [[2.0]]], dg.ShapeError, r"segment 1 has rows of shape \(1,\), but segment 0 has \(\)"),
        ([[[1.0], [2.0, 3.0]]], dg.FormatError, "segment 0 does not form an array"),
        ([[1.0], np.ma.masked_array([1.0])], dg.DTypeError, "segment 1 is a masked array"),
    ],
)
def test_lists(values, error, message):
    with pytest.raises(error, match=f"Ragged: {message}"):
        dg.Ragged(values)


def test_values():
    with pytest.raises(dg.ShapeError, match="Ragged: values is a scalar, expected an array of rows"):
        dg.Ragged(3.0, [0, 1])
    with pytest.raises(dg.DTypeError, match="Ragged: values has dtype object, expected one of: bool"):
        dg.Ragged(np.array([None]), [0, 1])
    with pytest.raises(dg.DTypeError, match="Ragged: dtype has dtype complex256"):
        dg.Ragged(VALUES, [0, 6], dtype=np.clongdouble)
    with pytest.raises(dg.FormatError, match="Ragged: values is a Ragged already"):
        dg.Ragged(dg.Ragged(VALUES, [0, 6]), [0, 6])


def test_methods():
    r = dg.Ragged(VALUES, [0, 2, 6])
    with pytest.raises(dg.ShapeError, match=r"Ragged.with_values: values has 5 rows, expected 6"):
        r.with_values(VALUES[1:])
    with pytest.raises(
        dg.ShapeError, match=r"Ragged.broadcast: per_segment has shape \(3,\), expected \(2, ...\)"
    ):
        r.broadcast([1, 2, 3])
    with pytest.raises(
        dg.DTypeError, match=r"Ragged.astype: float64 cannot become int8 under casting='safe'"
    ):
        r.astype("i1", casting="safe")
    with pytest.raises(TypeError, match=r"Ragged is immutable; with_values\(\) gives it other values"):
        r[0] = 1
    with pytest.raises(TypeError, match="Ragged is never padded silently"):
        np.asarray(r)


def test_padding():
    r = dg.Ragged(VALUES, [0, 2, 6])
    with pytest.raises(dg.ShapeError, match=r"Ragged.to_padded: segment 1 has length 4, more than length=3"):
        r.to_padded(length=3)
    with pytest.raises(dg.DTypeError, match=r"to_padded: fill is 0\.5, expected a scalar that int8 can hold"):
        r.astype("i1").to_padded(fill=0.5)
    with pytest.raises(dg.DTypeError, match="to_padded: fill is 300, expected"):
        r.astype("i1").to_padded(fill=300)
    with pytest.raises(dg.DTypeError, match="to_padded: fill is 'x', expected"):
        r.to_padded(fill="x")
    x = np.ones((2, 3))
    for lengths, error, message in [
        ([1, 4], dg.ShapeError, "segment 1 has length 4, but x has 3 places"),
        ([1, -1], dg.FormatError, "segment 1 has length -1, expected at least 0"),
        ([1], dg.ShapeError, "lengths has 1 entries, but x has 2 segments"),
    ]:
        with pytest.raises(error, match=f"Ragged.from_padded: {message}"):
            dg.Ragged.from_padded(x, lengths)
    with pytest.raises(dg.ShapeError, match="x has 1 dimension, expected at least 2"):
        dg.Ragged.from_padded(np.ones(3), [1])


def test_joining():
    a, b = dg.Ragged([[1], [2, 3]]), dg.Ragged([[4]])
    for arrays, options, error, message in [
        ([], {}, dg.FormatError, r"expected a list of Ragged, got \[\]"),
        (a, {}, dg.FormatError, "expected a list of Ragged, got Ragged"),
        ([a, np.ones(3)], {}, dg.FormatError, "array 1 is a ndarray, expected a Ragged"),
        ([a, b], {"axis": 1}, dg.ShapeError, "array 1 has 1 segments, array 0 has 2"),
        ([a, b], {"axis": 2}, dg.FormatError, "axis is 2, expected 0 or 1"),
        ([a, dg.Ragged([[[1, 2]]])], {}, dg.ShapeError, r"array 1 has rows of shape \(2,\), array 0 \(\)"),
    ]:
        with pytest.raises(error, match=f"concatenate: {message}"):
            dg.sparse.concatenate(arrays, **options)
