"""Element-wise operations, comparisons, ufuncs and reductions against NumPy and SciPy."""

from __future__ import annotations

import operator
import warnings

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg

pytestmark = pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")


def dense(value):
    return value.toarray() if hasattr(value, "toarray") else value


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.eq, operator.ne, operator.lt, operator.ge]
)
@pytest.mark.parametrize("other", ["same", "csc", "scipy", "dense", "row"])
def test_two_operands(op, other, sparse, matrix):
    second = {
        "same": sparse,
        "csc": dg.CSC(matrix),
        "scipy": matrix,
        "dense": matrix.toarray() + 1.0,
        "row": np.arange(5.0),
    }[other]
    got = op(sparse, second)
    np.testing.assert_array_equal(dense(got), op(matrix.toarray(), dense(second)))
    if other in ("same", "csc", "scipy"):
        assert isinstance(got, dg.sparse.SparseArray)
    if other in ("dense", "row"):
        np.testing.assert_array_equal(dense(op(second, sparse)), op(second, matrix.toarray()))


@pytest.mark.parametrize(
    "op", [operator.mul, operator.truediv, operator.pow, operator.gt, operator.le, operator.ne]
)
@pytest.mark.parametrize("scalar", [2, 2.0, np.float32(2), np.array(2.0)])
def test_scalars(op, scalar, sparse, matrix):
    got = op(sparse, scalar)
    assert type(got) is type(sparse) or op not in (operator.mul, operator.truediv, operator.pow)
    np.testing.assert_array_equal(dense(got), op(matrix.toarray(), scalar))
    if op is operator.mul:
        np.testing.assert_array_equal(dense(scalar * sparse), dense(got))


def test_zero_is_a_neutral_term(sparse):
    assert sparse + 0 is sparse
    assert sparse - 0.0 is sparse
    assert 0 + sparse is sparse
    np.testing.assert_array_equal((0 - sparse).toarray(), -sparse.toarray())
    np.testing.assert_array_equal(sum([sparse, sparse]).toarray(), 2 * sparse.toarray())


def test_unary(sparse, matrix):
    for got, expected in [
        (-sparse, -matrix.toarray()),
        (+sparse, matrix.toarray()),
        (abs(sparse), abs(matrix.toarray())),
        (sparse.conj(), matrix.toarray()),
        (sparse.real, matrix.toarray()),
        ((sparse * 1j).imag, matrix.toarray()),
        ((sparse * 1j).conjugate(), -1j * matrix.toarray()),
        (sparse.maximum(0), np.maximum(matrix.toarray(), 0)),
        (sparse.minimum(-sparse), -abs(matrix.toarray())),
        (sparse.multiply(sparse), matrix.toarray() ** 2),
        (sparse.power(2, dtype=np.float32), matrix.toarray() ** 2),
        (sparse.divide(2), matrix.toarray() / 2),
        (sparse / np.full(matrix.shape, 2.0), matrix.toarray() / 2),
    ]:
        assert isinstance(got, dg.sparse.SparseArray)
        np.testing.assert_array_equal(got.toarray(), expected)


@pytest.mark.parametrize(
    "ufunc", [np.sqrt, np.sin, np.expm1, np.sign, np.square, np.isnan, np.negative, np.floor, np.log1p]
)
def test_ufuncs_that_keep_zeros(ufunc, sparse):
    positive = abs(sparse)
    got = ufunc(positive)
    assert type(got) is type(sparse)
    np.testing.assert_array_equal(got.toarray(), ufunc(positive.toarray()))


def test_ufuncs_of_two(sparse, matrix):
    array = matrix.toarray()
    np.testing.assert_array_equal(np.multiply(sparse, 3).toarray(), 3 * array)
    np.testing.assert_array_equal(np.maximum(sparse, sparse).toarray(), array)
    np.testing.assert_array_equal(np.subtract(array + 1, sparse), np.ones_like(array))
    np.testing.assert_array_equal(np.less(array, sparse + sparse), array < 2 * array)
    out = np.zeros_like(array)
    assert np.add(array, sparse, out=out) is out
    np.testing.assert_array_equal(out, 2 * array)
    array += sparse
    np.testing.assert_array_equal(array, out)
    with pytest.raises(TypeError, match="gives a sparse array here, which does not fit out="):
        np.multiply(sparse, 2, out=out)


def test_nothing_is_densified_silently(sparse):
    for function in (
        np.exp,
        np.cos,
        np.logical_not,
        lambda a: np.add(a, 1),
        lambda a: np.concatenate([a]),
        np.linalg.norm,
    ):
        with pytest.raises((TypeError, NotImplementedError)):
            function(sparse)


