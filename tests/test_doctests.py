"""Runs the examples of every docstring, found by import name (the folders are mapped, not nested)."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import deepgemm

NEEDS_EXTRAS = {"deepgemm.cli.peer_worker": "talks to peers that need not be installed"}


def module_names() -> list[str]:
    found = [deepgemm.__name__]
    found += [m.name for m in pkgutil.walk_packages(deepgemm.__path__, "deepgemm.") if "tests" not in m.name]
    return [name for name in found if not name.endswith("._core")]


@pytest.mark.parametrize("name", module_names())
def test_examples(name: str) -> None:
    if name in NEEDS_EXTRAS:
        pytest.skip(NEEDS_EXTRAS[name])
    module = importlib.import_module(name)
    with np.printoptions(legacy=False):
        result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


def test_public_functions_have_examples() -> None:
    without = [
        name
        for name in deepgemm.__all__
        if callable(getattr(deepgemm, name))
        and not (isinstance(getattr(deepgemm, name), type) and issubclass(getattr(deepgemm, name), Exception))
        and ">>>" not in (getattr(deepgemm, name).__doc__ or "")
    ]
    assert without == []
