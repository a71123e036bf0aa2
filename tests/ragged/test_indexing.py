"""Indexing by segment and within segments, against lists of arrays."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.testing import SEGMENT_LENGTHS as LENGTHS
from deepgemm.testing import assert_segments as same

N = len(LENGTHS)


def test_one_segment(ragged, parts):
    for number in range(-N, N):
        np.testing.assert_array_equal(ragged[number], parts[number])
        np.testing.assert_array_equal(ragged[np.int32(number)], parts[number])
        assert np.shares_memory(ragged[number], ragged.values) or not parts[number].size
    for number in (N, -N - 1):
        with pytest.raises(IndexError, match=f"segment {number} is out of range for 8 segments"):
            ragged[number]


@pytest.mark.parametrize("begin", [None, -9, -3, 0, 2, 8, 20])
@pytest.mark.parametrize("end", [None, -8, 0, 1, 5, 9])
@pytest.mark.parametrize("step", [None, 1, 2, -1, -3])
def test_slices(ragged, parts, begin, end, step):
    cut = slice(begin, end, step)
    found = ragged[cut]
    same(found, parts[cut])
    if step in (None, 1):
        assert np.shares_memory(found.values, ragged.values) or not found.values.size


def test_arrays_and_masks(ragged, parts):
    for index in ([], [0], [3, 3, -1, 0], np.array([7, 1], np.uint8), np.arange(8)[::-1]):
        found = ragged[index]
        same(found, [parts[number] for number in index])
        assert not found.has_gaps
    mask = np.array(LENGTHS) > 1
    same(ragged[mask], [part for part, kept in zip(parts, mask, strict=True) if kept])
    same(ragged[mask.tolist()], [part for part, kept in zip(parts, mask, strict=True) if kept])
    same(ragged[...], parts)


@pytest.mark.parametrize("begin", [None, -4, 0, 1, 3])
@pytest.mark.parametrize("end", [None, -2, 0, 2, 4, 10**12])
def test_slices_within_segments(ragged, parts, begin, end):
    found = ragged[:, begin:end]
    same(found, [part[begin:end] for part in parts])
    assert np.shares_memory(found.values, ragged.values) or not found.values.size
    same(found.packed(), [part[begin:end] for part in parts])
    same(ragged[2:6, begin:end], [part[begin:end] for part in parts[2:6]])
    np.testing.assert_array_equal(ragged[3, begin:end], parts[3][begin:end])


def test_positions_within_segments(ragged, parts):
    some = [number for number, n in enumerate(LENGTHS) if n]
    for position in (0, -1):
        expected = np.stack([parts[number][position] for number in some])
        np.testing.assert_array_equal(ragged[some, position], expected)
        with pytest.raises(
            IndexError, match=f"position {position} is out of range for segment 1, which has 0"
        ):
            ragged[:, position]
    np.testing.assert_array_equal(ragged[3, 5], parts[3][5])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ([8], r"index\[0\] is 8, out of range for 8 segments"),
        ([0, -9], r"index\[1\] is -9, out of range"),
        ([True], "the mask has 1 entries for 8 segments"),
        ([0.5], "the index has dtype float64, expected integers or a mask"),
        ([[0]], "the index has 2 dimensions, expected 1"),
        ("a", "the index has 0 dimensions, expected 1"),
        (None, "the index has 0 dimensions, expected 1"),
        ((0, 0, 0), "Ragged takes one or two indices, got 3"),
        ((slice(None), slice(None, None, -1)), "the second index is slice.*, expected an integer or a slice"),
        ((slice(None), [0]), r"the second index is \[0\], expected an integer or a slice of step 1"),
    ],
)
def test_keys_that_are_none(key, message):
    array = dg.Ragged.from_lengths(np.arange(sum(LENGTHS)), LENGTHS)
    with pytest.raises(IndexError, match=message):
        array[key]


def test_iteration_and_length(ragged, parts):
    assert len(list(ragged)) == len(ragged) == N
    for found, expected in zip(ragged, parts, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert not found.flags.writeable


def test_of_nothing():
    nothing = dg.Ragged([])
    assert nothing[:].to_list() == nothing[[]].to_list() == nothing[:, 1:].to_list() == []
    assert nothing[np.zeros(0, bool)].to_list() == []
