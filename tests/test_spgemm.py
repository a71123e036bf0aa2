"""Sparse × sparse and the selection from it: every ISA, number of threads and dtype == the reference."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
THREADS = (1, 2, 3)


pytestmark = pytest.mark.usefixtures("three_threads")


def random_sparse(name, shape, dtype, density, index_dtype="i4"):
    """A CSR array with empty rows, one long row and values that every order of summation tells apart."""
    generator = np.random.default_rng([ord(name[0]), *shape])
    mask = generator.random(shape) < density
    if shape[0] > 5:
        mask[3] = generator.random(shape[1]) < 0.8
        mask[4] = False
    rows, columns = np.nonzero(mask)
    indptr = np.zeros(shape[0] + 1, index_dtype)
    np.cumsum(mask.sum(1), out=indptr[1:])
    return dg.CSR(
        (testing.random_values(name, len(rows), dtype), columns.astype(index_dtype), indptr), shape=shape
    )


def assert_parts(result, wanted, context=""):
    indptr, indices, data = wanted
    np.testing.assert_array_equal(result.indptr, indptr, err_msg=context)
    np.testing.assert_array_equal(result.indices, indices, err_msg=context)
    testing.assert_same(result.data, data, context)


SHAPES = [
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (7, 5, 3),
    (17, 33, 16),
    (40, 60, 64),
    (30, 50, 65),
    (64, 80, 300),
]


@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("isa", ISAS)
def test_small_products(isa, dtype, index_dtype):
    for m, k, n in SHAPES:
        for density in (0.03, 0.3):
            A = random_sparse("A", (m, k), dtype, density, index_dtype)
            B = random_sparse("B", (k, n), dtype, density, index_dtype)
            wanted = reference.matmul_sparse(A, B)
            for threads in THREADS:
                plan = dg.plan(A, B, kernel=f"csr_csr@{isa}", threads=threads)
                assert (plan.kernel, plan.isa) == ("csr_csr", isa)
                result = plan(B)
                assert_parts(result, wanted, f"{m} × {k} × {n}, {density}, {threads} threads")
                assert result.dtype == np.dtype(dtype)
                assert result.indices.dtype == np.dtype(index_dtype)
                assert result.has_canonical_format


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("isa", ISAS)
def test_small_selections(isa, dtype, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    for m, k, n in SHAPES:
        A, B = random_sparse("A", (m, k), dtype, 0.2), random_sparse("B", (k, n), dtype, 0.2)
        for most in (1, 3, 10, n + 5):
            for threshold in (None, 0.25, -np.inf):
                wanted = reference.matmul_topk(A, B, most, threshold)
                for threads in THREADS:
                    result = dg.matmul_topk(A, B, most, threshold, threads=threads)
                    assert_parts(result, wanted, f"{m} × {k} × {n}, {most=}, {threshold=}, {threads} threads")


def spread(array, factor):
    """The same entries with their columns far apart."""
    indices = array.indices.astype("i8") * factor
    return dg.CSR(
        (array.data, indices, array.indptr.astype("i8")), shape=(array.shape[0], array.shape[1] * factor)
    )


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("factor", [3000, 2**40])
def test_many_columns(isa, dtype, factor):
    """Rows that are short against the columns are hashed; the others only where columns are countless."""
    A, B = random_sparse("A", (60, 70), dtype, 0.2), random_sparse("B", (70, 300), dtype, 0.2)
    indptr, indices, data = reference.matmul_sparse(A, B)
    for threads in THREADS:
        plan = dg.plan(A, spread(B, factor), kernel=f"csr_csr@{isa}", threads=threads)
        assert_parts(plan(spread(B, factor)), (indptr, indices * factor, data), f"{threads} threads")


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("isa", ISAS)
def test_many_columns_of_which_a_row_has_neighbours(isa, dtype):
    """Short rows against 300,000 columns, which are summed where their columns lie together."""
    A, B = random_sparse("A", (60, 70), dtype, 0.05), random_sparse("B", (70, 300), dtype, 0.1)
    indices = B.indices + np.int32(250_000)
    indices[B.indptr[10] : B.indptr[11]] -= 200_000
    far = dg.CSR((B.data, indices, B.indptr), shape=(70, 300_000))
    pattern = reference.matmul_sparse(A, dg.CSR((B.data, indices - 50_000, B.indptr), shape=(70, 200_300)))
    for threads in THREADS:
        result = dg.matmul(A, far, kernel=isa, threads=threads)
        assert_parts(result, (pattern[0], pattern[1] + 50_000, pattern[2]), f"{threads} threads")


@pytest.mark.parametrize("isa", ISAS)
def test_selection_from_hashed_rows(isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    A, B = random_sparse("A", (60, 70), "f4", 0.2), random_sparse("B", (70, 300), "f4", 0.2)
    for most in (1, 7, 400):
        indptr, indices, data = reference.matmul_topk(A, B, most)
        assert_parts(dg.matmul_topk(A, spread(B, 2**40), most), (indptr, indices * 2**40, data))


@pytest.mark.parametrize("threads", THREADS)
def test_larger_product(threads):
    """Many tasks, lines with few and with many marks, rows without work between them."""
    generator = np.random.default_rng(5)
    S = scipy.sparse.random_array((3000, 2000), density=0.01, format="csr", rng=generator)
    T = scipy.sparse.random_array((2000, 9000), density=0.004, format="csr", rng=generator)
    A, B = dg.CSR(S), dg.CSR(T)
    result, pattern = (
        dg.matmul(A, B, threads=threads),
        S.astype(bool).astype(int) @ T.astype(bool).astype(int),
    )
    pattern.sort_indices()
    np.testing.assert_array_equal(result.indices, pattern.indices)
    np.testing.assert_array_equal(result.indptr, pattern.indptr)
    rows = [0, 1, 1499, 2999]
    for row in rows:
        begin, end = result.indptr[row : row + 2]
        wanted = reference.matmul(S[[row]], T)[0]
        testing.assert_same(result.data[begin:end], wanted[result.indices[begin:end]])
    best = dg.matmul_topk(A, B, 10, threads=threads)
    for row in rows:
        _, indices, data = reference.matmul_topk(S[[row]], T, 10)
        begin, end = best.indptr[row : row + 2]
        np.testing.assert_array_equal(best.indices[begin:end], indices)
        testing.assert_same(best.data[begin:end], data)


def test_formats_and_dtypes():
    A, B = random_sparse("A", (24, 36), "f4", 0.2), random_sparse("B", (36, 48), "f8", 0.2)
    wanted = reference.matmul_sparse(A, B)
    for left in (A, A.tocsc(), A.tocoo(), A.to_scipy(), A.T.T):
        for right in (B, B.tocsc(), B.tocoo(), B.to_scipy()):
            assert_parts(dg.matmul(left, right), wanted)
    assert_parts(dg.matmul(A.tocsc(), B.tocsc()), wanted)
    blocks = A.tobsr((4, 6))
    assert_parts(blocks @ B, reference.matmul_sparse(blocks, B))
    half = A.astype("f2") @ B.astype("f2")
    assert half.dtype == np.float16
    chain = reference.matmul_sparse(A.astype("f2").astype("f4"), B.astype("f2").astype("f4"))
    assert_parts(half, (*chain[:2], reference.rounded(chain[2], np.dtype("f2"))))
    mixed = dg.CSR((A.data, A.indices.astype("i8"), A.indptr.astype("i8")), shape=A.shape)
    assert_parts(mixed @ B, wanted)
    assert dg.matmul(A, A.T, dtype="f8").dtype == np.float64


def test_unsorted_and_duplicate_entries():
    data = testing.random_values("data", 6, "f8")
    A = dg.CSR((data, [2, 0, 2, 1, 1, 0], [0, 3, 6]), shape=(2, 3))
    assert_parts(A @ A.T, reference.matmul_sparse(A, A.canonical().T))


def test_plan_keeps_either_side_and_takes_other_values():
    A, B = random_sparse("A", (24, 36), "f4", 0.2), random_sparse("B", (36, 48), "f4", 0.2)
    other = random_sparse("other", (36, 48), "f4", 0.1)
    assert_parts(dg.plan(A, B)(other), reference.matmul_sparse(A, other))
    assert_parts(dg.plan(other.T, A.T, fixed="right")(B.T), reference.matmul_sparse(B.T, A.T))
    assert "csr_csr" in str(dg.plan(A, B).explain())


def test_cancelled_zeros_inf_and_nan():
    A = dg.CSR([[1.0, -1.0, 0.0], [np.inf, 1.0, 0.0], [0.0, 0.0, np.nan]])
    B = dg.CSR(([1.0, 1.0, 5.0, 2.0], [0, 0, 1, 0], [0, 1, 3, 4]), shape=(3, 2))
    product = A @ B
    assert_parts(product, reference.matmul_sparse(A, B))
    assert product.data[0] == 0.0
    assert product.nnz == 5


def test_indices_are_widened_where_entries_need_it():
    A = random_sparse("A", (24, 36), "f4", 0.3)
    parts = (A.indptr, A.indices, A.data)
    B = A.T.tocsr()
    other = (B.indptr, B.indices, B.data)
    narrow = _core.csr_csr(None, parts, other, 24)
    for limit, dtype in ((narrow[1].size, np.int32), (narrow[1].size - 1, np.int64)):
        result = _core.csr_csr(None, parts, other, 24, most_int32=limit)
        assert result[0].dtype == result[1].dtype == dtype
        for got, wanted in zip(result, narrow, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_long_and_empty_rows():
    n = 1_000_000
    values = testing.random_values("row", n, "f4")
    row = dg.CSR((values, np.arange(n), [0, n]), shape=(1, n))
    # The product with a dense vector is compared with the reference elsewhere; that takes a million steps.
    testing.assert_same((row @ row.T).data, row @ values)
    outer = row.T @ dg.CSR([[2.0, 0.0, 3.0]], dtype="f4")
    assert outer.nnz == 2 * n
    testing.assert_same(outer.data[::2], values * np.float32(2))
    best = dg.matmul_topk(dg.CSR([[2.0]], dtype="f4"), row, 3)
    np.testing.assert_array_equal(best.indices, np.argsort(-values, kind="stable")[:3])
    # Empty rows in the millions, and all entries in one row.
    indptr = np.zeros(3_000_001, "i4")
    indptr[1_500_000:] = 1
    tall = dg.CSR((np.ones(1, "f4"), [7], indptr), shape=(3_000_000, n))
    result = tall @ row.T
    assert result.shape == (3_000_000, 1)
    testing.assert_same(result.data, values[7:8])
    assert (dg.CSR((3_000_000, n), dtype="f4") @ row.T).nnz == 0


def heavy(dtype, index_dtype="i4"):
    """A product most of whose work is in two rows, each heavy enough to be cut by columns."""
    generator = np.random.default_rng(11)
    lengths = np.full(60, 2)
    lengths[[7, 40]] = 400
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(index_dtype)
    indices = np.concatenate([np.sort(generator.choice(500, n, replace=False)) for n in lengths])
    A = dg.CSR(
        (testing.random_values("A", indptr[-1], dtype), indices.astype(index_dtype), indptr), shape=(60, 500)
    )
    B = scipy.sparse.random_array((500, 900), density=0.2, format="csr", rng=generator)
    return A, dg.CSR(
        (
            testing.random_values("B", B.nnz, dtype),
            B.indices.astype(index_dtype),
            B.indptr.astype(index_dtype),
        ),
        shape=B.shape,
    )


@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "F"])
@pytest.mark.parametrize("isa", ISAS)
def test_heavy_rows_are_cut_by_columns(isa, dtype, index_dtype, monkeypatch):
    A, B = heavy(dtype, index_dtype)
    wanted = reference.matmul_sparse(A, B)
    for threads in (*THREADS, 16):
        with dg.threads(threads):
            assert_parts(dg.matmul(A, B, kernel=f"csr_csr@{isa}"), wanted, f"{threads} threads")
            # The same where the row is hashed, and where the result's size is found first.
            far = spread(B, 2**40)
            assert_parts(dg.matmul(A, far, kernel=isa), (wanted[0], wanted[1] * 2**40, wanted[2]))
            parts = [(S.indptr, S.indices, S.data) for S in (A, B)]
            indptr, indices, data = _core.csr_csr(isa, *parts, 900, 0, most_int32=10)
            assert indices.dtype == np.int64
            np.testing.assert_array_equal(indices, wanted[1])
            np.testing.assert_array_equal(indptr, wanted[0])
            testing.assert_same(data, wanted[2])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
def test_selections_of_heavy_rows_are_merged(dtype, index_dtype):
    A, B = heavy(dtype, index_dtype)
    with np.errstate(all="ignore"):
        ties = B.with_data(np.where(np.arange(B.nnz) % 3, 1, np.nan).astype(dtype))
    whole = A.with_data(np.ones(A.nnz, dtype))
    for left, right in ((A, B), (whole, ties), (whole, B.with_data(np.zeros(B.nnz, dtype)))):
        for most in (1, 10, 40, 1000):
            wanted = reference.matmul_topk(left, right, most)
            for threads in (*THREADS, 16):
                with dg.threads(threads):
                    assert_parts(dg.matmul_topk(left, right, most), wanted, f"{most}, {threads} threads")


def test_one_row_of_a_million_entries_times_many():
    """All work is in one row: its parts are ranges of columns, and chains stay whole."""
    n = 20_000
    generator = np.random.default_rng(3)
    values = testing.random_values("row", n, "f4")
    row = dg.CSR((values, np.arange(n), [0, n]), shape=(1, n))
    B = scipy.sparse.random_array((n, 500), density=0.1, format="csr", rng=generator, dtype=np.float32)
    one = dg.matmul(row, B, threads=1)
    for threads in (2, 3):
        assert_parts(dg.matmul(row, B, threads=threads), (one.indptr, one.indices, one.data))
    best = dg.matmul_topk(row, B, 5, threads=3)
    assert best.indices.tolist() == np.argsort(-one.data, kind="stable")[:5].tolist()


def test_ranking():
    B = dg.CSR([[np.nan, 2.0, 0.5, 2.0, -np.inf, 3.0, 0.0]])
    A = dg.CSR([[1.0], [0.0]])
    assert dg.matmul_topk(A, B, 3).indices.tolist() == [5, 1, 3]
    assert dg.matmul_topk(A, B, 2).indices.tolist() == [5, 1]
    everything = dg.matmul_topk(A, B, 10**30)
    assert everything.indices.tolist() == [5, 1, 3, 2, 4, 0]
    assert everything.indptr.tolist() == [0, 6, 6]
    assert not everything.has_sorted_indices
    assert everything.canonical().indices.tolist() == [0, 1, 2, 3, 4, 5]
    assert dg.matmul_topk(A, B, 10, threshold=0.5).indices.tolist() == [5, 1, 3]
    assert dg.matmul_topk(A, B, 10, threshold=-np.inf).indices.tolist() == [5, 1, 3, 2]
    assert dg.matmul_topk(A, B, 10, threshold=np.inf).nnz == 0
    zeros = dg.CSR([[1.0, -1.0]]) @ dg.CSR([[1.0], [1.0]])
    assert dg.matmul_topk(zeros, dg.CSR([[1.0]]), 1).nnz == zeros.nnz == 1


def test_a_threshold_that_the_dtype_lacks():
    """0.1 lies between two float32: the entry that is greater than it is kept, the other is not."""
    above = np.float32(0.1)
    assert float(above) > 0.1
    B = dg.CSR(np.array([[above, np.nextafter(above, np.float32(0))]]))
    assert dg.matmul_topk(dg.CSR(np.ones((1, 1), "f4")), B, 5, threshold=0.1).indices.tolist() == [0]
    assert dg.matmul_topk(dg.CSR(np.ones((1, 1), "f4")), B, 5, threshold=1e300).nnz == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, "matmul_topk: k is 0, expected at least 1"),
        ({"k": 2.5}, ValueError, "matmul_topk: k is 2.5, expected a whole number of at least 1"),
        ({"k": 1, "threshold": float("nan")}, ValueError, "matmul_topk: threshold is nan, expected a number"),
        ({"k": 1, "threshold": "x"}, ValueError, "matmul_topk: threshold is 'x', expected a number"),
        ({"k": 1, "threads": 0}, ValueError, "matmul_topk: threads is 0, expected at least 1"),
    ],
)
def test_bad_arguments(arguments, error, message):
    A = random_sparse("A", (24, 36), "f4", 0.2)
    with pytest.raises(error, match=f"^{message}$"):
        dg.matmul_topk(A, A.T, **arguments)


def test_bad_operands():
    A = random_sparse("A", (24, 36), "f4", 0.2)
    with pytest.raises(dg.ShapeError, match=r"^matmul_topk: A has 36 columns but B has 24 rows$"):
        dg.matmul_topk(A, A, 3)
    with pytest.raises(dg.UnsupportedError, match=r"^matmul_topk: B is dense, expected a sparse array"):
        dg.matmul_topk(A, np.ones((36, 2)), 3)
    for dtype in ("i4", "F"):
        with pytest.raises(dg.UnsupportedError, match=r"is accumulated in .*, expected float32 or float64"):
            dg.matmul_topk(A.astype(dtype), A.T.astype(dtype), 3)
    data = np.ones(3, "f4")
    stale = dg.CSR((data, [0, 1, 2], [0, 3]), shape=(1, 36))
    data[:] = 2
    with pytest.raises(dg.StaleDataError):
        dg.matmul_topk(stale, A.T, 3)


def test_integers_stay_with_scipy():
    A = random_sparse("A", (24, 36), "f4", 0.2).astype("i4")
    assert dg.plan(A, A.T).kernel == "scipy"


# --- what is predicted ---


@pytest.mark.parametrize(
    ("m", "k", "n", "density"), [(300, 200, 400, 0.02), (2000, 2000, 2000, 0.01), (40, 60, 30, 0.5)]
)
def test_estimate(m, k, n, density):
    A = random_sparse("A", (m, k), "f4", density)
    B = random_sparse("B", (k, n), "f4", density)
    found, product = dg.estimate(A, B.tocsc()), A @ B
    least, most = found.nnz_range
    assert least <= product.nnz <= most
    assert found.nnz == pytest.approx(product.nnz, rel=0.2)
    assert found.nbytes_range[0] <= product.nbytes <= found.nbytes_range[1]
    assert found.multiplies == np.diff(B.indptr)[A.indices].sum()
    assert 0 < found.seconds_range[0] <= found.seconds <= found.seconds_range[1]
    assert "multiply-adds" in repr(found)


def test_estimate_of_nothing_and_of_what_is_too_large():
    empty = dg.CSR((5, 6), dtype="f4")
    assert dg.estimate(empty, empty.T).nnz_range == (0, 0)
    n = 300_000  # a product of 720 GB, estimated without making it
    column = dg.CSR((np.ones(n, "f4"), np.zeros(n, "i4"), np.arange(n + 1)), shape=(n, 1))
    found = dg.estimate(column, column.T)
    assert found.nnz == found.multiplies == n * n
    assert found.nbytes == n * n * 12 + (n + 1) * 8
    with pytest.raises(dg.UnsupportedError, match=r"^estimate: B is dense, expected a sparse array"):
        dg.estimate(column, np.ones((1, 2)))
    with pytest.raises(dg.ShapeError, match=r"^estimate: A has 1 columns but B has 300000 rows$"):
        dg.estimate(column, column)
