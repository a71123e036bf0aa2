"""`deepgemm calibrate`, with a measurement that takes no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deepgemm.planner import calibration, machine

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("DEEPGEMM_CACHE_DIR", str(folder))
    measured = replace(machine.shipped(), source="measured", memory_bandwidth=77e9)
    monkeypatch.setattr(calibration, "calibrate", lambda progress=None: measured)
    return folder


def test_rates_are_kept_used_and_forgotten(deepgemm_command: Command, cache: Path) -> None:
    status, out, err = deepgemm_command("calibrate")
    assert (status, err) == (0, "")
    assert "77 GB/s" in out
    assert f"kept in {machine.machine_file()}" in out
    assert machine.current().memory_bandwidth == 77e9
    assert "measured by deepgemm calibrate" in deepgemm_command("info")[1]
    assert deepgemm_command("calibrate", "--forget")[1] == f"removed {machine.machine_file()}\n"
    assert not machine.machine_file().exists()
    assert "nothing was measured" in deepgemm_command("calibrate", "--forget")[1]


def test_dry_run_keeps_nothing(deepgemm_command: Command, cache: Path) -> None:
    status, out, _ = deepgemm_command("calibrate", "--dry-run")
    assert status == 0
    assert "77 GB/s" in out
    assert not cache.exists()


def test_another_file(deepgemm_command: Command, cache: Path, tmp_path: Path) -> None:
    status, out, _ = deepgemm_command("calibrate", "--output", tmp_path / "rates.json")
    assert status == 0
    assert out.endswith(f"kept in {tmp_path / 'rates.json'}\n")
    assert machine.load(tmp_path / "rates.json").memory_bandwidth == 77e9


def test_a_file_that_cannot_be_written(deepgemm_command: Command, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = deepgemm_command("calibrate", "--output", tmp_path / "file" / "rates.json")
    assert status == 2
    assert err.count("\n") == 1
    assert "cannot be written" in err
