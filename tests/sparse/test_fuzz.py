"""Random input, mostly malformed: it makes a valid matrix or raises one of our errors, and never crashes."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deepgemm as dg
from deepgemm.errors import DTypeError, FormatError, ShapeError

OURS = (ShapeError, DTypeError, FormatError)
pytestmark = pytest.mark.filterwarnings("ignore:Casting complex values")
FORMATS = ("csr", "csc", "coo", "bsr")
QUIET = settings(max_examples=150, deadline=None, print_blob=True)

index_arrays = st.one_of(
    hnp.arrays(np.int64, st.integers(0, 8), elements=st.integers(-2, 9)),
    hnp.arrays(np.int32, st.integers(0, 8), elements=st.integers(0, 4)),
    hnp.arrays(np.int64, st.integers(1, 6), elements=st.integers(0, 8)).map(np.sort),
    hnp.arrays(np.float64, st.integers(0, 4)),
    hnp.arrays(np.uint64, st.integers(0, 4)),
    hnp.arrays(np.int32, st.tuples(st.integers(0, 2), st.integers(0, 2))),
)
values = st.one_of(
    hnp.arrays(st.sampled_from([np.float32, np.float16, np.int8, np.complex64]), st.integers(0, 8)),
    hnp.arrays(np.float64, st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2))),
)
shapes = st.one_of(st.none(), st.tuples(st.integers(-1, 6), st.integers(-1, 6)))


# Coordinates without a shape imply one; matrices of more lines than this would fill the memory.
LARGEST = 10_000


def exercise(array) -> None:
    """Use everything that reads the structure; the results must agree."""
    if max(array.shape) > LARGEST:
        return
    with np.errstate(all="ignore"):
        try:
            full = array.toarray()
        except FormatError:  # sums of int8 that overflow are refused
            assert array.dtype == np.int8
            return
        for name in FORMATS:
            np.testing.assert_array_equal(array.asformat(name).toarray(), full)
        np.testing.assert_array_equal(array.T.toarray(), full.T)
        np.testing.assert_array_equal(array[::-1].toarray(), full[::-1])
        np.testing.assert_array_equal((array.astype(np.float64) * 2).toarray(), full.astype(np.float64) * 2)


@QUIET
@given(values, index_arrays, index_arrays, shapes, st.sampled_from([dg.CSR, dg.CSC, dg.BSR]))
def test_compressed_parts(data, minor, indptr, shape, kind):
    before = [part.copy() for part in (data, minor, indptr)]
    try:
        array = kind((data, minor, indptr), shape=shape)
    except OURS:
        pass
    else:
        exercise(array)
    for part, old in zip((data, minor, indptr), before, strict=True):
        np.testing.assert_array_equal(part, old)


@QUIET
@given(values, index_arrays, index_arrays, shapes, st.sampled_from([dg.CSR, dg.CSC, dg.COO, dg.BSR]))
def test_coordinates(data, row, col, shape, kind):
    before = [part.copy() for part in (data, row, col)]
    whole = [part for part in (row, col) if part.dtype.kind in "iu"]
    if shape is None and any(part.max(initial=0) > LARGEST for part in whole):
        kind = dg.COO  # the only format whose size does not depend on the shape
    try:
        array = kind((data, (row, col)), shape=shape)
    except OURS:
        pass
    else:
        exercise(array)
    for part, old in zip((data, row, col), before, strict=True):
        np.testing.assert_array_equal(part, old)


@QUIET
@given(
    st.one_of(st.none(), st.text(max_size=3), st.integers(), st.floats(), st.binary(max_size=4),
              st.lists(st.one_of(st.integers(-3, 3), st.lists(st.integers(-3, 3), max_size=3)), max_size=3),
              st.tuples(st.integers(-2, 3), st.one_of(st.integers(-2, 3), st.none(), st.text(max_size=1))),
              st.tuples(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 3), max_size=3))),
    st.sampled_from([dg.CSR, dg.CSC, dg.COO, dg.BSR]),
)  # fmt: skip
def test_anything_at_all(arg, kind):
    with contextlib.suppress(*OURS):
        exercise(kind(arg))


@QUIET
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.sampled_from(FORMATS))
def test_valid_matrices_agree_with_scipy(seed, rows, columns, name):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 40))
    coordinates = (rng.integers(0, rows, count), rng.integers(0, columns, count))
    data = rng.integers(-4, 5, count).astype(np.float64)
    expected = scipy.sparse.coo_array((data, coordinates), shape=(rows, columns)).toarray()
    array = dg.COO((data, coordinates), shape=(rows, columns)).asformat(name)
    exercise(array)
    np.testing.assert_array_equal(array.toarray(), expected)
    np.testing.assert_array_equal((array + array.T.T).toarray(), 2 * expected)
    np.testing.assert_array_equal(array.sum(axis=0), expected.sum(axis=0))
    i, j = int(rng.integers(rows)), int(rng.integers(columns))
    assert array[i, j] == expected[i, j]
    np.testing.assert_array_equal(array[i:, :j].toarray(), expected[i:, :j])
