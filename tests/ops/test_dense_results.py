"""Dense results of two sparse operands: every kernel and route == the reference, `out=`, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import _core, reference, testing
from deepgemm.ops import _dense_result

ISAS = _core.cpu_info()["usable"]


pytestmark = pytest.mark.usefixtures("three_threads")


def sparse(name, shape, dtype, density=0.2, index="i4"):
    S = scipy.sparse.random_array(shape, density=density, format="csr", rng=np.random.default_rng(shape))
    data = testing.random_values(name, S.nnz, dtype)
    return dg.CSR((data, S.indices.astype(index), S.indptr.astype(index)), shape=shape)


SHAPES = [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (7, 5, 3), (17, 33, 16), (30, 50, 65), (2, 80, 300)]


@pytest.mark.parametrize("index", ["i4", "i8"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("isa", ISAS)
def test_every_kernel_is_exact(isa, dtype, index):
    for m, k, n in SHAPES:
        A, B = sparse("A", (m, k), dtype, index=index), sparse("B", (k, n), dtype, index=index)
        wanted = reference.matmul(A, B)
        for threads in (1, 2, 3):
            found = dg.matmul(A, B, dense=True, kernel=f"csr_csr_dense@{isa}", threads=threads)
            assert found.dtype == wanted.dtype
            testing.assert_same(found, wanted, f"{m} × {k} × {n}, {threads} threads")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_few_heavy_rows_are_cut_by_columns(threads):
    A, B = sparse("A", (2, 400), "f4", 0.9), sparse("B", (400, 900), "f4", 0.5)
    testing.assert_same(
        dg.matmul(A, B, dense=True, kernel="csr_csr_dense", threads=threads), reference.matmul(A, B)
    )


@pytest.mark.parametrize("density", [(0.01, 0.01), (0.02, 0.6), (0.6, 0.02), (0.7, 0.7)])
def test_routes_agree(density):
    A, B = sparse("A", (60, 70), "f4", density[0]), sparse("B", (70, 90), "f4", density[1])
    wanted = reference.matmul(A, B)
    testing.assert_same(dg.matmul(A, B, dense=True), wanted)
    for kernel in ("csr_csr_dense", "csr_rowwise", "csr_scatter"):
        testing.assert_same(dg.matmul(A, B, dense=True, kernel=kernel), wanted, kernel)
    testing.assert_same(dg.matmul(A, B, dense=True), (A @ B).toarray())


def test_a_large_dense_operand_is_multiplied_as_one(monkeypatch):
    """A right operand with most places filled pays for vectors, if entries of the other are finite."""
    seen = []
    build = _dense_result.build
    monkeypatch.setattr(
        _dense_result, "build", lambda decision, *rest: seen.append(decision) or build(decision, *rest)
    )
    A, B = sparse("A", (600, 400), "f4", 0.2), sparse("B", (400, 500), "f4", 0.9)
    product = dg.matmul(A, B, dense=True)
    assert len(seen) == 1
    assert seen[0].problem.left.sparse
    assert not seen[0].problem.right.sparse
    testing.assert_same(product[:3], reference.matmul(A.toarray()[:3], B.toarray()))
    data = A.data.copy()
    data[5] = np.inf
    dg.matmul(A.with_data(data), B, dense=True)
    # Zeros of the right operand may not meet that inf; those of the left one meet finite entries only.
    assert all(decision.problem.right.sparse for decision in seen[1:])


def test_entries_that_are_not_finite_meet_entries_only():
    A = dg.CSR([[1.0, -1.0, 0.0], [np.inf, 1.0, 0.0], [0.0, 0.0, np.nan]])
    B = dg.CSR(([1.0, 1.0, 5.0, 2.0], [0, 0, 1, 0], [0, 1, 3, 4]), shape=(3, 2))
    testing.assert_same(dg.matmul(A, B, dense=True), reference.matmul(A, B))
    testing.assert_same(dg.matmul(B.T, A.T, dense=True), reference.matmul(B.T, A.T))
    with pytest.raises(dg.UnsupportedError, match=r"asks for csr_rowwise, .* filled zeros must not meet"):
        dg.matmul(A, A, dense=True, kernel="csr_rowwise")


def test_out_of_any_strides():
    A, B = sparse("A", (20, 30), "f4"), sparse("B", (30, 24), "f4")
    wanted = reference.matmul(A, B)
    for name, layout in testing.LAYOUTS.items():
        out = layout(np.full((20, 24), 7, "f4"))
        if not out.flags.writeable:
            continue
        assert dg.matmul(A, B, out=out, kernel="csr_csr_dense") is out
        testing.assert_same(out, wanted, name)
        out[:] = 7
        assert dg.matmul(A, B, out=out) is out
        testing.assert_same(out, wanted, name)
    wide = np.empty((20, 24))
    testing.assert_same(dg.matmul(A, B, out=wide, dtype="f8"), reference.matmul(A, B, dtype="f8"))


@pytest.mark.parametrize("dtype", ["f2", dg.bfloat16, "i1", "i8", "?"])
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_formats_and_dtypes(format, dtype):
    A, B = sparse("A", (20, 30), dtype).asformat(format), sparse("B", (30, 24), dtype).asformat(format)
    found = dg.matmul(A, B, dense=True)
    assert found.dtype == (A @ B).dtype
    testing.assert_same(found, (A @ B).toarray())


def test_duplicates_and_unsorted_entries():
    data = testing.random_values("data", 6, "f8")
    A = dg.CSR((data, [2, 0, 2, 1, 1, 0], [0, 3, 6]), shape=(2, 3))
    testing.assert_same(dg.matmul(A, A.T, dense=True), reference.matmul(A, A.T))


def test_dense_is_no_question_with_a_dense_operand():
    A = sparse("A", (20, 30), "f4")
    X = np.ones((30, 2), "f4")
    testing.assert_same(dg.matmul(A, X, dense=True), A @ X)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((3, 3), "f4"), dg.ShapeError, r"matmul: out has shape \(3, 3\), expected \(20, 20\)"),
        (np.zeros((20, 20)), dg.DTypeError, "matmul: out has dtype float64, expected float32"),
        ([[1.0]], dg.DTypeError, "matmul: out is a list, expected a NumPy array"),
        (np.broadcast_to(np.float32(0), (20, 20)), dg.FormatError, "matmul: out is read-only"),
    ],
)
def test_refused_out(out, error, message):
    A = sparse("A", (20, 30), "f4")
    with pytest.raises(error, match=f"^{message}$"):
        dg.matmul(A, A.T, out=out)


def test_out_may_not_share_memory_with_an_operand():
    values = np.ones(16, "f4")
    A = dg.CSR((values, np.tile(np.arange(4), 4), np.arange(0, 17, 4)), shape=(4, 4))
    with pytest.raises(dg.FormatError, match=r"^matmul: out shares memory with an operand$"):
        dg.matmul(A, A, out=values.reshape(4, 4))


def test_a_dense_result_that_does_not_fit():
    A = dg.CSR((2**22, 5), dtype="f4")
    with pytest.raises(
        dg.MemoryBudgetError, match=r"^matmul: a dense result of 4,194,304 × 4,194,304 takes 64 T"
    ):
        dg.matmul(A, A.T, dense=True)
    with pytest.raises(dg.MemoryBudgetError, match=r"but memory_budget is 100 B$") as caught:
        dg.matmul(sparse("A", (20, 30), "f4"), sparse("B", (30, 20), "f4"), dense=True, memory_budget=100)
    assert (caught.value.nnz, caught.value.nbytes, caught.value.budget) == (400, 1600, 100)
