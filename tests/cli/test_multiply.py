"""`deepgemm multiply`: what it writes, shows and refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import deepgemm as dg
from deepgemm.cli.files import read_matrix

Command = Callable[..., tuple[int, str, str]]


def test_the_product_is_on_disk(deepgemm_command: Command, npz_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "C"
    command = ("multiply", str(npz_file), str(npz_file), "--transpose", "--out", str(out))
    status, text, err = deepgemm_command(*command, "--memory-budget", "2k")
    assert (status, err) == (0, "")
    A = read_matrix(npz_file)
    wanted = A @ A.T
    assert f"{out}: CSR 60 × 60 float32, {wanted.nnz:,} entries" in text
    assert dg.open_matrix(out).equals(wanted)
    status, text, err = deepgemm_command(*command)
    assert (status, text) == (2, "")
    assert "exists; overwrite=True replaces it" in err
    status, _, _ = deepgemm_command(*command, "--overwrite", "--dtype", "float64")
    assert status == 0
    assert dg.open_matrix(out).dtype == np.float64


def test_an_estimate_writes_nothing(deepgemm_command: Command, npz_file: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    status, text, err = deepgemm_command(
        "multiply", str(npz_file), str(npz_file), "--transpose", "--estimate"
    )
    assert (status, err) == (0, "")
    for word in ("multiply-adds", "entries", "memory", "time"):
        assert word in text
    assert sorted(tmp_path.iterdir()) == before


def test_refusals_are_one_line(deepgemm_command: Command, npz_file: Path, tmp_path: Path) -> None:
    files = (str(npz_file), str(npz_file))
    for arguments, word in (
        ((*files, "--out", str(tmp_path / "C")), "A has 50 columns but B has 60 rows"),
        ((*files, "--transpose", "--out", str(tmp_path / "no" / "C")), "is not there"),
        ((*files, "--transpose", "--out", str(tmp_path / "C"), "--memory-budget", "7"), "may take"),
        ((*files, "--transpose", "--out", str(tmp_path / "C"), "--memory-budget", "x"), "memory_budget is"),
    ):
        status, text, err = deepgemm_command("multiply", *arguments)
        assert (status, text) == (2, "")
        assert err.count("\n") == 1
        assert word in err