NARROW = [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


@pytest.mark.parametrize("dtype", NARROW, ids=lambda d: np.dtype(d).name)
def test_narrow_floats(dtype, sparse, matrix):
    """Entry by entry the dtype stays; with another array, and in sums, it is float32."""
    narrow = sparse.astype(dtype)
    values = narrow.toarray()
    wide = values.astype(np.float32)
    for got, expected in [
        (-narrow, -values),
        (abs(narrow), abs(values)),
        (narrow * dtype(2), values * dtype(2)),
    ]:
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(got.toarray(), expected)
    for got, expected in [
        (narrow + narrow, 2 * wide),
        (narrow * narrow, wide * wide),
        (narrow - values, 0 * wide),
    ]:
        assert got.dtype == np.float32
        np.testing.assert_array_equal(dense(got), expected)
    assert narrow.sum().dtype == np.float32
    np.testing.assert_array_equal(narrow.sum(axis=0), wide.sum(axis=0))
    np.testing.assert_array_equal((narrow > 0).toarray(), wide > 0)
    assert narrow.to_scipy().dtype == np.float32
    assert not np.shares_memory(narrow.to_scipy().data, narrow.data)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_reductions(axis, sparse, matrix):
    array = matrix.toarray()
    np.testing.assert_allclose(sparse.sum(axis=axis), array.sum(axis=axis))
    np.testing.assert_allclose(np.sum(sparse, axis=axis), array.sum(axis=axis))
    np.testing.assert_allclose(sparse.mean(axis=axis), array.mean(axis=axis))
    np.testing.assert_array_equal(sparse.count_nonzero(axis=axis), np.count_nonzero(array, axis=axis))
    stored = sparse.nnz if sparse.format == "bsr" else np.count_nonzero(array)
    assert np.sum(sparse.getnnz(axis=axis)) == stored
    keep = {} if axis is None else {"keepdims": True}
    np.testing.assert_array_equal(dense(sparse.max(axis=axis)), array.max(axis=axis, **keep))
    np.testing.assert_array_equal(dense(sparse.min(axis=axis)), array.min(axis=axis, **keep))
    np.testing.assert_array_equal(sparse.argmax(axis=axis), array.argmax(axis=axis))
    np.testing.assert_array_equal(sparse.argmin(axis=axis), array.argmin(axis=axis))


def test_reductions_of_one_axis_keep_two_dimensions(sparse):
    assert sparse.max(axis=0).shape == (1, 5)
    assert sparse.min(axis=1).shape == (4, 1)
    assert isinstance(sparse.max(axis=0), dg.COO)


def test_diagonals_and_counts(sparse, matrix):
    np.testing.assert_array_equal(sparse.diagonal(1), np.diagonal(matrix.toarray(), 1))
    assert sparse.trace() == matrix.toarray().trace()
    for got, expected in zip(sparse.nonzero(), np.nonzero(matrix.toarray()), strict=True):
        np.testing.assert_array_equal(np.sort(got), np.sort(expected))
    assert bool(dg.CSR([[2.0]]))
    assert not bool(dg.CSR([[0.0]]))


def test_warnings_of_scipy_pass():
    with pytest.warns(scipy.sparse.SparseEfficiencyWarning):
        dg.CSR(np.eye(3)) == 0  # noqa: B015
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dg.CSR(np.eye(3)) > 0  # noqa: B015


def test_duplicates_are_summed_before_anything_nonlinear():
    made = dg.COO((np.array([1.0, 2.0, -4.0]), ([0, 0, 0], [0, 0, 0])))
    assert abs(made).toarray().tolist() == [[1.0]]
    assert (made**2).toarray().tolist() == [[1.0]]
    assert (made < 0).toarray().tolist() == [[True]]


def test_equals_looks_at_entries_not_at_formats(sparse):
    assert sparse.equals(sparse.asformat("csr"))
    assert sparse.equals(sparse.copy())
    assert sparse.equals(sparse.tocsr().tocsc())
    assert not sparse.equals(sparse * 2)
    assert not sparse.equals(sparse.astype(np.float32))
    assert not sparse.equals(sparse.T)
    assert not sparse.equals(sparse.toarray())
    nan = sparse * np.nan
    assert nan.equals(nan.copy())


def test_repr_tells_the_essentials(sparse):
    text = repr(sparse)
    assert text.startswith(
        f"{type(sparse).__name__}(shape=(4, 5), dtype=float64, nnz={sparse.nnz}, density=0."
    )
    assert text.endswith(" B)")
    assert repr(dg.CSR((100, 100), dtype=dg.bfloat16)) == (
        "CSR(shape=(100, 100), dtype=bfloat16, nnz=0, density=0, memory=404 B)"
    )
