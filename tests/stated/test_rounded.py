"""Results are rounded once, to nearest even, in every dtype."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from exact import FORMATS, random_floats, round_exactly

from deepgemm import dtypes, reference, testing
from deepgemm.errors import DTypeError


@pytest.mark.parametrize("target", FORMATS, ids=str)
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_rounded_is_one_rounding(source, target):
    precision, lowest, largest = FORMATS[target]
    if precision > np.finfo(source).nmant + 1:
        pytest.skip("widening")
    rng = np.random.default_rng(7)
    tie = 1 + np.arange(1, 2 ** min(precision, 11), 2) * 2.0**-precision  # halfway between two neighbours
    little = 2.0**-22 if source == np.float32 else 2.0**-45
    edge = np.array([1, 1 + 2.0**-20, 1 + 2.0 ** -(precision + 1), 1 + 2.0**-precision, 1.9]) / 2
    values = [tie, tie + little, tie - little]
    values += [x * 2.0**lowest for x in (tie, tie + little, tie * 0.75)]
    values += [
        random_floats(rng, source, 300, lowest - 3, lowest + 12),
        random_floats(rng, source, 300, -5, 5),
    ]
    with np.errstate(all="ignore"):
        values = np.concatenate([*values, largest * edge * 2])
        values = np.concatenate([values, -values]).astype(source)
    values = values[np.isfinite(values)]
    result = reference.rounded(values, target)
    assert result.dtype == target
    for value, got in zip(values.tolist(), result.astype(np.float64).tolist(), strict=True):
        wanted = round_exactly(Fraction(value), target)
        assert got == wanted or (math.isnan(got) and math.isnan(wanted)), (value.hex(), got, wanted)


def test_rounded_beats_astype_where_that_rounds_twice():
    value = np.array([1 + 2.0**-8 + 2.0**-40])
    assert float(reference.rounded(value, dtypes.bfloat16)[0]) == 1 + 2.0**-7
    # If ml_dtypes ever mends this, the docstring of `rounded` has to change.
    assert float(value.astype(dtypes.bfloat16)[0]) == 1


@pytest.mark.parametrize("target", FORMATS, ids=str)
@pytest.mark.parametrize("source", [np.int64, np.uint64])
def test_rounded_integers(source, target):
    rng = np.random.default_rng(8)
    values = np.concatenate(
        [rng.integers(0, 2**62, 200), 2**53 + np.arange(5), 2**62 + 2**54 + np.arange(3), np.arange(9)]
    )
    values = (
        np.concatenate([values, -values]).astype(source)
        if source == np.int64
        else values.astype(source) * 2 + 1
    )
    result = reference.rounded(values, target).astype(np.float64)
    for value, got in zip(values.tolist(), result.tolist(), strict=True):
        wanted = round_exactly(Fraction(value), target)
        assert got == wanted or (math.isnan(got) and math.isnan(wanted)), (value, got, wanted)


def test_rounded_special_values_and_complex():
    special = np.array([np.inf, -np.inf, np.nan, 0.0])
    testing.assert_same(reference.rounded(special, np.float16), special.astype(np.float16))
    assert np.isnan(reference.rounded(special, dtypes.float8_e4m3fn)[:3].astype(float)).all()
    assert reference.rounded(np.array([1 + 2j]), np.complex64).tolist() == [1 + 2j]


@pytest.mark.parametrize(
    ("source", "target"), [("c16", "f8"), ("f8", "i4"), ("i8", "?"), ("f4", "?"), ("c8", "i1")]
)
def test_rounded_refuses_to_drop_parts_of_a_number(source, target):
    with pytest.raises(DTypeError, match="cannot hold results computed in"):
        reference.rounded(np.zeros(1, source), target)
