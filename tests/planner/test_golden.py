"""Decisions for a fixed machine are kept in a file and reviewed as a diff.

After a deliberate change of a cost function: `python tests/planner/golden.py`, then look at the diff.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("golden", Path(__file__).with_name("golden.py"))
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

KEPT = json.loads(golden.FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(make, machine):
    return golden.decisions(make, machine)


@pytest.mark.parametrize("name", list(KEPT))
def test_decision(found, name):
    assert found.get(name) == KEPT[name]


def test_every_problem_is_kept(found):
    assert list(found) == list(KEPT)
