"""`plan`: what is kept, what may vary, what is refused, and what layouts cost once."""

from __future__ import annotations

import gc
import sys
import weakref

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import reference
from deepgemm.testing import assert_same, random_values


@pytest.fixture
def A():
    S = scipy.sparse.random_array((60, 50), density=0.2, format="csr", rng=np.random.default_rng(0))
    return dg.CSR(S)


def test_other_operands_of_the_same_kind(A):
    plan = dg.plan(A, np.ones((50, 4)))
    for order in ("C", "F"):
        X = np.array(random_values("X", (50, 4), "float64"), order=order)
        assert_same(plan(X), reference.matmul(A, X))
    out = np.empty((60, 4))
    assert plan(X, out=out) is out
    assert_same(plan(X.tolist()), reference.matmul(A, X))


@pytest.mark.parametrize(
    ("other", "error", "message"),
    [
        (np.ones((50, 5)), dg.ShapeError, r"this plan expects X of shape \(50, 4\), got \(50, 5\)"),
        (np.ones(50), dg.ShapeError, r"this plan expects X of shape \(50, 4\), got \(50,\)"),
        (np.ones((50, 4), "f4"), dg.DTypeError, "this plan expects X of dtype float64, got float32"),
    ],
)
def test_other_operands_of_another_kind(A, other, error, message):
    plan = dg.plan(A, np.ones((50, 4)))
    with pytest.raises(error, match=message):
        plan(other)


def test_calling_it_wrongly(A):
    plan = dg.plan(A, np.ones(50))
    with pytest.raises(TypeError, match="a plan takes one operand, out=, C= and beta="):
        plan()
    with pytest.raises(TypeError, match="a plan takes one operand, out=, C= and beta="):
        plan(np.ones(50), np.ones(60))
    with pytest.raises(TypeError, match="got the keyword 'output'"):
        plan(np.ones(50), output=None)


def test_a_masked_operand_is_refused(A):
    p = dg.plan(A, np.ones(A.shape[1]))
    with pytest.raises(dg.DTypeError, match="matmul: X is a masked array; fill it first"):
        p(np.ma.masked_array(np.ones(A.shape[1]), np.arange(A.shape[1]) == 0))


def test_names_in_messages_follow_the_side(A):
    plan = dg.plan(np.ones((3, 60)), A)
    with pytest.raises(dg.ShapeError, match=r"this plan expects A of shape \(3, 60\), got \(4, 60\)"):
        plan(np.ones((4, 60)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fixed": "both"}, ValueError, "plan: fixed is 'both', expected 'left' or 'right'"),
        ({"reuse": -1}, ValueError, "plan: reuse is -1, expected at least 0"),
        ({"reuse": 2.5}, ValueError, "plan: reuse is 2.5, expected a whole number of at least 0"),
        (
            {"fixed": "right"},
            dg.UnsupportedError,
            "plan: fixed='right' names a dense operand, but a plan keeps the sparse",
        ),
        ({"kernel": "x"}, ValueError, "plan: kernel is 'x', which is no kernel"),
        ({"threads": 0}, ValueError, "plan: threads is 0, expected at least 1"),
    ],
)
def test_options(A, options, error, message):
    with pytest.raises(error, match=message):
        dg.plan(A, np.ones((50, 2)), **options)


def test_dense_operands_and_fixed():
    X, W = np.ones((4, 5)), np.ones((5, 6))
    with pytest.raises(
        ValueError, match="plan: fixed must be 'left' or 'right' when reuse is given for two dense"
    ):
        dg.plan(X, W, reuse=10)
    assert dg.plan(X, W).problem.fixed == "right"
    assert dg.plan(X, W, fixed="left").problem.fixed == "left"
    with pytest.raises(dg.UnsupportedError, match=r"plan: both operands are vectors; use matmul\(x, y\)"):
        dg.plan(np.ones(3), np.ones(3))


@pytest.mark.parametrize("fixed", ["left", "right"])
@pytest.mark.parametrize("reuse", [None, 10])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "complex64"])
@pytest.mark.parametrize("vector", ["left", "right", None])
def test_dense_plans_with_vectors(fixed, reuse, dtype, vector):
    X = random_values("X", 7 if vector == "left" else (4, 7), dtype)
    W = random_values("W", 7 if vector == "right" else (7, 6), dtype)
    expected = reference.matmul(X, W)
    plan = dg.plan(X, W, fixed=fixed, reuse=reuse)
    other = W if fixed == "left" else X
    assert_same(plan(other), expected)
    out = np.empty_like(expected)
    assert plan(other, out=out) is out
    assert_same(out, expected)


def test_packed_weights_are_a_copy_and_their_change_is_noticed():
    W = random_values("W", (64, 320), "float32")
    plan = dg.plan(np.ones((3, 64), "f4"), W, fixed="right", reuse=100)
    assert plan.chosen.layout == "packed"
    W *= 2
    with pytest.raises(dg.StaleDataError, match="matmul: the memory of X was changed"):
        plan(np.ones((3, 64), "f4"))


