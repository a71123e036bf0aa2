"""What holds for every test: it runs in a folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_data = os.environ.get("DEEPGEMM_DATA_DIR")
if _data:
    os.environ["DEEPGEMM_DATA_DIR"] = os.path.abspath(_data)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the repository root: `python -c` there would import the folders instead of the installation."""
    monkeypatch.chdir(tmp_path)
