"""Plans explain themselves, can be saved, and decide the same again."""

from __future__ import annotations

import json
import logging
import pickle

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.kernels import registry
from deepgemm.planner.decision import decide, replay


@pytest.fixture
def operands():
    rng = np.random.default_rng(0)
    matrix = scipy.sparse.random_array((120, 80), density=0.1, format="csr", rng=rng, dtype=np.float32)
    return dg.CSR(matrix), rng.standard_normal((80, 6)).astype(np.float32)


def test_attributes(operands):
    A, X = operands
    plan = dg.plan(A, X)
    assert plan.kernel == plan.chosen.kernel
    assert plan.chosen in plan.candidates
    assert plan.isa in dg.planner.machine.current().isas
    assert plan.problem.left.shape == (120, 80)
    assert repr(plan) == f"Plan(matmul: csr float32 120 × 80 × dense float32 80 × 6, {plan.chosen.name})"


def test_explain_tells_everything(operands):
    A, X = operands
    text = str(dg.plan(A, X).explain())
    for word in (
        "csr float32 120 × 80 × dense float32 80 × 6",
        "accumulated in float32",
        "960 entries, density 0.1",
        "chosen",
        "predicted",
        "conversion",
        "workspace",
        "refused: wants a vector, this operand has 6 columns",
        "refused: rounds in an order of its own; reproducible=False admits it",
    ):
        assert word in text
    for kernel in registry.kernels("matmul"):  # those that read quantised operands have no part in it
        assert (kernel.name in text) != kernel.quantized


def test_explain_shows_layouts_and_account(operands):
    A, X = operands
    dg.plan(A, X[:, 0], kernel="sell_vector")
    text = str(dg.plan(A, X[:, 0]).explain())
    assert "layouts held" in text
    assert "sell:csr (" in text


def test_explain_as_html(operands):
    A, X = operands
    plan = dg.plan(A, X)
    html = plan._repr_html_()
    assert html == plan.explain()._repr_html_()
    assert html.count("<table") == 2
    assert html.count("background:#4a86cf") == 1  # the chosen one's bar
    assert html.count("background:rgba(128,128,128,.6)") == len(plan.candidates) - 1 - html.count("refused: ")
    assert html.count("font-weight:bold") == 1
    assert "</div>1 ×</div>" in html
    assert (
        "colspan='6' style='text-align:left;padding:2px 6px;white-space:nowrap;opacity:.75'>refused" in html
    )
    assert html.count("<") == html.count(">")


def test_html_is_escaped():
    from deepgemm.planner.report import Report, Table

    html = Report("<b>", (("a&b", "'x'"),), (Table(("c",), (("<script>",),)),))._repr_html_()
    assert "&lt;b&gt;" in html
    assert "&#39;x&#39;" in html
    assert "<script>" not in html


def test_bars_are_capped_and_labelled_with_what_they_stand_for():
    from deepgemm.planner.report import Table

    rows = (("a", ""), ("b", ""), ("c", ""))
    relative = Table(("name", ""), rows, (1e-3, 0.5, None), marked=0).html()
    assert "width:10px;margin-right:6px'></div>1 ×" in relative
    assert "width:80px;margin-right:6px'></div>500 ×" in relative
    assert relative.count("background:") == 2
    assert "relative" in relative
    shares = Table(("name", ""), rows, (0.5, 0.25, 0.0), longest=1.0).html()
    assert "width:40px" in shares
    assert "width:20px" in shares
    assert shares.count("background:") == 2
    assert "relative" not in shares


def test_saved_plans_replay(operands):
    A, X = operands
    plan = dg.plan(A, X[:, 0], reuse=1000)
    saved = plan.to_json()
    assert json.loads(saved)["chosen"] == plan.chosen.name
    again = replay(saved)
    assert again.problem == plan.problem
    assert again.machine == plan.machine
    assert again.candidates == plan.candidates
    assert again.choice == plan.decision.choice


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 0}', "nonsense"])
def test_replay_refuses_what_it_did_not_save(text):
    with pytest.raises(ValueError, match=r"not a plan saved by to_json|format 0, expected 1"):
        replay(text)


def test_plans_are_not_pickled(operands):
    A, X = operands
    with pytest.raises(TypeError, match=r"cannot be pickled or copied: .*to_json\(\) saves its decision"):
        pickle.dumps(dg.plan(A, X))


def test_same_problem_same_plan(make, machine):
    assert decide(make.sparse(), machine) == decide(make.sparse(), machine)


def test_plans_are_logged_on_request(operands, monkeypatch, caplog):
    A, X = operands
    with caplog.at_level(logging.INFO, logger="deepgemm"):
        dg.plan(A, X)
        assert not caplog.records
        monkeypatch.setenv("DEEPGEMM_VERBOSE", "1")
        dg.plan(A, X)
    assert "plan for matmul" in caplog.text
    assert "chosen" in caplog.text


def test_nothing_is_printed(operands, capfd):
    A, X = operands
    dg.plan(A, X, reuse=10).explain()
    A @ X
    assert capfd.readouterr() == ("", "")
