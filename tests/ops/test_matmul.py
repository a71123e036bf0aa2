"""`matmul` and `@`: every kernel gives the reference's result, in every format, dtype and memory order."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import reference
from deepgemm.testing import assert_same, dense_cases, random_values, sparse_cases, with_nonfinite

FLOATS = ("float32", "float64", "complex64", "complex128")
ISAS = dg.planner.machine.current().isas
CASES = {case.name: case for case in sparse_cases("float32")}
# The kernels of one sparse operand, and those that also take matrices.
VECTOR_KERNELS = ("csr_rowwise", "csr_tiled", "csr_scatter", "csr_vector", "sell_vector", "gemm_packed")
MATRIX_KERNELS = ("csr_rowwise", "csr_tiled", "csr_scatter", "gemm_packed")


def sparse(case, dtype="float32", index_dtype="int32"):
    made = {c.name: c for c in sparse_cases(dtype, index_dtype)}[case].make()
    return dg.CSR(made.parts, shape=made.shape)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", list(CASES))
def test_every_kernel_multiplies_vectors_alike(case, isa):
    A = sparse(case)
    x = random_values("x", A.shape[1], "float32")
    expected = reference.matmul(A, x)
    for kernel in VECTOR_KERNELS:
        plan = dg.plan(A, x, kernel=f"{kernel}@{isa}")
        assert (plan.kernel, plan.isa) == (kernel, isa)
        assert_same(plan(x), expected)


@pytest.mark.parametrize("columns", [0, 1, 3, 8, 17, 33])
@pytest.mark.parametrize(
    "case", ["rows-17", "skewed", "unsorted-duplicates", "all-zero", "stored-zeros", "large"]
)
def test_every_kernel_multiplies_matrices_alike(case, columns):
    A = sparse(case)
    X = random_values("X", (A.shape[1], columns), "float32")
    Z = random_values("Z", (columns, A.shape[0]), "float32")
    right, left = reference.matmul(A, X), reference.matmul(Z, A)
    for isa in ISAS:
        for kernel in MATRIX_KERNELS:
            for threads in (1, 2):
                got = dg.matmul(A, X, kernel=f"{kernel}@{isa}", threads=threads)
                assert_same(got, right)
                assert_same(dg.matmul(Z, A, kernel=f"{kernel}@{isa}", threads=threads), left)


@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", ["rows-17", "unsorted-duplicates", "banded"])
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_formats(case, format, dtype, index_dtype):
    A = sparse(case, dtype, index_dtype)
    A = A.canonical().tobsr((1, 1)) if format == "bsr" else A.asformat(format)
    for columns in (None, 5):
        shape = A.shape[1] if columns is None else (A.shape[1], columns)
        X = random_values("X", shape, dtype)
        assert_same(A @ X, reference.matmul(A, X))
        Z = random_values("Z", A.shape[0] if columns is None else (columns, A.shape[0]), dtype)
        assert_same(Z @ A, reference.matmul(Z, A))


def test_zeros_inside_blocks_are_entries():
    blocks = dg.BSR(scipy.sparse.bsr_array((np.array([[[0.0, 1.0], [2.0, 0.0]]]), [0], [0, 1]), shape=(2, 2)))
    x = np.array([np.inf, 1.0])
    assert_same(blocks @ x, np.array([np.nan, np.inf]))


@pytest.mark.parametrize("case", [case.name for case in dense_cases("float32")])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_dense(case, dtype):
    A, B = {c.name: c for c in dense_cases(dtype)}[case].make()
    expected = reference.matmul(A, B)
    assert_same(dg.matmul(A, B), expected)
    for fixed in ("left", "right"):
        other = B if fixed == "left" else A
        for reuse in (None, 5):
            assert_same(dg.plan(A, B, fixed=fixed, reuse=reuse)(other), expected)


def test_mostly_zero_dense_operands_take_the_sparse_path():
    A = random_values("A", (256, 256), "float32", zeros=0.98)
    B = random_values("B", (256, 256), "float32")
    expected = reference.matmul(A, B)
    plan = dg.plan(A, B, fixed="left", kernel="dense_as_csr")
    assert_same(plan(B), expected)
    plan = dg.plan(B, A, fixed="right", kernel="dense_as_csr", reuse=3)
    assert_same(plan(B), reference.matmul(B, A))


@pytest.mark.parametrize("side", ["left", "right"])
def test_crossing_falls_back_when_the_other_operand_is_not_finite(side):
    A = sparse("banded")
    X = with_nonfinite(random_values("X", A.shape, "float32"))
    operands = (A, X) if side == "left" else (X, A)
    assert_same(dg.matmul(*operands, kernel="gemm_packed"), reference.matmul(*operands))
    plan = dg.plan(*operands, kernel="gemm_packed")
    finite = random_values("X", A.shape, "float32")
    assert_same(plan(finite), reference.matmul(*((A, finite) if side == "left" else (finite, A))))
    assert_same(plan(X), reference.matmul(*operands))


@pytest.mark.parametrize("fixed", ["left", "right"])
def test_skipping_zeros_falls_back_when_the_other_operand_is_not_finite(fixed):
    D = random_values("D", (256, 256), "float32", zeros=0.98)
    X = with_nonfinite(random_values("X", (256, 256), "float32"))
    operands = (D, X) if fixed == "left" else (X, D)
    assert_same(dg.plan(*operands, fixed=fixed, kernel="dense_as_csr")(X), reference.matmul(*operands))


def test_nonfinite_entries_of_the_sparse_operand_stay_where_they_are():
    A = sparse("banded").with_data(with_nonfinite(sparse("banded").data))
    X = random_values("X", (A.shape[1], 4), "float32")
    for kernel in MATRIX_KERNELS:
        assert_same(dg.matmul(A, X, kernel=kernel), reference.matmul(A, X))


@pytest.mark.parametrize(
    "pair", [("float16", "float16"), ("bfloat16", "float32"), ("float8_e5m2", "float16")]
)
@pytest.mark.parametrize("kernel", MATRIX_KERNELS)
def test_narrow_floats_are_widened_exactly(pair, kernel):
    A = sparse("rows-17", pair[0])
    X = random_values("X", (A.shape[1], 6), pair[1])
    got = dg.matmul(A, X, kernel=kernel)
    assert_same(got, reference.matmul(A, X))
    assert dg.plan(A, X).problem.casts or pair[1] == "float32"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("int32", "float32"),
        ("float32", "float64"),
        ("float64", "complex64"),
        ("int8", "float32"),
        ("bool", "float64"),
    ],
)
def test_mixed_dtypes(left, right):
    A = sparse("rows-17", left)
    X = random_values("X", (A.shape[1], 6), right)
    assert_same(A @ X, reference.matmul(A, X))
    assert_same(X.T.copy() @ A.T, reference.matmul(X.T.copy(), A.T))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint64", "bool"])
def test_integers_are_exact(dtype):
    A = sparse("rows-17", dtype)
    X = random_values("X", (A.shape[1], 6), dtype)
    Z = random_values("Z", (5, A.shape[0]), dtype)
    assert_same(A @ X, reference.matmul(A, X))
    assert_same(Z @ A, reference.matmul(Z, A))
    assert_same(A @ X[:, 0], reference.matmul(A, X[:, 0]))
    D = A.toarray()
    assert_same(dg.matmul(D, X), reference.matmul(D, X))
    assert (A @ X).dtype == reference.matmul(A, X).dtype


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool"])
def test_integer_products_of_two_sparse_arrays(dtype):
    A = sparse("rows-17", dtype)
    product = A @ A.T
    assert isinstance(product, dg.CSR)
    assert product.has_canonical_format
    assert_same(product.toarray(), reference.matmul(A, A.T.toarray()))


def test_float_products_of_two_sparse_arrays_are_for_the_asking():
    A = sparse("rows-17", "float64")
    product = dg.matmul(A, A.T, reproducible=False)
    np.testing.assert_allclose(product.toarray(), A.toarray() @ A.toarray().T, rtol=1e-12)
    plan = dg.plan(A, A.T, reproducible=False)
    assert plan(A.T).equals(product)
    assert dg.plan(A, A.T, fixed="right", reproducible=False)(A).equals(product)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "int32", "int8", "bool"])
def test_two_vectors(dtype):
    x, y = random_values("x", 37, dtype), random_values("y", 37, dtype)
    got = dg.matmul(x, y)
    assert_same(got, reference.matmul(x, y))
    assert np.ndim(got) == 0


# --- memory ---


ORDERS = {
    "C": lambda a: a,
    "F": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "read-only": lambda a: _read_only(a),
    "misaligned": lambda a: _misaligned(a),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


def _read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def _misaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("kernel", [*MATRIX_KERNELS, None])
def test_memory_orders(order, kernel):
    A = sparse("skewed", "float64")
    X = ORDERS[order](random_values("X", (A.shape[1], 9), "float64"))
    before = X.copy()
    assert_same(dg.matmul(A, X, kernel=kernel), reference.matmul(A, X))
    Z = ORDERS[order](random_values("Z", (9, A.shape[0]), "float64"))
    assert_same(dg.matmul(Z, A, kernel=kernel), reference.matmul(Z, A))
    assert np.array_equal(X, before)


@pytest.mark.parametrize("order", list(ORDERS))
def test_memory_orders_of_dense_operands(order):
    A = ORDERS[order](random_values("A", (23, 31), "float32"))
    B = ORDERS[order](random_values("B", (31, 18), "float32"))
    assert_same(dg.matmul(A, B), reference.matmul(A, B))
    assert_same(dg.matmul(A[0], B), reference.matmul(A[0], B))
    assert_same(dg.matmul(A, B[:, 0]), reference.matmul(A, B[:, 0]))


@pytest.mark.parametrize("order", ["C", "F", "strided", "reversed", "misaligned"])
@pytest.mark.parametrize("kernel", [*MATRIX_KERNELS, None])
def test_out(order, kernel):
    A = sparse("skewed", "float64")
    X = random_values("X", (A.shape[1], 9), "float64")
    out = ORDERS[order](np.full((A.shape[0], 9), np.nan))
    assert dg.matmul(A, X, out=out, kernel=kernel) is out
    assert_same(out, reference.matmul(A, X))


@pytest.mark.parametrize(
    ("dtype", "out_dtype"), [("float16", "float16"), ("int8", "int32"), ("int32", "int32")]
)
def test_out_where_dtypes_change_on_the_way(dtype, out_dtype):
    A = sparse("rows-17", dtype)
    X = random_values("X", (A.shape[1], 9), dtype)
    out = np.zeros((A.shape[0], 9), out_dtype)
    assert dg.matmul(A, X, out=out) is out
    assert_same(out, reference.matmul(A, X))


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        ("float32", "float64"),
        ("float64", "float16"),
        ("float32", "bfloat16"),
        ("float32", "complex64"),
        ("int8", "int64"),
    ],
)
def test_dtype_selects_the_output_only(dtype, wanted):
    A = sparse("rows-17", dtype)
    X = random_values("X", (A.shape[1], 4), dtype)
    got = dg.matmul(A, X, dtype=wanted)
    assert got.dtype == np.dtype(wanted)
    assert_same(got, reference.matmul(A, X, dtype=np.dtype(wanted)))


# --- operands of other kinds ---


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_layouts_of_one_dtype_do_not_serve_another(format):
    """`with_data` and `astype` to another dtype once read float32 layouts as float64."""
    A = dg.CSR(random_values("A", (9, 20), np.float32, zeros=0.5)).asformat(format)
    X = random_values("X", (20, 3), np.float32)
    for kernel in MATRIX_KERNELS if format in ("csr", "csc") else ("csr_rowwise",):
        dg.matmul(A, X, kernel=kernel)
        for dtype in (np.float64, np.complex64, np.float16):
            if kernel == "csr_tiled" and dtype == np.complex64:
                continue  # tiles hold real values only
            for other in (A.astype(dtype), A.with_data(A.data.astype(dtype))):
                assert_same(dg.matmul(other, X, kernel=kernel), reference.matmul(other, X))
                assert_same(other @ X[:, 0], reference.matmul(other, X[:, 0]))


def test_operands_of_scipy_and_lists():
    A = sparse("rows-17", "float64")
    S = A.to_scipy()
    X = random_values("X", (A.shape[1], 3), "float64")
    expected = reference.matmul(A, X)
    assert_same(dg.matmul(S, X), expected)
    assert_same(dg.matmul(scipy.sparse.csr_matrix(S), X), expected)
    assert_same(dg.matmul(S.tocsc(), X), expected)
    assert_same(dg.matmul(S.todia(), X), expected)
    assert_same(A @ X.tolist(), expected)
    assert_same(A @ X[:, 0].tolist(), expected[:, 0])
    assert_same(X.T.copy().tolist() @ A.T, expected.T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        assert_same(np.asmatrix(X.T) @ A.T, expected.T)
    assert_same(np.matmul(X.T.copy(), A.T), expected.T)
    assert_same(A.dot(X), expected)


def test_operators_give_way_to_what_they_do_not_know():
    A = sparse("rows-17")

    class Other:
        def __rmatmul__(self, other):
            return "mine"

    assert A @ Other() == "mine"
    with pytest.raises(TypeError, match="unsupported operand"):
        A @ object()
    with pytest.raises(TypeError, match="unsupported operand"):
        object() @ A


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (4, 5)])
@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_empty(shape, format, dtype):
    A = dg.CSR(shape, dtype=dtype).asformat(format)
    for n in (0, 1, 3):
        got = A @ np.ones((shape[1], n), dtype)
        assert got.shape == (shape[0], n)
        assert not got.any()
        got = np.ones((n, shape[0]), dtype) @ A
        assert got.shape == (n, shape[1])
        assert not got.any()
    assert (A @ np.ones(shape[1], dtype)).shape == (shape[0],)
    assert (np.ones(shape[0], dtype) @ A).shape == (shape[1],)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty_dense(shape):
    m, k, n = shape
    got = dg.matmul(np.ones((m, k)), np.ones((k, n)))
    assert got.shape == (m, n)
    assert not got.any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_two_vectors_give_a_scalar_of_any_dtype(dtype):
    for vector in (np.ones(5), np.ones(5, "int32")):
        assert dg.matmul(vector, vector, dtype=dtype).shape == ()
