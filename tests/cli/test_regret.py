"""`deepgemm-bench --regret`: which cases there are, what is counted, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from deepgemm.datasets import blocks, uniform

import deepgemm as dg
from deepgemm.cli import cases, regret, sweep
from deepgemm.cli.cases import Case, Source, nothing_found
from deepgemm.cli.regret import Judged, Timed

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small_sources(monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    found = [
        Source("small", 200, lambda: uniform(40, 50, 0.1)),
        Source("small blocks", 512, lambda: blocks(32, 32, 0.5, blocksize=(4, 4)).tobsr((4, 4))),
    ]
    monkeypatch.setattr(sweep, "sources", lambda least, match: found if least == 1 else [])
    monkeypatch.setattr(regret, "_TURN", 1e-4)
    monkeypatch.setattr(regret, "_CALLS", (3,))
    return found


@pytest.mark.parametrize("side", [(), ("--right",)])
def test_the_sweep(bench_command: Command, small_sources: list[Source], side: tuple[str, ...]) -> None:
    status, out, err = bench_command("--regret", "--least-entries", 1, "--rounds", 1, *side)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert sum(line.startswith("small") and "hint" in line for line in lines) == 16
    assert "small float32 N=1 " in out
    assert "small blocks float64 N=128 " in out
    assert "geometric mean" in out


def test_figures_as_json(bench_command: Command, small_sources: list[Source]) -> None:
    status, out, _ = bench_command(
        "--regret", "--least-entries", 1, "--rounds", 1, "--reuse", 50, "--json", "-"
    )
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    assert len(found["cases"]) == 16
    for case in found["cases"]:
        names = {candidate["name"] for candidate in case["candidates"]}
        assert {case["hinted"], case["fresh"], *case["best"].values()} <= names
        assert case["reuse"] == 50
        assert min(case["regret"].values()) >= 1
        assert case["factors"]["3"] > 0
        free = [c for c in case["candidates"] if c["conversion_predicted"] == 0]
        assert all(c["conversion"] == 0 for c in free)


def test_no_such_matrix(bench_command: Command, small_sources: list[Source]) -> None:
    status, out, err = bench_command("--regret", "--match", "nothing")
    assert (status, out) == (2, "")
    assert "--regret: no matrix of 20,000 entries or more has a name with 'nothing'" in err


def test_what_there_is_in_place_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGEMM_DATA_DIR", raising=False)
    text = nothing_found(20_000, ["abc", "x"])
    assert "has a name with 'abc' or 'x'; there are: weights 2 %, weights 5 %" in text
    assert "and 8 more (DEEPGEMM_DATA_DIR is not set: only generated matrices are looked at)" in text
    unset = "(DEEPGEMM_DATA_DIR is not set: only generated matrices are looked at)"
    assert nothing_found(10**9, []) == f"no matrix of 1,000,000,000 entries or more {unset}"
    monkeypatch.setenv("DEEPGEMM_DATA_DIR", "anywhere")
    assert "not set" not in nothing_found(20_000, ["abc"])


def test_a_case_is_always_fresh() -> None:
    case = Case("small", uniform(40, 50, 0.1), 8)
    used = case.fresh()
    dg.plan(used, case.other(), kernel="csr_scatter")
    assert used._layouts.names()
    assert not case.fresh()._layouts.names()
    assert case.fresh() is not case.A


def test_sources_are_selected() -> None:
    every = cases.sources(1, ["weights"])
    assert {source.name for source in every} >= {"weights 2 %", "weights 50 %"}
    assert [source.name for source in cases.sources(1_000_000, ["weights"])] == [
        "weights 30 %",
        "weights 50 %",
    ]
    for source in every:
        assert source.load().nnz == pytest.approx(source.entries, rel=0.1)


def test_real_matrices_come_from_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import scipy.io

    scipy.io.mmwrite(tmp_path / "a.mtx", uniform(30, 30, 0.2).to_scipy())
    (tmp_path / "MANIFEST.csv").write_text("file,kind,rows,cols,nnz\na.mtx,fem,30,30,180\n")
    monkeypatch.setenv("DEEPGEMM_DATA_DIR", str(tmp_path))
    source = cases.sources(100)[0]
    assert (source.name, source.entries) == ("a", 180)
    assert [case.name for case in source.cases((1, 8), ("float32",))] == ["a float32 N=1", "a float32 N=8"]


def test_regret_counts_conversions_and_names_the_best() -> None:
    free = Timed("free", 3e-5, 0.0, 4e-5, 0.0)
    bought = Timed("bought", 2e-5, 1e-3, 2e-5, 1e-3)
    case = Judged("case", 1000, "free", "free", (free, bought), ((100, 8e-3),))
    assert case.best(1) is free
    assert case.best(1000) is bought
    assert case.best_at_once() is free
    assert case.regret_at_once() == 1
    assert case.regret() == pytest.approx(0.04 / 0.021)
    assert case.factors() == {100: pytest.approx(8e-3 / 3e-3)}
    assert case.counts
    lines = {line.name: line for line in regret.summarise([case])}
    assert lines["regret, reuse=1,000"].worst_case == "case"
    assert lines["account, 100 plain calls"].worst == pytest.approx(8 / 3)


def test_short_cases_do_not_count() -> None:
    short = Judged("case", 10, "a", "a", (Timed("a", 1e-6, 0.0, 1e-6, 0.0),))
    assert not short.counts
    assert regret.summarise([short]) == []
