"""What the constructors take, and what they make of it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.testing import sparse_cases

FORMATS = {"csr": dg.CSR, "csc": dg.CSC, "coo": dg.COO, "bsr": dg.BSR}
STORED = [
    *(np.dtype(c) for c in "?bBhHiIqQefdFD"),
    np.dtype(ml_dtypes.bfloat16),
    np.dtype(ml_dtypes.float8_e4m3fn),
    np.dtype(ml_dtypes.float8_e5m2),
]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("source", ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"])
@pytest.mark.parametrize("family", ["array", "matrix"])
def test_from_every_scipy_class(kind, source, family, matrix):
    given = getattr(scipy.sparse, f"{source}_{family}")(matrix)
    made = FORMATS[kind](given)
    assert type(made) is FORMATS[kind]
    assert made.shape == matrix.shape
    np.testing.assert_array_equal(made.toarray(), matrix.toarray())


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_from_our_own(kind, source, matrix):
    made = FORMATS[kind](FORMATS[source](matrix), dtype=np.float32)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made.toarray(), matrix.toarray())


@pytest.mark.parametrize("dtype", STORED, ids=str)
@pytest.mark.parametrize("kind", FORMATS)
def test_from_dense_in_every_dtype(kind, dtype):
    dense = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1]]).astype(dtype)
    for given in (dense, np.asfortranarray(dense), np.repeat(dense, 2, axis=1)[:, ::2], dense[::-1]):
        made = FORMATS[kind](given)
        assert made.dtype == dtype
        np.testing.assert_array_equal(made.toarray(), given)


def test_dense_zeros_of_either_sign_are_dropped_and_nan_is_kept():
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
        made = dg.CSR(np.array([[0.0, -0.0, np.nan]], dtype))
        assert made.nnz == 1
        assert np.isnan(made.data).all()


def test_from_parts():
    data, indices, indptr = [1.0, 2.0, 3.0], [0, 2, 1], [0, 2, 3]
    made = dg.CSR((data, indices, indptr))
    assert made.shape == (2, 3)
    np.testing.assert_array_equal(made.toarray(), [[1, 0, 2], [0, 3, 0]])
    flipped = dg.CSC((data, indices, indptr), shape=(4, 2))
    np.testing.assert_array_equal(flipped.toarray(), [[1, 0], [0, 3], [2, 0], [0, 0]])


@pytest.mark.parametrize("kind", FORMATS)
def test_from_coordinates_sums_duplicates_as_scipy(kind):
    parts = (np.array([1.0, 2.0, 4.0]), (np.array([1, 0, 1]), np.array([2, 1, 2])))
    made = FORMATS[kind](parts, shape=(3, 4))
    np.testing.assert_array_equal(made.toarray(), scipy.sparse.csr_array(parts, shape=(3, 4)).toarray())
    assert made.nnz == (
        3 if kind == "coo" else made.blocksize[0] * made.blocksize[1] * 2 if kind == "bsr" else 2
    )


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (3, 4)])
def test_empty(kind, shape):
    made = FORMATS[kind](shape)
    assert made.shape == shape
    assert made.nnz == 0
    assert made.dtype == np.float64
    assert made.density == 0.0
    for other in FORMATS:
        assert made.asformat(other).shape == shape
    assert made.toarray().shape == shape
    assert made.T.shape == shape[::-1]
    assert made.canonical().nnz == 0
    assert (made + made).shape == shape
    assert abs(made).shape == shape
    assert FORMATS[kind](np.zeros(shape, np.int8)).dtype == np.int8
    assert FORMATS[kind](made.to_scipy()).shape == shape
    assert FORMATS[kind](shape, dtype=dg.bfloat16).toarray().dtype == dg.bfloat16


def test_bsr_blocksizes():
    dense = np.kron(np.array([[0, 1], [1, 1]]), np.arange(6.0).reshape(2, 3))
    made = dg.BSR(dense, blocksize=(2, 3))
    assert made.blocksize == (2, 3)
    assert made.nnz == 18
    assert dg.BSR((4, 6), blocksize=(2, 3)).blocksize == (2, 3)
    parts = dg.BSR((made.data, made.indices, made.indptr), shape=(4, 6))
    assert parts.equals(made)
    assert made.tobsr((4, 6)).blocksize == (4, 6)
    assert made.T.blocksize == (3, 2)
    np.testing.assert_array_equal(made.T.toarray(), dense.T)


def test_stored_zeros_stay_stored():
    made = dg.CSR(([0.0, 1.0], [0, 1], [0, 2]), shape=(1, 2))
    assert [made.asformat(name).nnz for name in FORMATS] == [2, 2, 2, 2]
    assert dg.CSR(made.to_scipy()).nnz == 2
    assert dg.BSR(made, blocksize=(1, 2)).tocsr().nnz == 2


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_index_dtypes_are_kept(index, matrix):
    made = dg.CSR((matrix.data, matrix.indices.astype(index), matrix.indptr.astype(index)))
    assert made.indices.dtype == made.indptr.dtype == index
    for other in (made.tocsc(), made.T, made.canonical()):
        assert other.indices.dtype == other.indptr.dtype == index
    assert made.tocoo().row.dtype == made.tocoo().col.dtype == index
    assert made.to_scipy().indices.dtype == made.to_scipy().indptr.dtype == index


@pytest.mark.parametrize("narrow", [np.int8, np.uint8, np.int16, np.uint16])
def test_narrow_indices_become_int32(narrow):
    made = dg.CSR((np.ones(2), np.array([0, 1], narrow), np.array([0, 2], narrow)))
    assert made.indices.dtype == made.indptr.dtype == np.int32


def test_mixed_index_widths_become_int64():
    made = dg.CSR((np.ones(2), np.array([0, 1], np.int32), np.array([0, 2], np.int64)))
    assert made.indices.dtype == made.indptr.dtype == np.int64
    assert dg.COO((np.ones(1), (np.array([0], np.uint32), np.array([0], np.int32)))).row.dtype == np.int64


def test_wide_matrices_widen_before_they_overflow():
    side = 2**33
    made = dg.COO((np.ones(2), (np.array([0, 1], np.int32), np.array([5, 6], np.int32))), shape=(2, side))
    assert made.T.shape == (side, 2)
    assert made.tocsr().tocoo().row.dtype == np.int64
    assert made.canonical().equals(made.tocsr())


def test_rows_beyond_int32_in_coo_only_need_memory_for_entries():
    made = dg.COO((np.ones(2), (np.array([2**40, 0]), np.array([2**41, 1]))))
    assert made.shape == (2**40 + 1, 2**41 + 1)
    assert made.canonical().row.tolist() == [0, 2**40]
    assert made.density == pytest.approx(2 / (2**40 + 1) / (2**41 + 1))


@pytest.mark.parametrize("case", sparse_cases(np.float32), ids=lambda case: case.name)
def test_every_problem_of_the_shared_list(case):
    parts = case.make()
    made = dg.CSR(parts.parts, shape=parts.shape)
    assert made.has_sorted_indices or "unsorted" in case.tags
    assert made.has_canonical_format == bool(parts.to_scipy().has_canonical_format)
    expected = np.zeros(parts.shape, np.float32)
    rows = np.repeat(np.arange(parts.shape[0]), np.diff(parts.indptr))
    for row, column, value in zip(rows, parts.indices, parts.data, strict=True):
        expected[row, column] += value
    for name in FORMATS:
        np.testing.assert_array_equal(made.asformat(name).toarray(), expected)
        np.testing.assert_array_equal(FORMATS[name](expected).toarray(), expected)
        np.testing.assert_array_equal(made.asformat(name).T.toarray(), expected.T)
        np.testing.assert_array_equal(made.asformat(name).tocsr().toarray(), expected)
    np.testing.assert_array_equal(dg.CSC(parts.parts, shape=parts.shape[::-1]).toarray(), expected.T)
