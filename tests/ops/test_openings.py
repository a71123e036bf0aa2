"""Small operands multiply before anything is planned; what comes out and what is refused stays the same."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import testing
from deepgemm.ops import _openings as openings
from deepgemm.planner.plan import Plan


def small(dtype: str = "float64", m: int = 60, k: int = 40) -> dg.CSR:
    rng = np.random.default_rng(0)
    return dg.CSR(scipy.sparse.random_array((m, k), density=0.1, rng=rng).astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("columns", [None, 0, 1, 3, 16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_opening_and_a_plan_give_the_same(dtype, columns, order):
    A = small(dtype)
    shape = (40,) if columns is None else (40, columns)
    X = np.asarray(testing.random_values("X", shape, dtype), order=order)
    got = A @ X
    assert isinstance(A._recent_left, openings.Opening)
    assert A._recent_left.kernel == ("csr_vector" if columns is None else "csr_rowwise")
    expected = dg.plan(A, X)(X)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.array_equal(got, expected)
    assert np.array_equal(dg.matmul(A, X, out=np.empty_like(expected)), expected)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("extent", [None, 0, 1, 5, 16])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_openings_of_either_side(side, format, extent, order):
    A = getattr(small("float32"), f"to{format}")()
    inner = A.shape[side == "left"]
    shape = (inner,) if extent is None else (inner, extent) if side == "left" else (extent, inner)
    X = testing.random_values("X", shape, "float32")
    X = np.repeat(X, 2, axis=-1)[..., ::2] if order == "strided" else np.asarray(X, order=order)
    left, right = (A, X) if side == "left" else (X, A)
    got = left @ right
    kept = A._recent_left if side == "left" else A._recent_right
    assert isinstance(kept, openings.Opening)
    stored = (format == "csr") == (side == "left")
    assert (kept.kernel == "csr_scatter") != stored
    expected = dg.matmul(left, right, threads=1)  # what is asked for is planned
    assert got.flags.c_contiguous
    assert got.shape == expected.shape
    assert np.array_equal(got, expected)
    assert np.array_equal(dg.matmul(left, right, out=np.empty_like(expected, order="F")), expected)


def test_a_plan_follows_once_products_took_as_long_as_planning():
    A, x = small(), np.ones(40)
    for _ in range(100_000):
        A @ x
        if isinstance(A._recent_left, Plan):
            break
    assert isinstance(A._recent_left, Plan)
    assert len(A._plans) == 1
    calls, lost, _, _ = A._recent_left._account
    assert calls >= 1
    assert lost == 0.0 or A._recent_left.decision.choice.target is not None


@pytest.mark.parametrize(
    "call",
    [
        lambda A, x: dg.matmul(A, x, threads=1),
        lambda A, x: dg.matmul(A, x, dtype="float32"),
        lambda A, x: dg.matmul(A, x, dtype="float64"),
        lambda A, x: dg.matmul(A, x, kernel="csr_rowwise"),
        lambda A, x: dg.matmul(A, x, reproducible=False),
        lambda A, x: A @ x.astype("float32"),
        lambda A, x: A.tocoo() @ x,
        lambda A, x: A @ np.ones((2, 40, 3)),
    ],
)
def test_what_was_asked_for_is_planned(call):
    A = small()
    call(A, np.ones(40))
    call(A, np.ones(40))
    assert not any(isinstance(plan, openings.Opening) for plan in A._plans.values())


def test_much_work_is_planned_at_once():
    A = small()
    A @ np.ones((40, openings.MOST_WORK))
    assert isinstance(A._recent_left, Plan)
    rows = dg.CSR((np.ones(1), np.zeros(1, "i4"), np.r_[0, np.ones(openings.MOST_WORK, "i4")]))
    rows @ np.ones(1)
    assert isinstance(rows._recent_left, Plan)


def test_entries_out_of_order_are_planned():
    A = dg.CSR((np.ones(3), np.array([2, 0, 0]), np.array([0, 3])), shape=(1, 3))
    assert (A @ np.array([1.0, 2.0, 4.0])).tolist() == [6.0]
    assert isinstance(A._recent_left, Plan)


def test_forced_and_logged_products_are_planned(monkeypatch, caplog):
    x = np.ones(40)
    monkeypatch.setenv("DEEPGEMM_KERNEL", "scalar")
    A = small()
    A @ x
    assert A._recent_left.isa == "scalar"
    monkeypatch.delenv("DEEPGEMM_KERNEL")
    monkeypatch.setenv("DEEPGEMM_VERBOSE", "1")
    A = small()
    with caplog.at_level("INFO", logger="deepgemm"):
        A @ x
    assert "plan for matmul" in caplog.text


def test_an_opening_sees_stale_data_and_wrong_operands():
    data = np.ones(4)
    A = dg.CSR((data, np.arange(4, dtype="i4"), np.arange(5, dtype="i4")), shape=(4, 4))
    A @ np.ones(4)
    with pytest.raises(dg.ShapeError, match=r"matmul: A has 4 columns but X has 5 elements"):
        A @ np.ones(5)
    data[0] = 2.0
    with pytest.raises(dg.StaleDataError, match="changed after"):
        A @ np.ones(4)
    with pytest.raises(dg.StaleDataError, match="changed after"):
        A @ np.ones((4, 2))
    with pytest.raises(dg.StaleDataError, match="changed after"):
        np.ones(4) @ A


def test_names_in_messages_of_the_other_side():
    data = np.ones(4)
    A = dg.CSR((data, np.arange(4, dtype="i4"), np.arange(5, dtype="i4")), shape=(4, 4))
    np.ones(4) @ A
    data[0] = 2.0
    with pytest.raises(dg.StaleDataError, match="B"):
        np.ones(4) @ A


def test_more_kinds_of_operands_than_are_kept():
    A = small()
    for columns in range(1, 40):
        X = np.ones((40, columns))
        assert np.array_equal(A @ X, np.repeat((A @ np.ones(40))[:, None], columns, axis=1))
    assert len(A._plans) <= 16
