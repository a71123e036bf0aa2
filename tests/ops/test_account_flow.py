"""Plain `A @ x`: plans are found again, thought over when due, and buy layouts when these are worth it."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.ops import matmul as module
from deepgemm.planner.account import Account


@pytest.fixture
def A():
    return dg.CSC(scipy.sparse.random_array((4000, 4000), density=0.004, rng=np.random.default_rng(0)))


def test_the_same_kind_of_operand_finds_its_plan(A):
    x, X = np.ones(4000), np.ones((4000, 3))
    A @ x
    first = A._recent_left
    A @ np.zeros(4000)
    assert A._recent_left is first
    A @ X
    assert A._recent_left is not first
    A @ x
    assert A._recent_left is first
    assert len(A._plans) == 2
    x @ A
    assert A._recent_right is not None


def test_options_make_plans_of_their_own(A):
    x = np.ones(4000)
    A @ x
    recent = A._recent_left
    dg.matmul(A, x, kernel="csr_scatter")
    dg.matmul(A, x, reproducible=False)
    dg.matmul(A, x, dtype="float32")
    assert len(A._plans) == 4
    assert A._recent_left is recent
    dg.matmul(A, x)
    assert len(A._plans) == 4


def test_a_slow_storage_is_converted_in_time(A):
    X = np.ones((4000, 16))
    expected = dg.matmul(A, X, kernel="csr_scatter")
    first = None
    for _ in range(500):
        assert np.array_equal(A @ X, expected)
        first = first or A._recent_left
        if "csr" in A._layouts.names():
            break
    assert first.chosen.layout is None
    assert "csr" in A._layouts.names()
    for _ in range(10):
        assert np.array_equal(A @ X, expected)


def test_what_was_bought_is_paid(A):
    X = np.ones((4000, 16))
    for _ in range(500):
        A @ X
        if "csr" in A._layouts.names():
            break
    assert all("csr" not in dict(account.spent) for account in A._accounts.values())


def test_losses_of_different_products_add_up(A):
    x = np.ones((4000, 8))
    plan = dg.plan(A, x)
    target = plan.decision.choice.target
    assert target is not None
    half = Account(((target.layout, 0.6 * target.conversion),))
    A._accounts["one"], A._accounts["two"] = half, half
    problem = dg.plan(A, x).problem
    assert dict(problem.spent)[target.layout] == pytest.approx(1.2 * target.conversion)
    assert dg.plan(A, x).chosen.layout == target.layout


def test_the_account_shows_in_explain(A):
    A._accounts["one"] = Account((("csr", 1e-6),))
    assert "lost for want of csr" in str(dg.plan(A, np.ones(4000)).explain())


def test_eviction_drops_plans_and_the_product_goes_on(A, monkeypatch):
    x = np.ones(4000)
    dg.matmul(A, x, kernel="csr_rowwise")
    expected = A @ x
    monkeypatch.setenv("DEEPGEMM_LAYOUT_BYTES", "850K")
    other = dg.CSC(scipy.sparse.random_array((500, 500), density=0.05, rng=np.random.default_rng(1)))
    dg.matmul(other, np.ones(500), kernel="csr_rowwise")
    assert "csr" in other._layouts.names()
    assert not A._layouts.names()
    assert not A._plans
    assert np.array_equal(A @ x, expected)


def test_many_threads_multiply_by_one_operand(A):
    X = np.ones((4000, 16))
    expected = dg.matmul(A, X, kernel="csr_scatter")
    wrong: list[int] = []

    def work(number):
        for _ in range(40):
            if not np.array_equal(A @ X, expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_environment_is_obeyed_when_a_plan_is_made(A, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", "csr_scatter@scalar")
    A @ np.ones(4000)
    assert (A._recent_left.kernel, A._recent_left.isa) == ("csr_scatter", "scalar")
    assert dg.plan(A, np.ones(4000)).isa == "scalar"
    monkeypatch.setenv("DEEPGEMM_KERNEL", "scalar")
    assert dg.plan(A.astype("int32"), np.ones(4000, "int32")).kernel == "scipy"
    assert dg.plan(A, np.ones(4000), kernel="csr_scatter").isa == dg.planner.machine.current().isas[0]


def test_module_names_are_not_shadowed():
    assert callable(dg.matmul)
    assert module.matmul is dg.matmul