def test_changed_memory_is_noticed_by_every_way_to_multiply():
    values = np.ones(50)
    A = dg.CSR((values, np.arange(50), np.arange(51)), shape=(50, 50))
    x = np.ones(50)
    plans = [dg.plan(A, x), dg.plan(A, x, kernel="sell_vector"), dg.plan(A, x, kernel="gemm_packed")]
    A @ x
    values *= 3
    for plan in plans:
        with pytest.raises(
            dg.StaleDataError, match="matmul: the memory of A was changed after the array was made"
        ):
            plan(x)
    for product in (lambda: A @ x, lambda: x @ A, lambda: dg.matmul(A, x), lambda: dg.plan(A, x)):
        with pytest.raises(dg.StaleDataError):
            product()


def test_a_single_edit_is_noticed_when_asked(monkeypatch):
    values = np.ones(5000)
    A = dg.CSR((values, np.arange(5000), np.arange(5001)), shape=(5000, 5000))
    x = np.ones(5000)
    monkeypatch.setenv("DEEPGEMM_CHECK", "1")
    plan = dg.plan(A, x)
    values[1234] = 7.0
    with pytest.raises(dg.StaleDataError):
        plan(x)


# --- layouts ---


def test_layouts_are_built_once_and_shared_by_plans(A):
    x = np.ones(50)
    dg.plan(A, x, kernel="sell_vector")
    first = A._layouts.get("sell:csr")
    dg.plan(A, x, kernel="sell_vector", threads=1)
    assert A._layouts.get("sell:csr") is first
    assert "sell:csr" in dg.plan(A, x).problem.left.layouts


def test_reuse_buys_the_layout():
    S = scipy.sparse.random_array((3000, 3000), density=0.005, format="csr", rng=np.random.default_rng(0))
    A, x = dg.CSC(S), np.ones((3000, 16))
    plan = dg.plan(A, x, reuse=1000)
    assert plan.kernel == "csr_tiled"
    assert plan.chosen.layout == "tiled:csr"
    assert A._layouts.names() == {"csr", "tiled:csr"}
    assert_same(plan(x), reference.matmul(A, x))


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_with_data_refills_layouts(A, format, dtype):
    A = A.asformat(format).astype(dtype)
    X = random_values("X", (50, 4), "float64" if dtype == "float64" else "float32")
    kernels = {"csr_rowwise": X, "csr_scatter": X, "sell_vector": X[:, 0].copy()}
    if format in ("csr", "csc"):
        kernels["gemm_packed"] = X
    for kernel, other in kernels.items():
        dg.plan(A, other, kernel=kernel)
    again = A.with_data(random_values("data", A.data.shape, dtype))
    for kernel, other in kernels.items():
        plan = dg.plan(again, other, kernel=kernel)
        if plan.chosen.layout:
            assert plan.chosen.layout in plan.problem.left.donors
        assert_same(plan(other), reference.matmul(again, other))


def test_refilling_an_array_with_duplicates():
    A = dg.CSR(([1.0, 2.0, 4.0, 8.0], [2, 0, 2, 1], [0, 3, 4]), shape=(2, 3))
    x = np.array([1.0, 10.0, 100.0])
    for kernel in ("sell_vector", "csr_scatter", "gemm_packed"):
        dg.plan(A, x, kernel=kernel)
    again = A.with_data([3.0, 5.0, 7.0, 9.0])
    for kernel in ("sell_vector", "csr_scatter", "gemm_packed"):
        assert_same(dg.plan(again, x, kernel=kernel)(x), np.array([5.0 + 1000.0, 90.0]))


def test_layouts_are_bounded(A, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_LAYOUT_BYTES", "0")
    x = np.ones(50)
    plan = dg.plan(A, x, reuse=10**6)
    assert plan.chosen.layout is None
    assert not A._layouts.names()
    # What is demanded works all the same, and is not kept.
    assert_same(dg.plan(A, x, kernel="sell_vector")(x), reference.matmul(A, x))
    assert not A._layouts.names()


def test_plans_do_not_keep_their_operand_alive():
    A = dg.CSR(scipy.sparse.random_array((60, 50), density=0.2, rng=np.random.default_rng(0)))
    plan = dg.plan(A, np.ones(50), reuse=100)
    A @ np.ones(50)
    ghost = weakref.ref(A)
    expected = A @ np.ones(50)
    del A
    gc.collect()
    assert ghost() is None
    assert np.array_equal(plan(np.ones(50)), expected)


def test_operators_do_not_leak(A):
    x = np.ones(50)
    A @ x
    before = sys.getrefcount(x)
    for _ in range(100):
        A @ x
    assert sys.getrefcount(x) == before


def test_plans_kept_with_an_operand_are_bounded(A):
    from deepgemm.ops._kept_plans import MOST_ACCOUNTS, MOST_PLANS

    for n in range(1, MOST_ACCOUNTS + MOST_PLANS + 5):
        A @ np.ones((50, n))
    assert len(A._plans) == MOST_PLANS
    assert len(A._accounts) <= MOST_ACCOUNTS
    assert_same(A @ np.ones((50, 3)), reference.matmul(A, np.ones((50, 3))))
