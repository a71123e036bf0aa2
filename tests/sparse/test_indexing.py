"""Indexing, slicing, reshaping and stacking, in dtypes that SciPy has and in those it lacks."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg

DTYPES = [np.float64, np.int8, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]
KEYS = [
    np.s_[0], np.s_[-1], np.s_[1:3], np.s_[::2], np.s_[::-1], np.s_[:, 1], np.s_[:, -1], np.s_[2, :],
    np.s_[0, 1:4], np.s_[1:, ::2], np.s_[[2, 0]], np.s_[:, [3, 1, 1]], np.s_[[0, 2], 1:3],
    np.s_[[[0], [2]], [1, 3]], np.s_[...], np.s_[..., 2], np.s_[0, ...], np.s_[[True, False, True, True]],
    np.s_[:, [True, False, True, False, False]], np.s_[5:], np.s_[[]], np.s_[np.int64(2)], np.s_[2, [1, 0]],
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_sparse_results_keep_two_dimensions_and_the_dtype(dtype, key, sparse):
    array = sparse.astype(dtype)
    full = array.toarray()
    got = array[key]
    expected = full[key]
    if expected.ndim == 1:
        column = isinstance(key, tuple) and isinstance(key[-1], int | np.integer)
        expected = expected[:, None] if column else expected[None, :]
    assert got.dtype == np.dtype(dtype)
    assert got.format == ("csr" if sparse.format == "bsr" else sparse.format)
    np.testing.assert_array_equal(got.toarray(), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_scalars_and_single_places(dtype, sparse):
    array = sparse.astype(dtype)
    full = array.toarray()
    assert array[0, 1] == full[0, 1]
    assert array[0, 0] == 0
    assert array[-1, -2] == full[-1, -2]
    assert array[0, 1].dtype == np.dtype(dtype)
    places = array[[0, 2, 1], [1, 0, 4]]
    assert places.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(np.ravel(places), full[[0, 2, 1], [1, 0, 4]])
    mask = full.astype(np.float32) > 1
    np.testing.assert_array_equal(np.ravel(array[mask]), full[mask])
    np.testing.assert_array_equal(np.ravel(array[array > 1]), full[mask])
    np.testing.assert_array_equal(np.ravel(array[scipy.sparse.csr_array(mask)]), full[mask])


def test_duplicates_are_summed_first():
    made = dg.COO((np.array([1.0, 2.0], np.float16), ([0, 0], [1, 1])), shape=(2, 2))
    assert made[0, 1] == 3
    assert made[0].toarray().tolist() == [[0.0, 3.0]]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_reshape_and_diagonal(dtype, sparse):
    array = sparse.astype(dtype)
    for shape in ((2, 10), (10, -1)):
        got = array.reshape(shape)
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(got.toarray(), array.toarray().reshape(shape))
    np.testing.assert_array_equal(
        array.reshape(5, 4, order="F").toarray(), array.toarray().reshape((5, 4), order="F")
    )
    diagonal = array.diagonal(1)
    assert diagonal.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(diagonal, np.diagonal(array.toarray(), 1))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_stacking(dtype, format, sparse):
    array = sparse.astype(dtype)
    full = array.toarray()
    above = dg.sparse.vstack([array, array.tocsc()], format=format)
    beside = dg.sparse.hstack([array, full], format=format)
    diagonal = dg.sparse.block_diag([array, array], format=format)
    for got, expected in [
        (above, np.vstack([full, full])),
        (beside, np.hstack([full, full])),
        (diagonal, np.block([[full, 0 * full], [0 * full, full]])),
    ]:
        assert got.format == format
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(got.toarray(), expected)


def test_stacking_dtypes(matrix):
    array = dg.CSR(matrix)
    assert dg.sparse.vstack([array.astype(np.float16), array.astype(dg.bfloat16)]).dtype == np.float32
    assert dg.sparse.vstack([array.astype(dg.bfloat16), array]).dtype == np.float64
    assert dg.sparse.vstack([array.astype(np.int8), array.astype(np.int32)]).dtype == np.int32
    assert dg.sparse.vstack([array.astype(dg.bfloat16), array.astype(np.int64)]).dtype == np.float64
    assert dg.sparse.vstack([array, array], dtype=dg.bfloat16).dtype == dg.bfloat16
    assert dg.sparse.vstack([array]).equals(array)


def test_iteration_gives_rows(matrix):
    rows = list(dg.CSR(matrix))
    assert [row.shape for row in rows] == [(1, 5)] * 4
    np.testing.assert_array_equal(dg.sparse.vstack(rows).toarray(), matrix.toarray())
