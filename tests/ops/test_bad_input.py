"""What cannot be multiplied is refused by class and by message, and nothing is written."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg


@pytest.fixture
def A():
    return dg.CSR(
        scipy.sparse.random_array((40, 30), density=0.2, format="csr", rng=np.random.default_rng(0))
    )


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((40, 30), (29, 5), "matmul: A has 30 columns but X has 29 rows"),
        ((40, 30), (29,), "matmul: A has 30 columns but X has 29 elements"),
        ((39,), (40, 30), "matmul: A has 39 elements but B has 40 rows"),
        ((2, 39), (40, 30), "matmul: A has 39 columns but B has 40 rows"),
    ],
)
def test_shapes(A, left, right, message):
    left = A if left == (40, 30) else np.ones(left)
    right = A if right == (40, 30) else np.ones(right)
    with pytest.raises(dg.ShapeError, match=f"^{message}$"):
        dg.matmul(left, right)
    with pytest.raises(dg.ShapeError, match=f"^{message}$"):
        left @ right


def test_shapes_of_dense_and_of_sparse_operands(A):
    with pytest.raises(dg.ShapeError, match=r"^matmul: A has 3 columns but X has 4 rows$"):
        dg.matmul(np.ones((2, 3)), np.ones((4, 5)))
    with pytest.raises(dg.ShapeError, match=r"^matmul: A has 3 elements but X has 4 elements$"):
        dg.matmul(np.ones(3), np.ones(4))
    with pytest.raises(dg.ShapeError, match=r"^matmul: A has 30 columns but B has 40 rows$"):
        A @ A
    with pytest.raises(dg.ShapeError, match=r"^plan: A has 30 columns but X has 31 rows$"):
        dg.plan(A, np.ones((31, 2)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.float64(2.0), r"matmul: X is a scalar, expected a vector or a matrix; use \* to scale"),
        ([[1.0], [2.0, 3.0]], "matmul: X is no array: setting an array element with a sequence"),
    ],
)
def test_dimensions(A, value, message):
    with pytest.raises(dg.ShapeError, match=message):
        dg.matmul(A, value)
    with pytest.raises(dg.ShapeError, match=message):
        A @ value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((30, 2), object), "matmul: X has dtype object, expected one of: bool, int8"),
        (np.full((30, 2), "a"), "matmul: X has dtype <U1, expected one of"),
        (np.ones((30, 2), "M8[s]"), r"matmul: X has dtype datetime64\[s\], expected one of"),
        (np.ones((30, 2), [("a", "f4")]), "matmul: X has dtype"),
        (np.ma.masked_less(np.ones((30, 2)), 0), "matmul: X is a masked array; fill it first"),
    ],
)
def test_dtypes(A, value, message):
    with pytest.raises(dg.DTypeError, match=message):
        dg.matmul(A, value)
    with pytest.raises(dg.DTypeError, match=message):
        A @ value


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is double here")
def test_long_double(A):
    with pytest.raises(dg.DTypeError, match="matmul: X has dtype float128, expected one of"):
        A @ np.ones(30, np.longdouble)


def test_sparse_operands_of_scipy_are_validated():
    broken = scipy.sparse.csr_array((3, 3))
    broken.data, broken.indices, broken.indptr = (
        np.ones(1),
        np.array([7], np.int32),
        np.array([0, 1, 1, 1], np.int32),
    )
    with pytest.raises(dg.FormatError, match=r"CSR: indices\[0\] is 7 but the matrix has 3 columns"):
        dg.matmul(broken, np.ones(3))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (lambda: np.zeros((40, 3)), dg.ShapeError, r"matmul: out has shape \(40, 3\), expected \(40, 2\)"),
        (lambda: np.zeros(40), dg.ShapeError, r"matmul: out has shape \(40,\), expected \(40, 2\)"),
        (lambda: np.zeros((40, 2), "f4"), dg.DTypeError, "matmul: out has dtype float32, expected float64"),
        (lambda: [[0.0, 0.0]] * 40, dg.DTypeError, "matmul: out must be a numpy.ndarray, got list"),
        (lambda: _read_only(np.zeros((40, 2))), dg.FormatError, "matmul: out is read-only"),
        (lambda: np.broadcast_to(np.zeros((1, 2)), (40, 2)), dg.FormatError, "matmul: out is read-only"),
        (
            lambda: np.lib.stride_tricks.as_strided(np.zeros(40), (40, 2), (8, 0)),
            dg.FormatError,
            "matmul: out has elements that share memory",
        ),
    ],
)
def test_out(A, out, error, message):
    with pytest.raises(error, match=message):
        dg.matmul(A, np.ones((30, 2)), out=out())


def _read_only(array):
    array.setflags(write=False)
    return array


def test_out_must_not_overlap(A):
    square = dg.CSR(np.eye(4))
    X = np.arange(16.0).reshape(4, 4)
    before = X.copy()
    for out in (X, X.T, X[::-1]):
        with pytest.raises(dg.FormatError, match="matmul: out shares memory with X; pass a separate array"):
            dg.matmul(square, X, out=out)
    assert np.array_equal(X, before)
    values = np.arange(1.0, 17.0)
    full = dg.CSR((values, np.tile(np.arange(4), 4), np.arange(0, 17, 4)), shape=(4, 4))
    assert np.shares_memory(full.data, values)
    with pytest.raises(dg.FormatError, match="matmul: out shares memory with A; pass a separate array"):
        dg.matmul(full, np.eye(4), out=values.reshape(4, 4))
    # Interleaved memory without a common element is fine.
    pair = np.zeros((4, 8))
    pair[:, ::2] = np.eye(4)
    dg.matmul(square, pair[:, ::2], out=pair[:, 1::2])
    assert np.array_equal(pair[:, 1::2], np.eye(4))


def test_out_of_sparse_results_and_of_vectors(A):
    whole = A.astype("int32")
    out = np.ones((40, 40), "int32")
    assert dg.matmul(whole, whole.T, out=out) is out
    assert np.array_equal(out, (whole @ whole.T).toarray())
    with pytest.raises(dg.UnsupportedError, match="matmul: out= is not taken for two vectors"):
        dg.matmul(np.ones(3), np.ones(3), out=np.zeros(()))


@pytest.mark.parametrize(
    ("dtype", "error", "message"),
    [
        ("int32", dg.DTypeError, "matmul: dtype is int32, but the product is float64, which it cannot hold"),
        ("bool", dg.DTypeError, "matmul: dtype is bool, but the product is float64, which it cannot hold"),
        (object, dg.DTypeError, "matmul: dtype has dtype object, expected one of"),
        ("nonsense", TypeError, "nonsense"),
    ],
)
def test_output_dtypes(A, dtype, error, message):
    with pytest.raises(error, match=message):
        dg.matmul(A, np.ones(30), dtype=dtype)


def test_complex_does_not_become_real(A):
    with pytest.raises(dg.DTypeError, match="dtype is float64, but the product is complex128"):
        dg.matmul(A.astype("complex128"), np.ones(30), dtype="float64")


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"threads": 0}, ValueError, "matmul: threads is 0, expected at least 1"),
        ({"threads": 1.5}, ValueError, "matmul: threads is 1.5, expected a whole number of at least 1"),
        (
            {"kernel": "avx9_x"},
            ValueError,
            "matmul: kernel is 'avx9_x', which is no kernel; there are: csr_rowwise, csr",
        ),
        (
            {"kernel": "csr_tiled2"},
            ValueError,
            "matmul: kernel is 'csr_tiled2', which is no kernel; there are: ",
        ),
        ({"kernel": "avx512_fp17"}, ValueError, "matmul: kernel is 'avx512_fp17', expected an ISA"),
        ({"kernel": 3}, ValueError, "matmul: kernel is 3, expected a string"),
        ({"kernel": "neon"}, dg.UnsupportedError, "neon does not run on this CPU or is not compiled in"),
        (
            {"kernel": "csr_vector"},
            dg.UnsupportedError,
            "kernel asks for csr_vector, which cannot do .*: wants a vector",
        ),
        ({"kernel": "scipy"}, dg.UnsupportedError, "reproducible=False admits it"),
        ({"kernel": "avx512_fp16"}, dg.UnsupportedError, "which no kernel has|does not run on this CPU"),
    ],
)
def test_options(A, option, error, message):
    with pytest.raises(error, match=message):
        dg.matmul(A, np.ones((30, 2)), **option)


def test_the_environment_is_named(A, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", "nonsense")
    with pytest.raises(
        ValueError, match="DEEPGEMM_KERNEL is 'nonsense', which is no kernel; there are: csr_rowwise"
    ):
        A @ np.ones(30)
    monkeypatch.setenv("DEEPGEMM_KERNEL", "avx512_nonsense")
    with pytest.raises(ValueError, match="DEEPGEMM_KERNEL is 'avx512_nonsense', expected an ISA"):
        A @ np.ones(30)
    monkeypatch.setenv("DEEPGEMM_KERNEL", "csr_vector")
    with pytest.raises(dg.UnsupportedError, match="DEEPGEMM_KERNEL asks for csr_vector"):
        A @ np.ones((30, 2))


def test_two_sparse_operands(A):
    with pytest.raises(dg.UnsupportedError, match="out= takes dense results"):
        dg.plan(A, A.T)(A.T, out=np.zeros((40, 40)))
    with pytest.raises(dg.UnsupportedError, match="rounds in an order of its own"):
        dg.matmul(A, A.T, kernel="scipy")


def test_a_result_beyond_every_memory():
    tall, wide = dg.CSC((2**40, 1)), np.broadcast_to(np.ones(1), (1, 2**40))
    with pytest.raises(
        MemoryError, match="matmul: a result of 1,208,925,819,614,629,174,706,176 elements of float64"
    ):
        dg.matmul(tall, wide)


def test_a_result_that_does_not_fit():
    tall, wide = dg.CSC((2**24, 1)), np.broadcast_to(np.ones(1), (1, 2**24))
    with pytest.raises(MemoryError):
        dg.matmul(tall, wide)


def test_inputs_stay_as_they_were():
    S = scipy.sparse.csr_array(([3.0, 1.0, 2.0, 4.0], [2, 0, 1, 1], [0, 2, 4]), shape=(2, 3))
    parts = [part.copy() for part in (S.data, S.indices, S.indptr)]
    X = np.ones((3, 4))
    for kernel in ("csr_rowwise", "csr_tiled", "csr_scatter", "gemm_packed"):
        dg.matmul(S, X, kernel=kernel)
    assert all(np.array_equal(a, b) for a, b in zip((S.data, S.indices, S.indptr), parts, strict=True))
    assert (X == 1).all()
