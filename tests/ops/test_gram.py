"""`gram` and `sandwich`: exact on every ISA and number of threads, symmetric, and refusals by message."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]


pytestmark = pytest.mark.usefixtures("three_threads")


@pytest.fixture(params=["gram_pairs", "gram_matmul"])
def way(request):
    """Both ways of doing a sparse operand of floats, whichever would pay."""
    return request.param


def same(found, wanted):
    assert found.dtype == wanted.dtype
    assert found.flags.c_contiguous
    testing.assert_same(found, wanted)


def weights_for(name, rows, dtype):
    return testing.random_values(f"w{name}", rows, dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
def test_every_kernel_is_exact(dtype, isa, way):
    for case in testing.sparse_cases(dtype):
        if "large" in case.tags and isa != ISAS[0]:
            continue
        parts = case.make()
        if parts.shape[1] > 600:
            continue
        w = weights_for(case.name, parts.shape[0], dtype)
        wanted, weighted = reference.gram(parts), reference.sandwich(parts, w)
        for index in ("i4", "i8"):
            A = dg.CSR(
                (parts.data, parts.indices.astype(index), parts.indptr.astype(index)), shape=parts.shape
            )
            for threads in (1, 2, 3):
                same(dg.gram(A, kernel=f"{way}@{isa}", threads=threads), wanted)
                same(dg.sandwich(A, w, kernel=f"{way}@{isa}", threads=threads), weighted)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
def test_popular_columns_are_cut_between_threads(dtype, isa):
    rng = np.random.default_rng(0)
    popularity = 0.9 / np.arange(1, 151) ** 0.7
    S = scipy.sparse.csr_array(rng.random((1500, 150)) < popularity, dtype=dtype)
    S.data = testing.random_values("popular", S.nnz, dtype)
    w = weights_for("popular", 1500, dtype)
    for threads in (1, 2, 3):
        same(dg.sandwich(S, w, kernel=f"gram_pairs@{isa}", threads=threads), reference.sandwich(S, w))
    with dg.threads(40):
        same(dg.sandwich(S, w, kernel=f"gram_pairs@{isa}"), reference.sandwich(S, w))


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D", "f2", dg.bfloat16, "i1", "i8", "?"])
def test_formats_and_dtypes(format, dtype):
    S = scipy.sparse.random_array((30, 12), density=0.2, format="csr", rng=np.random.default_rng(1))
    A = dg.CSR((testing.random_values("A", S.nnz, dtype), S.indices, S.indptr), shape=S.shape)
    A = A.asformat(format)
    same(dg.gram(A), reference.gram(A))
    same(dg.gram(A.toarray()), reference.gram(A.toarray()))
    w = weights_for("f", 30, dtype)
    same(dg.sandwich(A, w), reference.sandwich(A, w))
    same(dg.sandwich(A.toarray(), w), reference.sandwich(A.toarray(), w))
    upper = dg.sandwich(A, w, upper=True)
    assert np.array_equal(upper, np.triu(dg.sandwich(A, w)))
    assert np.array_equal(dg.gram(A.toarray(), upper=True), np.triu(dg.gram(A)))


def sparse_same(found, dense, parts, upper=False):
    """The dense result at the places where columns meet, whatever stands there."""
    assert isinstance(found, dg.CSR)
    assert found.has_canonical_format
    rows = dg.CSR(parts) if scipy.sparse.issparse(parts) else parts
    met = rows.with_data(np.ones(rows.data.shape, "i8")).tocsr()
    pattern = (met.T @ met).toarray() != 0
    pattern = np.triu(pattern) if upper else pattern
    stored = found.with_data(np.ones(found.nnz)).toarray() != 0
    assert np.array_equal(stored, pattern)
    same(found.toarray(), np.where(pattern, dense, np.zeros((), dense.dtype)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
def test_every_sparse_kernel_is_exact(dtype, isa):
    for case in testing.sparse_cases(dtype):
        parts = case.make()
        if parts.shape[1] > 600 or "large" in case.tags:
            continue
        w = weights_for(case.name, parts.shape[0], dtype)
        wanted, weighted = reference.gram(parts), reference.sandwich(parts, w)
        for index in ("i4", "i8"):
            A = dg.CSR(
                (parts.data, parts.indices.astype(index), parts.indptr.astype(index)), shape=parts.shape
            )
            for threads in (1, 2, 3):
                sparse_same(dg.gram(A, sparse=True, kernel=isa, threads=threads), wanted, A)
                sparse_same(dg.sandwich(A, w, sparse=True, kernel=isa, threads=threads), weighted, A)
            upper = dg.gram(A, sparse=True, upper=True, kernel=isa)
            sparse_same(upper, np.triu(wanted), A, upper=True)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("dtype", ["f2", "i1", "i8", "F"])
def test_sparse_results_of_formats_and_dtypes(format, dtype):
    S = scipy.sparse.random_array((30, 12), density=0.1, format="csr", rng=np.random.default_rng(6))
    A = dg.CSR((testing.random_values("A", S.nnz, dtype), S.indices, S.indptr), shape=S.shape)
    A = A.asformat(format)
    w = weights_for("f", 30, dtype)
    sparse_same(dg.gram(A, sparse=True), reference.gram(A), A)
    sparse_same(dg.sandwich(A, w, sparse=True), reference.sandwich(A, w), A)
    upper = dg.sandwich(A, w, sparse=True, upper=True)
    sparse_same(upper, np.triu(reference.sandwich(A, w)), A, upper=True)


def test_sparse_results_of_many_columns():
    rng = np.random.default_rng(7)
    S = scipy.sparse.random_array((3000, 100_000), density=5e-5, format="csr", rng=rng)
    one = dg.gram(S, sparse=True, threads=1)
    assert dg.gram(S, sparse=True, threads=3).equals(one)
    peer = (S.T @ S).tocsr()
    peer.sort_indices()
    assert np.array_equal(one.indptr, peer.indptr)
    assert np.array_equal(one.indices, peer.indices)
    assert np.allclose(one.data, peer.data)
    empty = dg.gram(dg.CSR((3, 10**6)), sparse=True)
    assert empty.shape == (10**6, 10**6)
    assert empty.nnz == 0


def test_mixed_dtypes_and_outputs(way):
    S = scipy.sparse.random_array((30, 12), density=0.2, format="csr", rng=np.random.default_rng(2))
    A = S.astype("f4")
    w = np.linspace(-1, 1, 30)
    same(dg.sandwich(A, w, kernel=way), reference.sandwich(A, w))
    same(dg.sandwich(A, w, dtype="f4", kernel=way), reference.sandwich(A, w, dtype="f4"))
    same(dg.sandwich(A, list(range(30)), kernel=way), reference.sandwich(A, np.arange(30)))
    same(dg.gram(A, dtype="f8", kernel=way), reference.gram(A, dtype="f8"))
    same(dg.gram(S.astype("i2")), reference.gram(S.astype("i2")))


def test_gram_is_the_product_and_symmetric(way):
    A = dg.CSR(scipy.sparse.random_array((60, 20), density=0.2, format="csr", rng=np.random.default_rng(3)))
    G = dg.gram(A, kernel=way)
    assert np.array_equal(G, G.T)
    assert np.array_equal(G, dg.matmul(A.T, A.toarray()))
    S = dg.sandwich(A, np.linspace(-3, 2, 60), kernel=way)
    assert np.array_equal(S, S.T)


@pytest.mark.parametrize(
    ("data", "weights"), [("F", "F"), ("F", "f4"), ("f4", "F"), ("F", "f8"), ("D", "i4")]
)
def test_complex_data_and_weights(data, weights, way):
    A = dg.CSR(
        (testing.random_values("A", 130, data), np.tile(np.arange(0, 26, 2), 10), np.arange(0, 131, 13))
    )
    w = weights_for("complex", 10, weights)
    wanted = reference.sandwich(A, w)
    same(dg.sandwich(A, w, kernel=way), wanted)
    same(dg.sandwich(A.toarray(), w), wanted)
    same(dg.sandwich(A, w, sparse=True).toarray(), wanted)
    assert np.array_equal(wanted, wanted.T)
    terms = w[:, None].astype("D") * A.toarray().astype("D")
    np.testing.assert_allclose(wanted, terms.T @ A.toarray(), rtol=1e-4, atol=1e-3)


def test_complex_is_not_conjugated_and_its_upper_half_is_the_product(way):
    A = dg.CSR(testing.random_values("A", (60, 20), "D", zeros=0.7))
    G = dg.gram(A, kernel=way)
    assert np.array_equal(G, G.T)
    assert np.array_equal(np.triu(G), np.triu(dg.matmul(A.T, A.toarray())))
    np.testing.assert_allclose(G, A.toarray().T @ A.toarray(), rtol=1e-12)
    assert dg.gram([[1j]]).tolist() == [[-1]]


def test_not_finite_complex(way):
    S = scipy.sparse.random_array((40, 13), density=0.3, format="csr", rng=np.random.default_rng(4)).astype(
        "F"
    )
    S.data[::17] = complex(np.inf, 1)
    S.data[5] = complex(0, np.nan)
    same(dg.gram(S, kernel=way), reference.gram(S))
    w = np.linspace(-1, 1, 40, dtype="f4")
    same(dg.sandwich(S, w, kernel=way), reference.sandwich(S, w))
    w[3] = np.inf
    same(dg.sandwich(S, w, kernel=way), reference.sandwich(S, w))


def test_not_finite(way):
    S = scipy.sparse.random_array((40, 13), density=0.3, format="csr", rng=np.random.default_rng(4))
    w = np.linspace(-1, 1, 40)
    w[[3, 7, 9]] = np.nan, np.inf, 1e308
    same(dg.sandwich(S, w, kernel=way), reference.sandwich(S, w))
    S.data[::17] = np.inf
    S.data[5] = np.nan
    same(dg.gram(S, kernel=way), reference.gram(S))
    same(dg.sandwich(S, w, kernel=way), reference.sandwich(S, w))


def test_duplicates_unsorted_and_stored_zeros(way):
    A = dg.CSR((np.array([1.0, 2.0, 4.0, 0.0, 3.0]), [2, 0, 2, 1, 1], [0, 3, 5]), shape=(2, 3))
    same(dg.gram(A, kernel=way), reference.gram(A))
    assert dg.gram(A, kernel=way).tolist() == [[4.0, 0.0, 10.0], [0.0, 9.0, 0.0], [10.0, 0.0, 25.0]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (3, 4)])
def test_empty(shape):
    for A in (dg.CSR(shape), np.zeros(shape)):
        same(dg.gram(A), np.zeros((shape[1], shape[1])))
        same(dg.sandwich(A, np.ones(shape[0])), np.zeros((shape[1], shape[1])))


def test_a_row_of_many_entries_and_many_empty_rows():
    A = dg.CSR((np.ones(3000, "f4"), np.arange(3000), [0, 0, 3000]), shape=(2, 3000))
    assert (dg.gram(A) == 1).all()
    tall = scipy.sparse.coo_array((np.ones(4), ([0, 10**6, 10**6, 2 * 10**6], [0, 0, 1, 1])))
    assert dg.gram(tall).tolist() == [[2.0, 1.0], [1.0, 2.0]]
    narrow = dg.CSR((np.ones(10**6), np.zeros(10**6, "i4"), np.arange(10**6 + 1)))
    assert dg.gram(narrow).tolist() == [[1e6]]


def test_the_layout_is_kept_and_shared_by_other_values(way):
    A = dg.CSC(scipy.sparse.random_array((50, 20), density=0.1, rng=np.random.default_rng(5)))
    same(dg.gram(A, kernel=way), reference.gram(A))
    if way == "gram_pairs":
        assert "structure:columns" in A._layouts.names()
        kept = A._layouts.get("structure:columns")
        assert kept.nbytes > 0
        B = A.with_data(A.data[::-1].copy())
        same(dg.gram(B, kernel=way), reference.gram(B))
        assert B._layouts.get("structure:columns") is kept


@pytest.mark.parametrize(
    ("w", "error", "message"),
    [
        (np.ones(5), dg.ShapeError, "sandwich: w has 5 weights but A has 4 rows"),
        (np.ones((4, 4)), dg.ShapeError, "sandwich: w has 2 dimensions, expected a vector of 4 weights"),
        (2.0, dg.ShapeError, "sandwich: w is a scalar"),
        (dg.CSR(np.eye(4)), dg.FormatError, "sandwich: w is a CSR, expected a vector of 4 weights"),
        (["a"] * 4, dg.DTypeError, "sandwich: w has dtype"),
    ],
)
def test_refused_weights(w, error, message):
    with pytest.raises(error, match=message):
        dg.sandwich(dg.CSR(np.eye(4)), w)


@pytest.mark.parametrize(
    ("A", "options", "error", "message"),
    [
        (np.ones(4), {}, dg.ShapeError, "gram: A has 1 dimension, expected 2"),
        (
            dg.CSR(np.eye(4, dtype="F")),
            {"dtype": "f4"},
            dg.DTypeError,
            "gram: dtype is float32, but the product is complex64",
        ),
        (
            dg.CSR(np.eye(4)),
            {"dtype": "i4"},
            dg.DTypeError,
            "gram: dtype is int32, but the product is float64",
        ),
        (dg.CSR(np.eye(4)), {"threads": -1}, ValueError, "gram: threads is -1, expected at least 1"),
        (
            dg.CSR(np.eye(4)),
            {"kernel": "scipy"},
            dg.UnsupportedError,
            "gram: kernel asks for scipy, which cannot do csc .* no such",
        ),
        (
            dg.CSR((1, 2**40)),
            {},
            MemoryError,
            "gram: a result of .* elements of float64 exceeds every memory",
        ),
        (
            np.eye(4),
            {"sparse": True},
            dg.FormatError,
            "gram: sparse=True takes a sparse A, this one is dense",
        ),
        ([[1.0], [1.0, 2.0]], {}, dg.ShapeError, "gram: A is no array"),
    ],
)
def test_refusals(A, options, error, message):
    with pytest.raises(error, match=message):
        dg.gram(A, **options)


def test_changed_memory_is_seen():
    values = np.ones(4)
    A = dg.CSR((values, np.arange(4), np.arange(5)))
    dg.gram(A)
    values[:] = 2
    with pytest.raises(dg.StaleDataError):
        dg.gram(A)


def test_a_sparse_result_that_does_not_fit_is_refused(monkeypatch):
    n = 200_000  # every place of a result of 40e9
    A = dg.CSR((np.ones(n, "f4"), np.arange(n), [0, n]), shape=(1, n))
    monkeypatch.setattr("deepgemm.ops._budget.available_memory", lambda: 1 << 28)
    for run in (
        lambda: dg.gram(A, sparse=True),
        lambda: dg.gram(A, sparse=True, upper=True),
        lambda: dg.sandwich(A, [2.0], sparse=True),
    ):
        with pytest.raises(dg.MemoryBudgetError, match=r"40,000,000,000 entries, .* are available"):
            run()


def test_the_kernel_is_logged(monkeypatch, caplog):
    monkeypatch.setenv("DEEPGEMM_VERBOSE", "1")
    A = dg.CSR(np.eye(4))
    with caplog.at_level("INFO", logger="deepgemm"):
        dg.gram(A, kernel="scalar")
        dg.sddmm(A, np.ones((4, 2)), np.ones((2, 4)))
    assert "plan for gram" in caplog.text
    assert "gram_pairs@scalar" in caplog.text
    assert "plan for sddmm" in caplog.text
    assert "sddmm_dots@" in caplog.text


@pytest.mark.parametrize("kernel", ["gram_matmul", "gram_matmul@scalar", "gram_pairs"])
def test_the_variable_names_kernels_of_this_operation(monkeypatch, kernel):
    A = dg.CSR(np.arange(12.0).reshape(4, 3))
    expected = dg.gram(A)
    monkeypatch.setenv("DEEPGEMM_KERNEL", kernel)
    assert np.array_equal(dg.gram(A), expected)
