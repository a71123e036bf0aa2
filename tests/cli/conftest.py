"""Files and consoles that the tests of the commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import scipy.io
import scipy.sparse as sp
from deepgemm.datasets import uniform

from deepgemm.cli import bench, main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def market_file(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.mtx"
    scipy.io.mmwrite(path, uniform(60, 50, 0.1, dtype="float64").to_scipy())
    return path


@pytest.fixture
def npz_file(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.npz"
    sp.save_npz(path, uniform(60, 50, 0.1).to_scipy())
    return path


@pytest.fixture
def deepgemm_command(capsys: pytest.CaptureFixture[str]) -> Command:
    return _command(main.main, capsys)


@pytest.fixture
def bench_command(capsys: pytest.CaptureFixture[str]) -> Command:
    return _command(bench.main, capsys)


def _command(entry: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = entry([str(argument) for argument in arguments])
        except SystemExit as exit:  # argparse: --help, --version and its complaints
            status = int(exit.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run
