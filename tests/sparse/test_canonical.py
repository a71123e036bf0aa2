"""Duplicates are summed in storage order in the accumulator dtype, once, into a cached copy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import deepgemm as dg
from deepgemm.dtypes import accumulator
from deepgemm.errors import FormatError

DTYPES = [
    np.float64,
    np.float32,
    np.float16,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e5m2,
    np.complex64,
    np.int32,
    np.bool_,
]


def summed(rows, cols, data, shape):
    """The definition, entry by entry."""
    wide = accumulator(data.dtype, data.dtype)
    sums: dict = {}
    for row, col, value in zip(rows, cols, data, strict=True):
        place = (int(row), int(col))
        sums[place] = np.add(sums[place], value.astype(wide)) if place in sums else value.astype(wide)
    dense = np.zeros(shape, data.dtype)
    for place, value in sums.items():
        dense[place] = np.asarray(value).astype(data.dtype)
    return dense, sorted(sums)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.parametrize("in_order", [True, False])
def test_against_the_definition(dtype, kind, in_order):
    rng = np.random.default_rng(3)
    count, shape = 400, (7, 9)
    major = np.sort(rng.integers(0, shape[0], count))
    minor = rng.integers(0, shape[1], count)
    if in_order:
        minor = minor[np.lexsort((minor, major))]
    scale = 10.0 ** rng.integers(-3, 4, count)
    data = (
        (rng.standard_normal(count) * scale)
        .astype(np.complex64 if dtype is np.complex64 else np.float32)
        .astype(dtype)
    )
    indptr = np.searchsorted(major, np.arange(shape[0] + 1))
    if kind == "coo":
        made = dg.COO((data, (major, minor)), shape=shape)
        rows, cols = major, minor
    elif kind == "csr":
        made = dg.CSR((data, minor, indptr), shape=shape)
        rows, cols = major, minor
    else:
        made = dg.CSC((data, minor, indptr), shape=shape[::-1])
        rows, cols = minor, major
    dense, places = summed(rows, cols, data, made.shape)
    assert made.has_sorted_indices == in_order
    assert not made.has_canonical_format
    tidy = made.canonical()
    assert tidy.has_canonical_format
    assert tidy is made.canonical()
    assert tidy.canonical() is tidy
    assert tidy.dtype == made.dtype
    assert tidy.nnz == len(places)
    np.testing.assert_array_equal(tidy.toarray(), dense)
    np.testing.assert_array_equal(made.toarray(), dense)
    np.testing.assert_array_equal(made.tocsr().toarray(), dense)
    again = made.with_data(made.data)
    np.testing.assert_array_equal(again.canonical().toarray(), dense)
    assert np.shares_memory(
        again.canonical().indices if kind != "coo" else again.canonical().row, tidy._arrays[1]
    )


def test_order_of_storage_decides_the_rounding():
    values = np.array([1e8, 1.0, -1e8], np.float32)
    for order, expected in (([0, 1, 2], 0.0), ([0, 2, 1], 1.0)):
        made = dg.COO((values[order], ([0, 0, 0], [0, 0, 0])))
        assert made.canonical().data.tolist() == [expected]
        assert made.tocsr().data.tolist() == [expected]


def test_narrow_floats_are_summed_wide_and_rounded_once():
    values = np.array([2048.0, 1.0, 1.0], np.float16)
    made = dg.COO((values, ([0, 0, 0], [0, 0, 0])))
    assert made.canonical().data.tolist() == [2050.0]  # in float16, 2048 + 1 is 2048


def test_small_integers_do_not_wrap_silently():
    made = dg.CSR((np.array([100, 100], np.int8), [0, 0], [0, 2]), shape=(1, 1))
    with pytest.raises(
        FormatError, match=r"^CSR: duplicate entries sum to 200, which int8 cannot hold; use astype"
    ):
        made.canonical()
    assert made.astype(np.int32).canonical().data.tolist() == [200]


def test_blocks():
    blocks = np.arange(12.0).reshape(3, 2, 2)
    made = dg.BSR((blocks, [1, 0, 1], [0, 3]), shape=(2, 4))
    assert not made.has_sorted_indices
    tidy = made.canonical()
    assert tidy.indices.tolist() == [0, 1]
    np.testing.assert_array_equal(tidy.data, [blocks[1], blocks[0] + blocks[2]])
    np.testing.assert_array_equal(made.toarray(), np.hstack([blocks[1], blocks[0] + blocks[2]]))


def test_sorting_alone_shares_no_sum():
    made = dg.CSR((np.array([1.0, 2.0]), [1, 0], [0, 2]), shape=(1, 2))
    assert made.canonical().indices.tolist() == [0, 1]
    assert made.canonical().data.tolist() == [2.0, 1.0]
    assert made.indices.tolist() == [1, 0]
    assert made.with_data([3.0, 4.0]).canonical().data.tolist() == [4.0, 3.0]


def test_stored_zeros_and_cancelled_sums_stay():
    made = dg.COO((np.array([1.0, -1.0, 0.0]), ([0, 0, 1], [0, 0, 1])))
    assert made.canonical().data.tolist() == [0.0, 0.0]
