"""The transpose: stable, the same on any number of threads, for every dtype and both widths of indices."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from deepgemm.sparse import convert

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

DTYPES = ("bool", "int8", "float16", dtypes.bfloat16, "int32", "f4", "f8", "F", "D")
SHAPES = [(0, 5), (5, 0), (1, 1), (1, 60_000), (60_000, 1), (300, 7), (7, 300), (2000, 900)]


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = dg.get_num_threads()
    dg.set_num_threads(request.param)
    yield request.param
    dg.set_num_threads(before)


def structure(shape, index_dtype, duplicates=False):
    """Rows of very uneven lengths: the first holds half of the entries."""
    rows, columns = shape
    generator = np.random.default_rng(rows + 7 * columns)
    nnz = 0 if 0 in shape else min(120_000, 3 * rows * columns // 4)
    row = np.sort(np.where(generator.random(nnz) < 0.5, 0, generator.integers(0, max(rows, 1), nnz)))
    column = generator.integers(0, max(columns, 1), nnz)
    if not duplicates:
        places = np.unique(row * max(columns, 1) + column)
        row, column = places // max(columns, 1), places % max(columns, 1)
    indptr = np.zeros(rows + 1, index_dtype)
    np.cumsum(np.bincount(row, minlength=rows), out=indptr[1:])
    return indptr, column.astype(index_dtype), row


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_positions_are_a_stable_sort_by_column(shape, index_dtype, duplicates, threads):
    indptr, indices, row = structure(shape, index_dtype, duplicates)
    starts, rows_of, positions = convert.transpose(indptr, indices, shape[1])
    order = np.argsort(indices, kind="stable")
    assert (starts.dtype, rows_of.dtype, positions.dtype) == (np.dtype(index_dtype),) * 3
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(rows_of, row[order])
    np.testing.assert_array_equal(np.diff(starts), np.bincount(indices, minlength=shape[1])[: shape[1]])
    by_pairs = convert.compress(indices, row.astype(index_dtype), shape[1])
    for made, wanted in zip(by_pairs, (starts, rows_of, positions), strict=True):
        np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_of_every_size_go_along(dtype, threads):
    indptr, indices, _ = structure((2000, 900), "i4")
    values = testing.random_values("values", len(indices), dtype)
    positions = convert.transpose(indptr, indices, 900)[2]
    testing.assert_same(convert.transpose(indptr, indices, 900, values)[2], values[positions])
    testing.assert_same(_core.gather(values, positions), values[positions])
    testing.assert_same(_core.gather(values, positions.astype("i8")), values[positions])
    A = dg.CSR((values, indices, indptr), shape=(2000, 900))
    for other in (A.tocsc(), A.T.tocsr().T, A.tocoo().tocsr().tocsc()):
        assert other.format == "csc"
        testing.assert_same(other.data, values[positions])
        assert other.has_canonical_format
        assert not other.data.flags.writeable
        assert other.equals(A)


def test_more_columns_than_entries(threads):
    """The counters of all columns in each thread would outweigh the entries."""
    columns = 10**6
    indices = np.random.default_rng(0).integers(0, columns, 60_000).astype(np.int32)
    indptr = np.array([0, 20_000, 60_000], np.int32)
    np.testing.assert_array_equal(
        convert.transpose(indptr, indices, columns)[2], np.argsort(indices, kind="stable")
    )


def test_wrong_arrays_are_refused():
    indptr, indices = np.array([0, 2], np.int32), np.array([0, 1], np.int32)
    with pytest.raises(dg.FormatError, match="data is shorter than the indices"):
        _core.transpose(indptr, indices, 2, np.ones(1))
    with pytest.raises(dg.DTypeError, match="data has items of 12 bytes, expected 1, 2, 4, 8 or 16"):
        _core.transpose(indptr, indices, 2, np.zeros(2, "V12"))
    with pytest.raises(dg.FormatError, match="major and minor must have one dtype and length"):
        _core.compress(indices, indices.astype("i8"), 2)


# --- the transposed layout ---


@pytest.fixture
def A():
    dense = testing.random_values("A", (300, 200), "f4", zeros=0.9)
    return dg.CSR(dense)


@pytest.mark.parametrize("format", ["csr", "coo"])
def test_reweighting_finds_positions_once_and_shares_them(A, format):
    T = A.asformat(format).T
    X = testing.random_values("X", (300, 40), "f4")
    plan = dg.plan(T, X, kernel="csr_rowwise")
    layout = T._layouts.get(plan.chosen.layout)
    light = layout.nbytes
    assert layout.positions.nbytes == 0
    for turn in range(3):
        other = T.with_data(testing.random_values(str(turn), A.data.shape, "f4"))
        again = dg.plan(other, X, kernel="csr_rowwise")
        testing.assert_same(again(X), reference.matmul(other, X))
        assert other._layouts.get(plan.chosen.layout).positions is layout.positions
    assert layout.nbytes == light + A.nnz * layout.indices.itemsize


def test_a_transposed_layout_is_bought_shown_and_left_out_of_pickles(A):
    X = testing.random_values("X", (300, 40), "f4")
    plan = dg.plan(A.T, X, reuse=10**6, kernel="csr_rowwise")
    assert plan.chosen.layout == "csr"
    assert "csr" in str(plan.explain())
    again = pickle.loads(pickle.dumps(A.T))
    assert not again._layouts.names()
    testing.assert_same(again @ X, plan(X))


def test_memory_that_changed_is_noticed_behind_a_transposed_layout():
    values = testing.random_values("values", 50, "f8")
    A = dg.CSR((values, np.arange(50), np.arange(51)), shape=(50, 50))
    x = np.ones((50, 3))
    plan = dg.plan(A.T, x, kernel="csr_rowwise")
    values *= 2
    with pytest.raises(dg.StaleDataError, match="the memory of A was changed"):
        plan(x)
    with pytest.raises(dg.StaleDataError):
        A.T.tocsr()
