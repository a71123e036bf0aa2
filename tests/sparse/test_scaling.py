"""Weighted and normalised rows and columns equal their statements, and keep the structure."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import deepgemm as dg
from deepgemm import reference, testing
from deepgemm.errors import DTypeError, ShapeError, UnsupportedError

WEIGHTS = ("f4", "f8", "i4", "F")
DTYPES = ("f4", "f8", "F", "i2", "i8", "?", "f2", ml_dtypes.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
def test_each_entry_is_multiplied_or_divided_once(dtype, weights, index_dtype):
    for case in testing.sparse_cases(dtype, index_dtype):
        if "duplicates" in case.tags:
            continue
        parts = case.make()
        array = dg.CSR(parts.parts, shape=parts.shape)
        values = array.canonical().data.astype(dg.dtypes.scipy_dtype(array.dtype))
        of_row = np.repeat(np.arange(parts.shape[0]), np.diff(array.canonical().indptr))
        rows = testing.random_values("rows", parts.shape[0], weights)
        columns = testing.random_values("columns", parts.shape[1], weights)
        with np.errstate(all="ignore"):
            by_row, by_column = values * rows[of_row], values * columns[array.canonical().indices]
            over_row = values / rows[of_row]
        for one in (array, array.tocsc(), array.tocoo(), array.tobsr((1, 1))):
            for got, expected in (
                (one.scale_rows(rows), by_row),
                (one.multiply(rows[:, None]), by_row),
                (one.scale_columns(columns), by_column),
                (columns * one, by_column),
                (one / rows[:, None], over_row),
            ):
                assert got.format == one.format
                testing.assert_same(got.tocsr().canonical().data, expected, f"{case.name} {one.format}")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
def test_threads(threads, dtype, index_dtype):
    generator = np.random.default_rng(3)
    indptr = np.sort(generator.integers(0, 100_000, 301)).astype(index_dtype)
    indptr[0], indptr[1:20], indptr[-1] = 0, 0, 100_000
    indptr[150:280] = indptr[280]  # one row with much, and many without anything
    width = int(np.diff(indptr).max())
    indices = np.concatenate([np.sort(generator.choice(width, k, replace=False)) for k in np.diff(indptr)])
    data = testing.random_values("x", 100_000, dtype)
    parts = testing.Compressed(data, indices.astype(index_dtype), indptr, (300, width))
    array = dg.CSR(parts.parts, shape=parts.shape)
    rows, columns = testing.random_values("r", 300, dtype), testing.random_values("c", width, dtype)
    with dg.threads(threads):
        testing.assert_same(array.scale_rows(rows).data, data * np.repeat(rows, np.diff(indptr)))
        testing.assert_same(array.scale_columns(columns).data, data * columns[indices])
        for axis in (0, 1):
            for norm in ("l2", "l1", "max"):
                expected = reference.normalized(parts, axis, norm)
                testing.assert_same(array.normalize(axis, norm).data, expected[0], f"{axis} {norm}")
                by_columns = array.tocsc().normalize(axis, norm)
                testing.assert_same(by_columns.tocsr().data, expected[0], f"csc {axis} {norm}")


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "f2", ml_dtypes.bfloat16], ids=str)
def test_normalize(dtype):
    for case in testing.sparse_cases(dtype):
        parts = case.make()
        array = dg.CSR(parts.parts, shape=parts.shape)
        for axis in (0, 1):
            norm = ("l2", "l1", "max")[len(case.name) % 3]
            expected = reference.normalized(parts, axis, norm)
            for one in (array, array.tocsc(), array.tocoo(), array.tobsr((1, 1))):
                got = one.normalize(axis, norm)
                assert got.format == one.format
                testing.assert_same(got.tocsr().canonical().data, expected[0], f"{case.name} {one.format}")


def test_zero_rows_stay_zero(sparse):
    got = sparse.normalize()
    np.testing.assert_allclose(got.norms(), [1, 0, 1, 1])
    assert got.toarray()[1].tolist() == [0.0] * 5
    stored = dg.CSR(([0.0, 0.0], [0, 1], [0, 2]), shape=(1, 2)).normalize()
    assert stored.data.tolist() == [0.0, 0.0]


def test_integers_become_float64_and_blocks_stay_blocks():
    blocks = dg.BSR(np.arange(24).reshape(4, 6), blocksize=(2, 3))
    got = blocks.normalize(axis=0)
    assert (got.format, got.dtype, got.data.shape[1:]) == ("bsr", np.float64, (2, 3))
    dense = blocks.toarray()
    np.testing.assert_allclose(got.toarray(), dense / np.linalg.norm(dense, axis=0))
    testing.assert_same(blocks.scale_rows([1, 2, 3, 4]).toarray(), dense * np.array([1, 2, 3, 4])[:, None])
    testing.assert_same(blocks.scale_columns(np.arange(6)).toarray(), dense * np.arange(6))


def test_structure_and_layouts_are_reused(matrix):
    for array in (dg.CSR(matrix), dg.CSC(matrix)):
        dg.plan(array, np.ones(5), kernel="sell_vector", reuse=10)
        names = array._layouts.names()
        for got in (array.scale_rows(np.ones(4)), array.scale_columns(np.ones(5)), array.normalize()):
            assert np.shares_memory(got.indices, array.indices)
            assert np.shares_memory(got.indptr, array.indptr)
            assert all(got._layouts.donor(name) is not None for name in names)
        assert names


def test_the_caller_keeps_his_data(matrix):
    before, weights = matrix.copy(), np.arange(4.0)
    array = dg.CSR(matrix)
    array.scale_rows(weights), array.normalize(), array.scale_columns(np.ones(5))
    testing.assert_same(matrix.data, before.data)
    assert weights.tolist() == [0, 1, 2, 3]
    assert not array.normalize().data.flags.writeable


@pytest.mark.parametrize("layout", testing.LAYOUTS)
def test_weights_in_any_layout(layout, matrix):
    weights = testing.LAYOUTS[layout](np.arange(1.0, 5.0))
    expected = matrix.toarray() * np.arange(1.0, 5.0)[:, None]
    testing.assert_same(dg.CSR(matrix).scale_rows(weights).toarray(), expected)
    testing.assert_same((dg.CSR(matrix) * testing.LAYOUTS[layout](weights[:, None])).toarray(), expected)


def test_nan_and_infinity_are_weights_like_any_other(sparse, matrix):
    weights = np.array([np.nan, np.inf, -np.inf, 0.0])
    got = sparse.scale_rows(weights).tocsr()
    expected = matrix.data * np.repeat(weights, np.diff(matrix.indptr))
    if sparse.format != "bsr":  # whose stored zeros meet the weights too
        testing.assert_same(got.data, expected)
    assert np.isnan(dg.CSR([[np.nan, 1.0]]).normalize().data).all()
    assert dg.CSR([[np.inf, 1.0]]).normalize().data.tolist()[1] == 0.0


def test_duplicates_are_summed_first():
    made = dg.COO((np.array([1.0, 2.0]), ([0, 0], [1, 1])), shape=(1, 2))
    assert made.scale_rows([10.0]).data.tolist() == [30.0]
    assert made.normalize().data.tolist() == [1.0]


def test_refusals(sparse):
    name = type(sparse).__name__
    with pytest.raises(ShapeError, match=rf"^{name}.scale_rows: weights has shape \(5,\), expected \(4,\)"):
        sparse.scale_rows(np.ones(5))
    with pytest.raises(
        ShapeError, match=r"scale_columns: weights has shape \(5, 1\), expected \(5,\), one for"
    ):
        sparse.scale_columns(np.ones((5, 1)))
    with pytest.raises(ShapeError, match=r"scale_rows: weights has shape \(\)"):
        sparse.scale_rows(2.0)
    with pytest.raises(DTypeError, match="scale_rows: weights has dtype object"):
        sparse.scale_rows(np.array([None] * 4))
    with pytest.raises(DTypeError, match="scale_rows: weights is a masked array"):
        sparse.scale_rows(np.ma.masked_all(4))
    with pytest.raises(UnsupportedError, match=f"{name}.normalize: entries are complex128"):
        (sparse * 1j).normalize()
    with pytest.raises(ShapeError, match=r"shapes .* do not match"):
        sparse * np.ones(7)


def test_empty():
    for shape in ((0, 0), (0, 3), (3, 0), (2, 2)):
        array = dg.CSR(shape)
        assert array.scale_rows(np.ones(shape[0])).shape == shape
        assert array.scale_columns(np.ones(shape[1])).nnz == 0
        assert array.normalize(axis=0).shape == array.normalize().shape == shape
