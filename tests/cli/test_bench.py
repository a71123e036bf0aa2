"""`deepgemm-bench` on problems that take no time: the table, the figures, the choice, and wrong results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.cli import measure
from deepgemm.cli.measure import Outcome, Result

Command = Callable[..., tuple[int, str, str]]
SMALL = ("--users", 80, "--items", 60, "--mean", 5, "--rounds", 1)


def figures(answer: tuple[int, str, str]) -> dict[str, Any]:
    status, out, err = answer
    assert (status, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_generated_problem(bench_command: Command) -> None:
    status, out, err = bench_command(*SMALL)
    assert (status, err) == (0, "")
    for word in ("Zipf popularity", "predicted", "measured", "GFLOP/s", "GB/s"):
        assert word in out
    assert "▶" in out
    assert "wants a vector" in out
    assert "planner regret: " in out
    assert "largest error: " in out
    assert all(line == line.rstrip() for line in out.splitlines())


@pytest.mark.parametrize("columns", [80, 140])
def test_the_table_fits(bench_command: Command, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = bench_command(*SMALL)[1]
    assert "…" not in out
    before_the_legend = out[: out.index("ratio: ")]
    assert max(map(len, before_the_legend.splitlines())) <= columns


def test_every_candidate_has_a_row(bench_command: Command) -> None:
    found = figures(bench_command(*SMALL, "--json", "-"))
    names = {result["name"].partition("@")[0] for result in found["results"]}
    assert {"csr_rowwise", "csr_scatter", "csr_vector", "sell_vector", "gemm_packed", "scipy"} <= names
    for result in found["results"]:
        assert (result["seconds"] is None) == (result["refused"] is not None)
        if result["seconds"] is not None:
            assert result["identical"] is True
            assert 0 < result["fastest"] <= result["seconds"] <= result["slowest"]
            assert result["predicted"] > 0
    assert found["chosen"] in {result["name"] for result in found["results"] if result["chosen"]}
    assert found["regret"] >= 1
    assert found["problem"]["columns"] == 64
    assert found["problem"]["flops"] == 2 * found["problem"]["nnz"] * 64


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int8", "int32", "complex128"])
@pytest.mark.parametrize("columns", [1, 9])
def test_dtypes(bench_command: Command, dtype: str, columns: int) -> None:
    found = figures(bench_command(*SMALL, "--dtype", dtype, "--columns", columns, "--json", "-"))
    assert found["problem"]["dtype"] == dtype
    assert found["best"] is not None


def test_a_matrix_from_a_file(bench_command: Command, market_file: Path) -> None:
    status, out, _ = bench_command("--matrix", market_file, "--rounds", 1, "--columns", 1)
    assert status == 0
    assert str(market_file) in out
    assert "60 × 50" in out


@pytest.mark.parametrize("size", ["0 0 0", "0 4 0", "4 0 0", "4 4 0"])
def test_empty_matrices(bench_command: Command, tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.mtx"
    path.write_text(f"%%MatrixMarket matrix coordinate real general\n{size}\n")
    assert bench_command("--matrix", path, "--rounds", 1)[0] == 0


def test_named_kernels_and_isas(bench_command: Command) -> None:
    asked = "csr_rowwise,csr_rowwise@scalar,csr_rowwise@scalar,csr_rowwise@neon"
    found = figures(bench_command(*SMALL, "--kernels", asked, "--json", "-"))
    best = found["results"][0]["name"]
    assert [result["name"] for result in found["results"]] == [best, "csr_rowwise@scalar", "csr_rowwise@neon"]
    assert "neon" in found["results"][2]["refused"]


def test_any_order_admits_scipy(bench_command: Command) -> None:
    plain = figures(bench_command(*SMALL, "--kernels", "scipy", "--json", "-"))
    free = figures(bench_command(*SMALL, "--kernels", "scipy", "--any-order", "--json", "-"))
    assert "reproducible=False" in plain["results"][0]["refused"]
    assert free["results"][0]["seconds"] > 0


def test_json_to_a_file(bench_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    status, out, _ = bench_command(*SMALL, "--kernels", "csr_rowwise", "--json", path)
    assert status == 0
    assert "csr_rowwise" in out
    assert json.loads(path.read_text())["deepgemm"] == dg.__version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kernels", "fastest"), "'fastest' is no candidate here, expected of: csr_"),
        (("--peers", "eigen"), "'eigen' is not one of: scipy"),
        (("--columns", "0"), "'0' is not a whole number"),
        (("--rounds", "x"), "'x' is not a whole number"),
        (("--dtype", "float33"), "'float33'"),
        (("--matrix", "/nonexistent/a.mtx"), "/nonexistent/a.mtx: no such file"),
        (("--matrix", "a.csv"), "unknown type"),
        (("--json", "/nonexistent/a.json"), "the folder does not exist"),
        (("--json", "/"), "is a directory"),
        (("--users", str(10**14)), "entries were asked for"),
    ],
)
def test_mistakes_take_one_line(bench_command: Command, arguments: tuple[str, ...], words: str) -> None:
    status, out, err = bench_command(*SMALL, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("deepgemm-bench: ")
    assert words in err


@pytest.mark.parametrize("fault", ["adds", "writes nothing"])
def test_a_wrong_kernel_is_not_timed(
    bench_command: Command, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    plan = dg.plan

    def sabotaged(*operands: Any, kernel: str | None = None, **options: Any) -> Any:
        made = plan(*operands, kernel=kernel, **options)
        if kernel is None or not kernel.startswith("csr_scatter"):
            return made

        class Wrong:
            chosen = made.chosen

            def __call__(self, other: Any, *, out: Any = None) -> Any:
                if fault == "adds":
                    made(other, out=out)
                    out[3] += 1e-3
                return out

        return Wrong()

    monkeypatch.setattr(dg, "plan", sabotaged)
    status, out, _ = bench_command(*SMALL, "--kernels", "csr_rowwise,csr_scatter")
    assert status == 1
    assert "wrong result: error" in out
    assert "csr_rowwise" in out


def test_a_kernel_that_fails_does_not_hide_the_others(
    bench_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = dg.plan

    def broken(*operands: Any, kernel: str | None = None, **options: Any) -> Any:
        if kernel is not None and kernel.startswith("csr_scatter"):
            raise TypeError("a bug")
        return plan(*operands, kernel=kernel, **options)

    monkeypatch.setattr(dg, "plan", broken)
    status, out, _ = bench_command(*SMALL, "--kernels", "csr_rowwise,csr_scatter")
    assert status == 1
    assert "failed: TypeError: a bug" in out
    assert "▶" in out


def test_what_would_not_fit_is_left_out_unless_named(
    bench_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "available_memory", lambda: 1)
    found = figures(bench_command(*SMALL, "--json", "-"))
    scatter = next(result for result in found["results"] if result["name"].startswith("csr_scatter"))
    assert "more than half of the free memory" in scatter["refused"]
    named = figures(bench_command(*SMALL, "--kernels", "csr_scatter", "--json", "-"))
    assert named["results"][0]["seconds"] > 0


def test_regret_counts_the_conversion() -> None:
    results = (
        Result("a", chosen=True, seconds=2.0, conversion=0.0),
        Result("b", seconds=1.0, conversion=10.0),
        Result("peer", peer=True, seconds=0.1),
        Result("c", refused="no"),
    )
    few, many = (Outcome(results, 1, 1, reuse) for reuse in (5, 100))
    assert few.best is results[0]
    assert few.regret == 1
    assert many.best is results[1]
    assert many.regret == pytest.approx(200 / 110)
    assert Outcome(results[1:], 1, 1, 5).regret is None


def test_the_matrix_is_not_changed(npz_file: Path) -> None:
    from deepgemm.cli.files import read_matrix

    A = read_matrix(npz_file).tocsr()
    before = A.toarray().copy()
    measure.measure(A, np.ones((50, 3), np.float32), reuse=10, threads=1, rounds=1)
    assert np.array_equal(A.toarray(), before)
