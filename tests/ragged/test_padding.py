"""Padded batches, masks and what they cost; joining of ragged arrays."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.testing import SEGMENT_LENGTHS as LENGTHS
from deepgemm.testing import assert_segments as same


@pytest.mark.parametrize("fill", [0, -1.5, np.nan])
@pytest.mark.parametrize("length", [None, 17, 20])
def test_there_and_back(ragged, parts, fill, length):
    batch = ragged.to_padded(fill, length)
    assert batch.shape == (len(ragged), length or max(LENGTHS), *ragged.row_shape)
    mask = ragged.mask(length)
    assert mask.sum(axis=1).tolist() == list(LENGTHS)
    np.testing.assert_array_equal(batch[~mask], np.full_like(batch[~mask], fill))
    back = dg.Ragged.from_padded(batch, ragged.lengths)
    same(back, parts)
    assert np.shares_memory(back.values, batch)
    assert batch.flags.writeable


@pytest.mark.parametrize("dtype", [dg.bfloat16, np.float16, np.int8, np.bool_, np.complex64])
def test_other_dtypes(dtype):
    r = dg.Ragged(np.ones(3, dtype), [0, 1, 3])
    assert r.to_padded().astype(complex).tolist() == [[1, 0], [1, 1]]
    assert r.to_padded(fill=1).astype(complex).tolist() == [[1, 1], [1, 1]]


def test_of_nothing():
    assert dg.Ragged([]).to_padded().shape == (0, 0)
    assert dg.Ragged([[], []]).to_padded(length=3).tolist() == [[0, 0, 0]] * 2
    assert dg.Ragged.from_padded(np.zeros((0, 4)), []).to_list() == []
    assert dg.Ragged.from_padded(np.zeros((2, 0)), [0, 0]).to_list() == [[], []]
    assert dg.Ragged([]).padding_waste() == (0, 0, 0, 0, 0)
    assert dg.Ragged([]).padding_waste().waste == dg.Ragged([]).padding_waste().pair_waste == 0.0


def test_waste(ragged):
    waste = ragged.padding_waste()
    total, longest, n = sum(LENGTHS), max(LENGTHS), len(LENGTHS)
    assert waste.rows == total
    assert waste.padded_rows == n * longest
    assert waste.pairs == sum(x * x for x in LENGTHS)
    assert waste.padded_pairs == n * longest**2
    assert waste.extra_bytes == ragged.to_padded().nbytes - ragged.packed().values.nbytes
    assert waste.waste == 1 - total / (n * longest)
    assert f"{waste.pair_waste:.0%}" in str(waste)


def test_joining(ragged, parts):
    same(np.concatenate([ragged, ragged[2:4]]), parts + parts[2:4])
    same(np.concatenate([ragged], axis=1), parts)
    longer = ragged.with_values(-ragged.values)[:, 1:]
    joined = np.concatenate([ragged, longer, ragged], axis=1)
    same(joined, [np.concatenate([part, -part[1:], part]) for part in parts])
    assert np.concatenate([ragged, ragged], dtype=np.float32).dtype == np.float32
    mixed = dg.sparse.concatenate([dg.Ragged([[1]], dtype=np.float16), dg.Ragged([[1]], dtype=dg.bfloat16)])
    assert mixed.dtype == np.float32
    only = np.concatenate([ragged])
    assert not np.shares_memory(only.values, ragged.values)
