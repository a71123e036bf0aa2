"""The `deepgemm` command: what it prints, its exit statuses, and one line for every mistake."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import deepgemm as dg
from deepgemm.cli import console

Command = Callable[..., tuple[int, str, str]]


def check_complaint(answer: tuple[int, str, str], *words: str) -> None:
    status, out, err = answer
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    assert err.startswith("deepgemm")
    for word in words:
        assert word in err, err


# --- info


def test_info_names_what_was_found_and_used(deepgemm_command: Command) -> None:
    status, out, err = deepgemm_command("info")
    assert (status, err) == (0, "")
    for word in (dg.__version__, "CPU", "ISAs found", "ISAs compiled", "ISA used", "threads", "kernels"):
        assert word in out
    assert f"numpy {np.__version__}" in out


def test_info_as_json(deepgemm_command: Command) -> None:
    status, out, _ = deepgemm_command("info", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["isas"]["used"] in facts["isas"]["found"]
    assert facts["threads"]["used"] == dg.get_num_threads()
    assert "csr_rowwise" in facts["kernels"]


@pytest.mark.parametrize(
    ("variables", "threads", "reason"),
    [
        ({"DEEPGEMM_NUM_THREADS": "1"}, 1, "DEEPGEMM_NUM_THREADS"),
        ({"DEEPGEMM_NUM_THREADS": "3", "OMP_NUM_THREADS": "1"}, 3, "DEEPGEMM_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "1"}, 1, "OMP_NUM_THREADS"),
    ],
)
def test_info_says_where_the_thread_limit_comes_from(
    variables: dict[str, str], threads: int, reason: str
) -> None:
    if reason == "OMP_NUM_THREADS" and len(getattr(os, "sched_getaffinity", lambda _: "ab")(0)) == 1:
        pytest.skip("one CPU: nothing is left to limit")
    facts = json.loads(_in_a_process("info", "--json", **variables).stdout)
    assert facts["threads"]["used"] == threads
    assert facts["threads"]["reason"] == reason


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU: nothing to choose from")
def test_info_sees_affinity() -> None:
    script = "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from deepgemm.cli.main import main; sys.exit(main(['info', '--json']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=_environment())
    facts = json.loads(done.stdout)
    assert facts["threads"]["used"] == 1
    assert "affinity" in facts["threads"]["reason"]


def test_info_shows_a_forced_isa() -> None:
    assert "scalar (forced by DEEPGEMM_KERNEL)" in _in_a_process("info", DEEPGEMM_KERNEL="scalar").stdout


# --- plan


@pytest.mark.parametrize("fixture", ["market_file", "npz_file"])
def test_plan_explains(deepgemm_command: Command, fixture: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(fixture)
    status, out, err = deepgemm_command("plan", path)
    assert (status, err) == (0, "")
    assert str(path) in out
    assert "60 × 50" in out
    assert "chosen" in out
    assert "refused: wants a vector" in out


def test_plan_of_a_vector(deepgemm_command: Command, market_file: Path) -> None:
    _, out, _ = deepgemm_command("plan", market_file, "--columns", 1, "--reuse", 1000)
    assert "60 × 50 × 1," in out
    assert "refused: wants a vector" not in out


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int8", "complex64"])
def test_plan_of_a_dtype(deepgemm_command: Command, market_file: Path, dtype: str) -> None:
    status, out, _ = deepgemm_command("plan", market_file, "--dtype", dtype)
    assert status == 0
    assert f"dense {dtype}" in out


def test_plan_as_json_can_be_replayed(deepgemm_command: Command, market_file: Path) -> None:
    from deepgemm.planner.decision import replay

    status, out, _ = deepgemm_command("plan", market_file, "--json")
    assert status == 0
    assert json.loads(out)["chosen"] == replay(out).choice.candidate.name


def test_plan_forces_a_kernel(deepgemm_command: Command, market_file: Path) -> None:
    _, out, _ = deepgemm_command("plan", market_file, "--kernel", "csr_rowwise@scalar", "--json")
    assert json.loads(out)["chosen"] == "csr_rowwise@scalar"


def test_integers_become_floats_unless_asked(deepgemm_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    path.write_text("%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1 3\n")
    assert "dense float64" in deepgemm_command("plan", path)[1]
    assert "dense int64" in deepgemm_command("plan", path, "--dtype", "int64")[1]


@pytest.mark.parametrize("size", ["0 0 0", "0 4 0", "4 0 0", "4 4 0"])
def test_plan_of_an_empty_matrix(deepgemm_command: Command, tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.mtx"
    path.write_text(f"%%MatrixMarket matrix coordinate real general\n{size}\n")
    status, out, err = deepgemm_command("plan", path)
    assert (status, err) == (0, "")
    assert "chosen" in out


def test_bad_files_take_one_line(deepgemm_command: Command, market_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mtx.gz"
    cut.write_bytes(gzip.compress(market_file.read_bytes())[:-100])
    check_complaint(deepgemm_command("plan", cut), str(cut), "is truncated")
    check_complaint(deepgemm_command("plan", tmp_path / "none.mtx"), "none.mtx: no such file")
    check_complaint(deepgemm_command("plan", tmp_path), "has an unknown type")
    huge = tmp_path / "huge.mtx"
    huge.write_text("%%MatrixMarket matrix coordinate real general\n9 9 9000000000000\n")
    check_complaint(deepgemm_command("plan", huge), "huge.mtx: is too large for memory")
    np.savez(tmp_path / "dense.npz", a=np.eye(3))
    check_complaint(deepgemm_command("plan", tmp_path / "dense.npz"), "is no sparse matrix: it holds a")


def test_a_dense_operand_too_large_for_memory(deepgemm_command: Command, market_file: Path) -> None:
    check_complaint(deepgemm_command("plan", market_file, "--columns", 10**15), "not enough memory")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--columns", "0"), "'0' is not a whole number of at least 1"),
        (("--columns", "many"), "'many' is not a whole number"),
        (("--reuse", "-1"), "'-1' is not a whole number"),
        (("--dtype", "float33"), "invalid choice: 'float33'"),
        (("--kernel", "fastest"), "'fastest'"),
        (("--kernel", "csr_rowwise@mmx"), "csr_rowwise@mmx"),
        (("--what",), "--what"),
    ],
)
def test_bad_arguments(
    deepgemm_command: Command, market_file: Path, arguments: tuple[str, ...], words: str
) -> None:
    check_complaint(deepgemm_command("plan", market_file, *arguments), words)


def test_a_complex_matrix_is_not_made_real(deepgemm_command: Command, tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "a.npz", sp.csr_array(np.eye(3) * 1j))
    check_complaint(
        deepgemm_command("plan", tmp_path / "a.npz", "--dtype", "float32"), "the matrix is complex"
    )


def test_a_bad_variable_is_named() -> None:
    # The package itself refuses to be imported with it, so this is the only complaint with a traceback.
    done = _in_a_process("info", DEEPGEMM_CHECK="perhaps", ok=False)
    assert done.returncode != 0
    assert "DEEPGEMM_CHECK is 'perhaps', expected one of" in done.stderr.splitlines()[-1]


# --- the rest


@pytest.mark.parametrize("arguments", [(), ("info",), ("plan",), ("calibrate",)])
def test_help(deepgemm_command: Command, arguments: tuple[str, ...]) -> None:
    status, out, _ = deepgemm_command(*arguments, "--help")
    assert status == 0
    assert out.startswith("usage: deepgemm")


def test_version(deepgemm_command: Command) -> None:
    assert deepgemm_command("--version")[:2] == (0, f"deepgemm {dg.__version__}\n")


def test_no_command_shows_the_help(deepgemm_command: Command) -> None:
    status, out, err = deepgemm_command()
    assert status == 2
    assert "usage: deepgemm" in out + err


def test_unknown_command(deepgemm_command: Command) -> None:
    check_complaint(deepgemm_command("paln"), "'paln'")


def test_a_reader_that_leaves_is_no_error(market_file: Path) -> None:
    script = "import sys; from deepgemm.cli.main import main; sys.exit(main(sys.argv[1:]))"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, "plan", str(market_file)],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=_environment(),
            text=True,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug outside")])
def test_bugs_keep_their_traceback(error: Exception) -> None:
    def broken(_: object) -> int:
        raise error

    with pytest.raises(type(error), match="a bug"):
        console.run("deepgemm", broken, None)


def test_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    assert console.run("deepgemm", interrupted, None) == 130
    assert capsys.readouterr().err == "deepgemm: interrupted\n"


def _environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEEPGEMM_", "OMP_"))}
    return {**kept, **variables}


def _in_a_process(*arguments: str, ok: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
    script = "import sys; from deepgemm.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env=_environment(**variables),
        check=ok,
    )
