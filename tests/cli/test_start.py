"""The installed commands where the package itself refuses to be imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BAD = [
    ("DEEPGEMM_NUM_THREADS", "many", "expected a whole number of at least 1"),
    ("DEEPGEMM_KERNEL", "avx3@x", "expected an ISA"),
    ("DEEPGEMM_CHECK", "perhaps", "expected one of: 0, 1"),
    ("DEEPGEMM_LAYOUT_BYTES", "lots", "expected a number of bytes"),
]


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEEPGEMM_")}
    return subprocess.run(
        list(command), capture_output=True, text=True, timeout=120, env=environment | variables
    )


def installed(program: str) -> Path:
    path = Path(sys.executable).with_name(program)
    if not path.exists():
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"{program} is not installed")
        path = Path(found)
    return path


@pytest.mark.parametrize("program", ["deepgemm", "deepgemm-bench"])
@pytest.mark.parametrize(("variable", "value", "expected"), BAD)
def test_a_bad_variable_is_told_in_one_line(program, variable, value, expected):
    done = run(installed(program), "--version" if program == "deepgemm" else "--help", **{variable: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{program}: {variable} is {value!r}, {expected}")
    assert done.stderr.count("\n") == 1


def test_the_commands_still_start():
    assert "deepgemm 0." in run(installed("deepgemm"), "--version").stdout
    assert "--peers" in run(installed("deepgemm-bench"), "--help").stdout


@pytest.mark.parametrize(("variable", "value", "expected"), BAD)
def test_importing_raises_the_same_error(variable, value, expected):
    done = run(sys.executable, "-c", "import deepgemm", **{variable: value})
    assert done.returncode == 1
    assert f"ValueError: {variable} is {value!r}, {expected}" in done.stderr


def test_other_failures_keep_their_traceback(tmp_path):
    (tmp_path / "deepgemm").mkdir()
    (tmp_path / "deepgemm" / "__init__.py").write_text("raise ValueError('numpy.dtype size changed')\n")
    code = "import sys, _deepgemm_start; sys.exit(_deepgemm_start.deepgemm())"
    done = run(sys.executable, "-c", code, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
