"""How the operators reach the products, without any product being there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from deepgemm.sparse import core

import deepgemm as dg


@pytest.fixture
def calls(monkeypatch):
    seen: list = []
    monkeypatch.setattr(
        core, "_left_product", lambda array, other: seen.append(("left", array, other)) or "left"
    )
    monkeypatch.setattr(
        core, "_right_product", lambda array, other: seen.append(("right", array, other)) or "right"
    )
    return seen


class Recent:
    def __init__(self, result):
        self.result = result

    def _try(self, other):
        return self.result


def test_operators(calls, sparse):
    x = np.ones(5)
    assert sparse @ x == "left"
    assert sparse.dot(x) == "left"
    assert np.matmul(sparse, x) == "left"
    y = np.ones(4)
    assert y @ sparse == "right"
    assert np.matmul(y, sparse) == "right"
    assert [0, 1, 2, 3] @ sparse == "right"
    assert calls[0][1] is sparse
    assert calls[0][2] is x
    assert calls[3][2] is y
    assert sparse @ sparse.T == "left"


def test_the_recent_plan_comes_first(calls, sparse):
    sparse._recent_left = Recent("recent")
    sparse._recent_right = Recent(NotImplemented)
    assert sparse @ np.ones(5) == "recent"
    assert np.ones(4) @ sparse == "right"
    assert len(calls) == 1


def test_out_of_matmul_is_refused(calls, sparse):
    with pytest.raises(TypeError):
        np.matmul(np.ones(4), sparse, out=np.ones(5))


def test_copies_start_without_plans(sparse):
    sparse._recent_left = Recent("recent")
    for other in (sparse.copy(), sparse.with_data(sparse.data), sparse.astype(np.float32)):
        assert other._recent_left is None
        assert other._plans == {}
        assert other._accounts == {}


def test_importing_under_the_wrong_name_is_refused():
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("sparse", Path(dg.sparse.__file__))
    with pytest.raises(ImportError, match=r"this folder is deepgemm\.sparse"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_scipy_on_the_left_is_refused_rather_than_densified(sparse):
    with pytest.raises(TypeError, match="is never made dense silently"):
        scipy.sparse.csr_array(np.eye(4)) @ sparse
