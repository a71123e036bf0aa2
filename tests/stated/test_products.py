"""`matmul` as stated, against exact rational arithmetic and SciPy's integers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from exact import slow_chain, slow_matmul

from deepgemm import dtypes, reference, testing
from deepgemm.errors import DTypeError, FormatError, ShapeError

PAIRS = [
    ("f4", "f4", "f4"),
    ("f8", "f8", "f8"),
    ("F", "F", "F"),
    ("D", "D", "D"),
    ("f4", "f8", "f8"),
    ("f4", "F", "F"),
    ("f8", "F", "D"),
    ("i4", "f4", "f8"),
    ("i8", "F", "D"),
    ("i2", "f4", "f4"),
    ("?", "f4", "f4"),
    ("f2", "f4", "f4"),
    ("f2", dtypes.bfloat16, "f4"),
    (dtypes.float8_e4m3fn, dtypes.float8_e5m2, "f4"),
    (dtypes.bfloat16, "f8", "f8"),
]


@pytest.mark.parametrize(("left", "right", "accumulator"), PAIRS, ids=str)
def test_dense_chain(left, right, accumulator):
    A = testing.random_values("A", (3, 20), left)
    B = testing.random_values("B", (20, 4), right)
    result = reference.matmul(A, B)
    assert result.dtype == accumulator
    testing.assert_same(result, slow_matmul(A, B, np.dtype(accumulator)))


@pytest.mark.parametrize(("left", "right", "accumulator"), PAIRS, ids=str)
def test_sparse_chain_on_both_sides(left, right, accumulator):
    case = {case.name: case for case in testing.sparse_cases(left)}["inner-19"].make()
    dense = testing.random_values("A", case.shape, left)
    mask = np.zeros(case.shape, bool)
    rows = np.repeat(np.arange(case.shape[0]), np.diff(case.indptr))
    mask[rows, case.indices] = True
    dense[rows, case.indices] = case.data
    X = testing.random_values("X", (19, 3), right)
    wanted = slow_matmul(dense, X, np.dtype(accumulator), mask)
    testing.assert_same(reference.matmul(case, X), wanted)
    # the transposed product has the dense operand on its left, which matters to complex numbers only
    wanted = np.zeros((3, 13), accumulator)
    for i in range(3):
        for j in range(13):
            wanted[i, j] = slow_chain(X[:, i], dense[j], np.dtype(accumulator), np.flatnonzero(mask[j]))
    testing.assert_same(reference.matmul(X.T, case.transposed), wanted)


@pytest.mark.parametrize("storage", ["f2", dtypes.bfloat16], ids=str)
def test_half_storage_is_accumulated_in_float32_and_rounded_once(storage):
    A, B = testing.random_values("A", (5, 200), storage), testing.random_values("B", (200, 6), storage)
    wide = reference.matmul(A, B, dtype=np.float32)
    testing.assert_same(wide, reference.matmul(A.astype("f4"), B.astype("f4")))
    result = reference.matmul(A, B)
    assert result.dtype == storage
    testing.assert_same(result, wide.astype(storage))


def test_output_dtype_of_a_float64_chain_is_rounded_once():
    A = np.array([[1.0, 2.0**-8 + 2.0**-40]])
    assert float(reference.matmul(A, np.ones(2), dtype=dtypes.bfloat16)[0]) == 1 + 2.0**-7


def test_the_order_is_ascending_fused_and_from_zero():
    x = 1 + 2.0**-30
    assert float(reference.matmul(np.array([[-1.0, x]]), np.array([1.0, x]))[0]) == 2.0**-29 + 2.0**-60
    assert float(reference.matmul(np.array([[x, -1.0]]), np.array([x, 1.0]))[0]) == 2.0**-29  # x*x came first


@pytest.mark.parametrize("dtype", ["i1", "u1"])
def test_small_integers_are_exact(dtype):
    A = np.full((2, 3000), np.iinfo(dtype).max, dtype)
    assert reference.matmul(A, A.T).tolist() == [[3000 * int(np.iinfo(dtype).max) ** 2] * 2] * 2
    assert reference.matmul(A, A.T).dtype == np.int32
    long = np.full((1, 140_000), np.iinfo(dtype).min or 255, dtype)
    result = reference.matmul(long, long[0])
    assert result.dtype == np.int64
    assert result.tolist() == [140_000 * int(long[0, 0]) ** 2]


INTEGERS = ["?", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("left", INTEGERS)
@pytest.mark.parametrize("right", INTEGERS)
def test_other_integers_and_bool_follow_scipy(left, right):
    A = testing.sparse_cases(left)
    for name in ("rows-17", "stored-zeros", "unsorted", "all-zero"):
        case = next(case for case in A if case.name == name).make()
        X = testing.random_values("X", (case.shape[1], 4), right)
        if {left, right} == {"u8", "i8"} or ("u8" in (left, right) and left[0] + right[0] in ("iu", "ui")):
            continue  # float64 there: a chain, in another order than SciPy's
        wanted = case.to_scipy() @ X
        testing.assert_same(reference.matmul(case, X), wanted, name)
        testing.assert_same(reference.matmul(X.T, case.transposed), np.ascontiguousarray(wanted.T), name)
        testing.assert_same(reference.matmul(case.to_scipy().toarray(), X), wanted, name)


def test_integers_wrap_in_their_common_dtype():
    A = np.array([[300, 300]], np.int16)
    assert reference.matmul(A, A[0]).tolist() == [(180_000 + 2**15) % 2**16 - 2**15]


FORMATS_OF_SCIPY = ["csr", "csc", "coo", "bsr", "lil", "dok"]


@pytest.mark.parametrize("kind", FORMATS_OF_SCIPY)
@pytest.mark.parametrize("array", [True, False], ids=["array", "matrix"])
def test_every_scipy_format(kind, array):
    matrix = next(c for c in testing.sparse_cases("f8") if c.name == "block").make().to_scipy()
    X = testing.random_values("X", (72, 3), "f8")
    other = matrix.asformat(kind) if array else scipy.sparse.csr_matrix(matrix).asformat(kind)
    testing.assert_same(reference.matmul(other, X), reference.matmul(matrix, X))
    testing.assert_same(reference.matmul(X.T, other), reference.matmul(X.T, matrix))


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "f2", dtypes.bfloat16], ids=str)
def test_unsorted_entries_and_duplicates_are_made_canonical_first(dtype):
    for name in ("duplicates", "unsorted", "unsorted-duplicates"):
        case = next(c for c in testing.sparse_cases(dtype) if c.name == name).make()
        accumulator = dtypes.accumulator(case.dtype, case.dtype)
        dense = np.zeros(case.shape, accumulator)
        mask = np.zeros(case.shape, bool)
        for row in range(case.shape[0]):
            for entry in range(case.indptr[row], case.indptr[row + 1]):
                dense[row, case.indices[entry]] += case.data[entry].astype(accumulator)
                mask[row, case.indices[entry]] = True
        X = testing.random_values("X", (case.shape[1], 3), dtype)
        stored = dense.astype(case.dtype)
        wanted = slow_matmul(stored, X, accumulator, mask)
        testing.assert_same(reference.matmul(case, X), wanted.astype(X.dtype), name)


def test_duplicates_are_summed_in_storage_order():
    # (big + small) - big loses small; (big - big) + small does not: COO keeps the order of the caller.
    for data, wanted in (([2.0**60, 1.0, -(2.0**60)], 0.0), ([2.0**60, -(2.0**60), 1.0], 1.0)):
        A = scipy.sparse.coo_array((data, ([0, 0, 0], [1, 1, 1])), shape=(1, 2))
        assert reference.matmul(A, np.ones(2)).tolist() == [wanted]


def test_duplicates_of_small_integers_must_fit():
    A = scipy.sparse.coo_array((np.int8([100, 100]), ([0, 0], [0, 0])), shape=(1, 1))
    with pytest.raises(FormatError, match="a sum that int8 cannot hold"):
        reference.matmul(A, np.int8([1]))


def test_structural_zeros_are_skipped_and_stored_ones_multiplied():
    X = np.array([[np.inf], [1.0], [np.nan]])
    structural = scipy.sparse.csr_array(([2.0], ([0], [1])), shape=(1, 3))
    stored = scipy.sparse.csr_array(([2.0, 0.0], ([0, 0], [1, 2])), shape=(1, 3))
    assert reference.matmul(structural, X).tolist() == [[2.0]]
    assert np.isnan(reference.matmul(stored, X)).all()
    assert np.isnan(reference.matmul(structural.toarray(), X)).all()
    block = scipy.sparse.bsr_array((np.array([[[2.0, 0.0]]]), [0], [0, 1]), shape=(1, 2))
    assert np.isnan(reference.matmul(block, np.array([1.0, np.inf]))).all()


def test_both_operands_sparse():
    B = next(c for c in testing.sparse_cases("f8") if c.name == "rows-19").make()
    A = next(c for c in testing.sparse_cases("f8") if c.name == "inner-19").make()
    testing.assert_same(reference.matmul(A, B), reference.matmul(A, B.to_scipy().toarray()))
    inf = scipy.sparse.csr_array([[np.inf]])
    assert reference.matmul(inf, scipy.sparse.csr_array((1, 1))).tolist() == [[0.0]]


def test_vectors_and_shapes():
    A = testing.random_values("A", (4, 6), "f8")
    S = scipy.sparse.csr_array(A)
    row, column = A[:, 0].copy(), A[0].copy()
    for operand in (A, S):
        assert reference.matmul(operand, column).shape == (4,)
        assert reference.matmul(row, operand).shape == (6,)
        testing.assert_same(
            reference.matmul(operand, column), reference.matmul(operand, column[:, None])[:, 0]
        )
        testing.assert_same(reference.matmul(row, operand), reference.matmul(row[None], operand)[0])
    assert reference.matmul([[1, 2]], [[3], [4]]).tolist() == [[11]]


@pytest.mark.parametrize("shape", [(0, 0, 0), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 0, 1)])
@pytest.mark.parametrize("sparse", [False, True])
def test_empty_operands(shape, sparse):
    m, k, n = shape
    A = scipy.sparse.csr_array((m, k)) if sparse else np.zeros((m, k))
    testing.assert_same(reference.matmul(A, np.ones((k, n))), np.zeros((m, n)))
    testing.assert_same(reference.matmul(np.ones((n, k)), A.T), np.zeros((n, m)))


def test_operands_are_left_alone_and_results_are_c_ordered():
    case = next(c for c in testing.sparse_cases("f8") if c.name == "unsorted-duplicates").make()
    before = [part.copy() for part in case.parts]
    X = testing.random_values("X", (12, 5), "f8")
    assert reference.matmul(case, X).flags.c_contiguous
    assert reference.matmul(X.T, case.transposed).flags.c_contiguous
    assert all(np.array_equal(part, old) for part, old in zip(case.parts, before, strict=True))


def test_matmul_refusals():
    with pytest.raises(ShapeError, match="matmul: A has 300 columns but B has 299 rows"):
        reference.matmul(np.zeros((2, 300)), np.zeros((299, 2)))
    with pytest.raises(ShapeError, match="B has 3 dimensions, expected 1 or 2"):
        reference.matmul(np.zeros((2, 2)), np.zeros((2, 2, 2)))
    with pytest.raises(DTypeError, match="A has dtype object"):
        reference.matmul(np.array([[None]]), np.zeros((1, 1)))
    with pytest.raises(
        DTypeError, match="dtype is float64, which cannot hold results computed in complex128"
    ):
        reference.matmul(np.array([[1j]]), np.zeros((1, 1)), dtype=np.float64)
