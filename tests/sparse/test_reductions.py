"""Sums, means, variances and norms equal their statements, in every format and with any number of threads."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import reference, testing
from deepgemm.errors import DTypeError, ShapeError, UnsupportedError

AXES = (None, 0, 1)
NORMS = ("l2", "l1", "max")
DTYPES = ("f4", "f8", "F", "D", "?", "i1", "u2", "i4", "u4", "i8", "u8", "f2", ml_dtypes.bfloat16)
REAL = [dtype for dtype in DTYPES if dtype not in ("F", "D")]


def in_formats(parts: testing.Compressed) -> list[dg.SparseArray]:
    """The problem in each format; with wide indices, which do not differ beyond, in two."""
    array = dg.CSR(parts.parts, shape=parts.shape)
    compressed = [array, array.tocsc()]
    return (
        compressed if parts.indices.dtype == np.int64 else [*compressed, array.tocoo(), array.tobsr((1, 1))]
    )


def large(dtype, index_dtype: str = "i4", m: int = 900, n: int = 700) -> testing.Compressed:
    """A problem that is cut into tasks: over 32,768 entries, crowded into few columns and rows."""
    generator = np.random.default_rng(5)
    lengths = np.minimum(n, generator.pareto(1.0, m) * 60).astype(np.int64)
    lengths[generator.integers(0, m, m // 3)] = 0
    lengths[m // 2] = n
    popular = generator.permutation(n)[np.minimum(n - 1, (generator.pareto(1.2, (m, n)) * 40)).astype(int)]
    rows = [np.unique(popular[i, :length]) for i, length in enumerate(lengths)]
    rows[m // 2] = np.arange(n)
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(index_dtype)
    indices = np.concatenate(rows).astype(index_dtype)
    return testing.Compressed(testing.random_values("large", len(indices), dtype), indices, indptr, (m, n))


def stated(array: dg.SparseArray, parts: testing.Compressed, axis: int | None):
    """The operand of the reference: the total of CSC goes by columns."""
    return array if axis is None and array.format == "csc" else parts


def check(name: str, statement, case: testing.Case, axes: tuple[int | None, ...], *options) -> None:
    """Compare a method in every format with what is stated of the problem."""
    parts = case.make()
    arrays = in_formats(parts)
    for axis in axes:
        expected = statement(parts, axis, *options)
        for array in arrays:
            operand = stated(array, parts, axis)
            wanted = expected if operand is parts else statement(operand, axis, *options)
            got = getattr(array, name)(axis, *options)
            testing.assert_same(got, wanted, f"{case.name} {array.format} {name} axis {axis}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
def test_sums_and_means(dtype, index_dtype):
    for case in testing.sparse_cases(dtype, index_dtype):
        check("sum", reference.sums, case, AXES)
        check("mean", reference.means, case, AXES)


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
def test_variances_and_norms(dtype, index_dtype):
    for number, case in enumerate(testing.sparse_cases(dtype, index_dtype)):
        check("var", reference.variances, case, AXES)
        check("norms", reference.norms, case, (0, 1), NORMS[number % 3])


STATEMENTS = {
    "sum": reference.sums,
    "mean": reference.means,
    "var": reference.variances,
    "norms": reference.norms,
}


@cache
def wanted(name: str, dtype: str, shape: tuple[int, int], by_columns: bool, axis: int | None, *options):
    """What is stated of a large problem; the width of its indices and the threads do not matter to it."""
    parts = large(dtype, "i4", *shape)
    operand = dg.CSR(parts.parts, shape=parts.shape).tocsc() if by_columns and axis is None else parts
    return STATEMENTS[name](operand, axis, *options)


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D", "i4", "i8"])
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("shape", [(900, 700), (9000, 60)])
def test_threads_split_outputs_and_never_a_chain(dtype, index_dtype, shape):
    parts = large(dtype, index_dtype, *shape)
    before = [part.copy() for part in parts.parts]
    array = dg.CSR(parts.parts, shape=parts.shape)
    calls = [(name, axis) for name in ("sum", "mean", "var") for axis in AXES]
    calls += [("norms", axis, norm) for axis in (0, 1) for norm in NORMS]
    for threads, one in product((1, 2, 3), (array, array.tocsc())):
        for name, axis, *options in calls:
            if dtype in "FD" and name in ("var", "norms"):
                continue
            with dg.threads(threads):
                got = getattr(one, name)(axis, *options)
            expected = wanted(name, dtype, shape, one.format == "csc", axis, *options)
            testing.assert_same(got, expected, f"{name} {one.format} {axis} {options} {threads} threads")
    for part, old in zip(parts.parts, before, strict=True):
        testing.assert_same(part, old)


def test_mean_var_is_mean_and_var(sparse):
    for axis in AXES:
        mean, var = sparse.mean_var(axis, ddof=1)
        testing.assert_same(mean, sparse.mean(axis=axis))
        testing.assert_same(var, sparse.var(axis=axis, ddof=1))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int16, np.uint8, np.bool_])
@pytest.mark.parametrize("axis", AXES)
def test_results_are_shaped_and_typed_as_those_of_scipy(dtype, axis, matrix):
    theirs = matrix.astype(dtype)
    ours = dg.CSR(theirs)
    for name in ("sum", "mean"):
        got, expected = getattr(ours, name)(axis=axis), getattr(theirs, name)(axis=axis)
        assert (got.dtype, np.shape(got)) == (expected.dtype, np.shape(expected))
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_dtype_may_widen_the_additions_and_rounds_the_result():
    many = dg.CSR(np.full((100_000, 1), 0.1, np.float32))
    assert many.sum(axis=0)[0] != pytest.approx(10_000, rel=1e-5)  # a float32 chain, as stated
    assert many.sum(axis=0, dtype=np.float64)[0] == pytest.approx(100_000 * float(np.float32(0.1)))
    assert many.mean(axis=0)[0] == np.float32(0.1)
    assert many.sum(dtype=dg.bfloat16).dtype == dg.bfloat16
    assert dg.CSR(np.int8([[100, 100]])).sum() == 200
    assert dg.CSR(np.int8([[100, 100]])).sum(dtype=np.int8) == -56  # wraps, as in NumPy
    assert dg.CSR(np.array([[2**63, 2**62]], np.uint64)).sum(axis=1)[0] == 2**63 + 2**62
    with pytest.raises(DTypeError, match=r"^CSR.sum: dtype is int32, which cannot hold results computed in"):
        dg.CSR([[1.5]]).sum(dtype=np.int32)


def test_out(sparse, matrix):
    out = np.zeros(5)
    assert sparse.sum(axis=0, out=out) is out
    np.testing.assert_allclose(out, matrix.toarray().sum(axis=0))
    assert np.mean(sparse, axis=0, out=out) is out
    np.testing.assert_allclose(np.var(sparse, axis=0), matrix.toarray().var(axis=0))
    with pytest.raises(ShapeError, match=r"sum: out has shape \(5,\), expected \(4,\)"):
        sparse.sum(axis=1, out=out)


def test_variance_counts_empty_places_and_takes_ddof(sparse, matrix):
    dense = matrix.toarray()
    for axis in AXES:
        np.testing.assert_allclose(sparse.var(axis=axis), dense.var(axis=axis))
        np.testing.assert_allclose(sparse.var(axis=axis, ddof=1), dense.var(axis=axis, ddof=1))
    far = 1e8 + dense  # nothing is lost to cancellation, unlike in mean of squares less square of mean
    np.testing.assert_allclose(dg.CSR(far).var(axis=0), far.var(axis=0))
    assert dg.CSR(dense.astype("f4")).var(axis=0).dtype == np.float32


def test_nothing_to_average_is_nan():
    nothing = dg.CSR((0, 3))
    assert np.isnan(nothing.mean(axis=0)).all()
    assert np.isnan(nothing.var(axis=0)).all()
    assert np.isnan(nothing.mean())
    assert nothing.mean(axis=1).shape == nothing.var(axis=1).shape == (0,)
    assert nothing.sum(axis=0).tolist() == [0, 0, 0]
    assert np.isnan(dg.CSR([[1.0]]).var(axis=0, ddof=1)).all()


def test_nan_and_infinity_reach_their_own_row_and_column_only():
    array = dg.CSR([[1.0, np.nan, 0.0], [0.0, 2.0, np.inf], [3.0, 0.0, 0.0]])
    for one in (array, array.tocsc()):
        assert one.sum(axis=1).tolist()[1:] == [np.inf, 3.0]
        assert np.isnan(one.sum(axis=1)[0])
        assert one.norms(1, "max").tolist()[1:] == [np.inf, 3.0]
        assert np.isnan(one.norms(1, "max")[0])
        assert one.norms(1).tolist()[1:] == [np.inf, 3.0]
        assert np.isnan(one.var(axis=0)).tolist() == [False, True, True]


@pytest.mark.parametrize("exponent", [-1074, -1060, -1022, -600, -460, 511, 600, 1000])
def test_norms_survive_squares_that_do_not(exponent):
    row = np.ldexp([[3.0, 0.0, 4.0]], exponent)
    for array in (dg.CSR(np.vstack([row, 0 * row, [[1.0, 1.0, 0.0]]])),):
        assert array.norms().tolist() == [np.ldexp(5.0, exponent), 0.0, np.sqrt(2.0)]
        testing.assert_same(array.norms(), reference.norms(array))
        testing.assert_same(array.tocsc().norms(), reference.norms(array))
        np.testing.assert_allclose(array.normalize().toarray()[0, 2], 0.8)


def test_millions_of_empty_rows_and_one_row_with_everything():
    m, n = 2_000_000, 50_000
    whole = np.arange(n, dtype=np.int32)
    indptr = np.zeros(m + 1, np.int32)
    indptr[m // 2 + 1 :] = n
    array = dg.CSR((np.ones(n, np.float32), whole, indptr), shape=(m, n))
    for threads in (1, 2):
        with dg.threads(threads):
            assert array.sum() == n
            assert array.sum(axis=0).tolist() == [1.0] * n
            assert array.sum(axis=1)[m // 2] == n
            assert array.T.sum(axis=0)[m // 2] == n
            assert array.T.sum(axis=1).tolist() == [1.0] * n
            assert array.norms()[m // 2] == np.float32(np.sqrt(n))


def test_refusals(sparse):
    name = type(sparse).__name__
    for axis in (2, -3, 0.5, "rows", True, (0, 0)):
        with pytest.raises(ShapeError, match=re.escape(f"{name}.sum: axis is {axis!r}, expected None, 0, 1")):
            sparse.sum(axis=axis)
    with pytest.raises(ShapeError, match=f"{name}.norms: axis is None, expected 0 or 1"):
        sparse.norms(axis=None)
    with pytest.raises(ValueError, match=f"{name}.norms: norm is 'l3', expected 'l2', 'l1' or 'max'"):
        sparse.norms(norm="l3")
    with pytest.raises(UnsupportedError, match=f"{name}.var: entries are complex128, expected real numbers"):
        (sparse * 1j).var()
    assert sparse.sum(axis=(0, 1)) == sparse.sum(axis=(-1, -2)) == sparse.sum()
    assert sparse.sum(axis=(1,)).tolist() == sparse.sum(axis=-1).tolist()


def test_changed_memory_is_noticed(matrix):
    array = dg.CSR(matrix)
    matrix.data[:] = 7.0
    for call in (array.sum, array.var, array.norms, array.normalize, lambda: array[[0]]):
        with pytest.raises(dg.StaleDataError, match="memory that this array shares was changed"):
            call()


def test_against_scipy_on_something_real():
    theirs = scipy.sparse.random_array((500, 300), density=0.1, format="csr", rng=3)
    ours = dg.CSR(theirs)
    for axis in AXES:
        np.testing.assert_allclose(ours.sum(axis=axis), theirs.sum(axis=axis), rtol=1e-13)
        np.testing.assert_allclose(ours.mean(axis=axis), theirs.mean(axis=axis), rtol=1e-13)
