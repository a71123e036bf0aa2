"""What holds for every test: it runs in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import deepgemm as dg

_data = os.environ.get("DEEPGEMM_DATA_DIR")
if _data:
    os.environ["DEEPGEMM_DATA_DIR"] = os.path.abspath(_data)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the repository root: `python -c` there would import the folders instead of the installation."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def three_threads() -> Iterator[None]:
    """Let products ask for three threads, however few CPUs there are."""
    before = dg.get_num_threads()
    dg.set_num_threads(3)
    yield
    dg.set_num_threads(before)
