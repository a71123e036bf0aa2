"""Ragged arrays as immutable values: staleness, copies, pickles, memory maps."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import deepgemm as dg


def test_changed_memory_is_noticed():
    values, offsets = np.arange(6.0), np.array([0, 2, 6])
    uses = [
        lambda r: r + 1, lambda r: r[0], lambda r: r[:1], lambda r: list(r), lambda r: r.to_padded(),
        lambda r: r.packed(), lambda r: r.astype("f4"), lambda r: r.with_values(values), lambda r: r.copy(),
        lambda r: dg.Ragged(r), lambda r: pickle.dumps(r), lambda r: np.concatenate([r]), lambda r: np.exp(r),
    ]  # fmt: skip
    for use in uses:
        for part in (values, offsets):
            array = dg.Ragged(values, offsets)
            part[-1] += 1
            with pytest.raises(dg.StaleDataError, match="Ragged: memory that this array shares was changed"):
                use(array)
            part[-1] -= 1
            use(array)


def test_private_memory_may_change():
    values, offsets = np.arange(6.0), np.array([0, 2, 6])
    array = dg.Ragged(values, offsets, copy=True)
    values[:] = 0
    offsets[:] = 0
    assert array.to_list() == [[0, 1], [2, 3, 4, 5]]


def test_copies(ragged):
    private = copy.deepcopy(ragged)
    assert private.equals(ragged)
    assert private.has_gaps == ragged.has_gaps
    assert not np.shares_memory(private.values, ragged.values)
    assert copy.copy(ragged) is ragged


@pytest.mark.parametrize("dtype", [None, dg.bfloat16, np.int8])
def test_pickles(ragged, dtype):
    array = ragged if dtype is None else ragged.astype(dtype)
    back = pickle.loads(pickle.dumps(array))
    assert back.equals(array)
    assert back.has_gaps == array.has_gaps
    assert back.offsets.dtype == array.offsets.dtype
    buffers = []
    data = pickle.dumps(array, protocol=5, buffer_callback=buffers.append)
    assert len(buffers) >= 2
    assert np.shares_memory(pickle.loads(data, buffers=buffers).values, array.values)


def test_a_pickle_is_validated():
    data = pickle.dumps(dg.Ragged(np.arange(3, dtype=np.int8), np.array([0, 1, 3], np.int32)))
    broken = data.replace(np.array([0, 1, 3], np.int32).tobytes(), np.array([0, 9, 3], np.int32).tobytes())
    assert broken != data
    with pytest.raises(dg.FormatError, match="segment 1 ends at 3, before its start at 9"):
        pickle.loads(broken)


def test_memory_maps_and_read_only_input(tmp_path):
    path = tmp_path / "values.npy"
    np.save(path, np.arange(6.0))
    mapped = np.load(path, mmap_mode="r")
    array = dg.Ragged(mapped, [0, 2, 6])
    assert np.shares_memory(array.values, mapped)
    assert type(array.values) is np.ndarray
    assert (array + 1).to_list() == [[1, 2], [3, 4, 5, 6]]
