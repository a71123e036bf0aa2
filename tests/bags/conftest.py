"""What holds for the tests of embedding bags: they may ask for three threads."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def threads_of_all(three_threads):
    """Every module gets them."""
