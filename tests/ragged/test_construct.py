"""What ragged arrays are made of, in every dialect, and what is shared."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import dtypes
from deepgemm.testing import SEGMENT_LENGTHS as LENGTHS
from deepgemm.testing import assert_segments as same

OFFSETS = np.concatenate(([0], np.cumsum(LENGTHS)))
VALUES = np.arange(OFFSETS[-1], dtype=np.float32)
PARTS = np.split(VALUES, OFFSETS[1:-1])


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_every_dialect_says_the_same(index):
    offsets, lengths = OFFSETS.astype(index), np.array(LENGTHS, index)
    made = [
        dg.Ragged(VALUES, offsets),
        dg.Ragged(VALUES, offsets=offsets.tolist()),
        dg.Ragged(VALUES, ends=offsets[1:]),
        dg.Ragged(VALUES, starts=offsets[:-1]),
        dg.Ragged(VALUES, lengths=lengths),
        dg.Ragged.from_lengths(VALUES, lengths),
        dg.Ragged(VALUES, offsets, lengths=lengths),
        dg.Ragged(PARTS),
        dg.Ragged(iter([part.tolist() for part in PARTS]), dtype=np.float32),
    ]
    for array in made:
        same(array, PARTS)
        assert array.equals(made[0])
        assert not array.has_gaps
        assert np.array_equal(array.starts, OFFSETS[:-1])
        assert np.array_equal(array.ends, OFFSETS[1:])
        assert np.array_equal(array.lengths, LENGTHS)
    assert all(made[number].offsets.dtype == index for number in (0, 2, 3, 4, 5, 6))


def test_facts(ragged, parts):
    assert len(ragged) == len(LENGTHS)
    assert ragged.shape == (len(LENGTHS), None, *parts[0].shape[1:])
    assert ragged.ndim == parts[0].ndim + 1
    assert ragged.total == sum(LENGTHS)
    assert ragged.size == sum(part.size for part in parts)
    assert ragged.max_length == max(LENGTHS)
    assert ragged.nbytes >= ragged.values.nbytes
    assert ragged.dtype == np.float64
    assert ragged.to_list() == [part.tolist() for part in parts]


def test_memory_is_shared_and_read_only():
    array = dg.Ragged(VALUES, OFFSETS)
    assert np.shares_memory(array.values, VALUES)
    assert np.shares_memory(array.offsets, OFFSETS)
    for view in (array.values, array.offsets, array.lengths, array.starts, array.ends, array[3]):
        assert not view.flags.writeable
    private = dg.Ragged(VALUES, OFFSETS, copy=True)
    assert not np.shares_memory(private.values, VALUES)
    assert not np.shares_memory(private.offsets, OFFSETS)
    assert VALUES.flags.writeable
    assert OFFSETS.flags.writeable
    assert np.shares_memory(dg.Ragged(array).values, VALUES)
    assert not np.shares_memory(dg.Ragged(array, copy=True).values, VALUES)


@pytest.mark.parametrize("dtype", [*dtypes._STORED, ">f4"], ids=str)
def test_dtypes(dtype):
    values = (np.arange(6) % 2).astype(dtype).reshape(3, 2)
    array = dg.Ragged(values, [0, 1, 3])
    assert array.dtype == dtypes.canonical(dtype)
    same(array, [values[:1], values[1:]])
    assert dg.Ragged([values[:1], [], values[1:]]).dtype == array.dtype
    assert array.astype(np.complex128).equals(dg.Ragged(values.astype(np.complex128), [0, 1, 3]))


def test_lists_of_mixed_dtypes_and_empty_lists():
    assert dg.Ragged([[1, 2], [], [3]]).dtype == np.int64
    assert dg.Ragged([[1, 2], [0.5]]).dtype == np.float64
    assert dg.Ragged([np.ones(2, dg.bfloat16), np.ones(1, np.float16)]).dtype == np.float32
    assert dg.Ragged([[], np.ones((2, 3), np.int8)]).row_shape == (3,)
    assert dg.Ragged([np.ones((0, 3)), np.ones((2, 3))]).lengths.tolist() == [0, 2]
    nothing = dg.Ragged([])
    assert (len(nothing), nothing.total, nothing.dtype, nothing.max_length) == (0, 0, np.float64, 0)
    assert dg.Ragged([[], []]).lengths.tolist() == [0, 0]
    assert dg.Ragged(np.arange(6).reshape(2, 3)).to_list() == [[0, 1, 2], [3, 4, 5]]


def test_layouts_that_are_copied():
    for values in (
        VALUES[::-1],
        np.asfortranarray(np.ones((5, 3))),
        np.frombuffer(b"\0" * 9, "u1")[1:].view("f4"),
    ):
        array = dg.Ragged(values, [0, len(values)])
        np.testing.assert_array_equal(array[0], values)
        assert array.values.flags.c_contiguous
        assert array.values.flags.aligned
    strided = dg.Ragged(VALUES, OFFSETS.repeat(2)[::2])
    same(strided, PARTS)


def test_gaps():
    array = dg.Ragged(np.arange(10), [0, 4, 6, 10], lengths=[2, 2, 1])
    assert array.has_gaps
    assert array.to_list() == [[0, 1], [4, 5], [6]]
    assert array.ends.tolist() == [2, 6, 7]
    assert (array.total, array.size) == (5, 5)
    packed = array.packed()
    assert packed.equals(array)
    assert packed.values.tolist() == [0, 1, 4, 5, 6]
    assert packed.packed() is packed
    assert np.shares_memory(array.values, dg.Ragged(array).values)


def test_with_values_and_broadcast(ragged, parts):
    doubled = ragged.with_values(ragged.values * 2)
    same(doubled, [part * 2 for part in parts])
    assert np.shares_memory(doubled.offsets, ragged.offsets)
    spread = ragged.broadcast(np.arange(len(ragged)))
    same(spread, [np.full(n, number) for number, n in enumerate(LENGTHS)])
    wide = ragged.broadcast(np.arange(2 * len(ragged)).reshape(-1, 2))
    assert wide.row_shape == (2,)


def test_equality_of_arrays(ragged):
    assert ragged.equals(ragged.packed())
    assert not ragged.equals(ragged.astype(np.float32))
    assert not ragged.equals(ragged[:-1])
    assert not ragged.equals(None)
    nan = dg.Ragged([[np.nan], []])
    assert nan.equals(nan.copy())


def test_repr_and_html(ragged):
    line = repr(ragged)
    assert line.startswith(f"Ragged(segments={len(LENGTHS)}, rows={sum(LENGTHS)}, ")
    assert ("gaps=True" in line) == ragged.has_gaps
    assert "lengths=0 to 17" in line
    page = ragged._repr_html_()
    assert page.count("<div") == page.count("</div")
    assert "padded, 77% would be waste" in page
    assert "<svg" not in dg.Ragged([])._repr_html_()
    assert "lengths=none" in repr(dg.Ragged([]))
    assert "lengths=2," in repr(dg.Ragged([[1, 2], [3, 4]]))
