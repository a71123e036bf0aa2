"""Generated sequences of ids: stated skews, and the same ones each time."""

from __future__ import annotations

import numpy as np
import pytest
from deepgemm.datasets import sequences

from deepgemm import ShapeError


def test_they_repeat_themselves():
    first = sequences(300, 200, mean=10)
    assert first.equals(sequences(300, 200, mean=10))
    assert not first.equals(sequences(300, 200, mean=10, seed=1))


def test_skews():
    r = sequences(5000, 1000, mean=20)
    assert abs(r.lengths.mean() - 20) < 1
    assert r.max_length > 5 * r.lengths.mean()
    assert (r.values.min(), r.values.max()) == (0, 999)
    counts = np.sort(np.bincount(r.values))[::-1]
    assert counts[:10].sum() > 0.1 * r.total
    even = sequences(5000, 1000, mean=20, spread=0.0)
    assert even.max_length < 50


def test_options():
    assert sequences(100, 50, mean=30, longest=7).max_length == 7
    assert sequences(100, 50, dtype=np.int64).dtype == np.int64
    assert len(sequences(0, 5)) == 0
    assert sequences(3, 0).to_list() == [[], [], []]
    with pytest.raises(ShapeError, match="expected sizes of 0 or more"):
        sequences(-1, 5)
    with pytest.raises(ShapeError, match="entries were asked for"):
        sequences(10**6, 5, mean=1e9)
