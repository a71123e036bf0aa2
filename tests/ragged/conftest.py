"""Ragged arrays that several of these tests use."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.testing import SEGMENT_LENGTHS as LENGTHS


@pytest.fixture(params=["packed", "gaps", "rows", "int32"])
def ragged(request):
    """The same lengths with and without gaps, with rows of numbers and of arrays."""
    rng = np.random.default_rng(0)
    row = (2, 3) if request.param == "rows" else ()
    offsets = np.concatenate(([0], np.cumsum(LENGTHS)))
    if request.param == "gaps":
        offsets += 2 * np.arange(len(offsets))
        return dg.Ragged(rng.standard_normal(offsets[-1]), offsets, lengths=LENGTHS)
    if request.param == "int32":
        offsets = offsets.astype(np.int32)
    return dg.Ragged(rng.standard_normal((offsets[-1], *row)), offsets)


@pytest.fixture
def parts(ragged):
    """The segments of `ragged` as plain arrays."""
    return [ragged.values[start : start + n] for start, n in zip(ragged.starts, ragged.lengths, strict=True)]
