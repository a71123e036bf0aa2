"""Random input, mostly malformed: it makes a ragged array or raises one of our errors; and properties."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deepgemm as dg
from deepgemm.errors import DTypeError, FormatError, ShapeError
from deepgemm.testing import assert_segments as same

OURS = (ShapeError, DTypeError, FormatError)
QUIET = settings(max_examples=200, deadline=None, print_blob=True)

integers = st.one_of(
    st.none(),
    st.none(),
    hnp.arrays(np.int64, st.integers(0, 6), elements=st.integers(-3, 12)),
    hnp.arrays(np.int32, st.integers(0, 6), elements=st.integers(0, 8)).map(np.sort),
    hnp.arrays(np.int64, st.integers(0, 4), elements=st.integers(-(2**63), 2**63 - 1)),
    hnp.arrays(np.uint64, st.integers(0, 3)),
    hnp.arrays(np.float64, st.integers(0, 3)),
)
buffers = hnp.arrays(
    st.sampled_from([np.float32, np.float16, np.int8, np.complex64, np.bool_]),
    st.one_of(st.tuples(st.integers(0, 8)), st.tuples(st.integers(0, 8), st.integers(0, 3))),
)
segment_lists = st.lists(st.lists(st.integers(-100, 100), max_size=7), max_size=8)


def exercise(array):
    """Use everything that reads the structure; the results must agree."""
    parts = list(array)
    assert [len(part) for part in parts] == array.lengths.tolist()
    same(array.packed(), parts)
    same(array[::-1], parts[::-1])
    same(array[:, 1:], [part[1:] for part in parts])
    same(dg.Ragged.from_padded(array.to_padded(), array.lengths), parts)
    same(np.concatenate([array, array], axis=1), [np.concatenate([part, part]) for part in parts])
    assert repr(array)
    assert array._repr_html_()


@QUIET
@given(buffers, integers, integers, integers, integers)
def test_any_parts(values, offsets, lengths, ends, starts):
    given_parts = [values, offsets, lengths, ends, starts]
    before = [None if part is None else part.copy() for part in given_parts]
    with contextlib.suppress(*OURS):
        exercise(dg.Ragged(values, offsets, lengths=lengths, ends=ends, starts=starts))
    for part, old in zip(given_parts, before, strict=True):
        assert part is None or np.array_equal(part, old, equal_nan=part.dtype.kind in "fc")


@QUIET
@given(
    st.one_of(
        st.none(), st.text(max_size=3), st.integers(), st.floats(), st.binary(max_size=4),
        st.lists(st.one_of(st.integers(), st.text(max_size=1), st.lists(st.integers(-3, 3), max_size=3))),
        st.lists(st.lists(st.one_of(st.floats(), st.lists(st.booleans(), max_size=2)), max_size=3)),
    )
)  # fmt: skip
def test_anything_at_all(arg):
    with contextlib.suppress(*OURS):
        exercise(dg.Ragged(arg))


@QUIET
@given(segment_lists, st.data())
def test_indexing_is_that_of_a_list(lists, data):
    array = dg.Ragged(lists, dtype=np.int64)
    bound = st.one_of(st.none(), st.integers(-10, 10))
    cut = slice(data.draw(bound), data.draw(bound), data.draw(st.sampled_from([None, 1, 2, -1, -2])))
    assert array[cut].to_list() == lists[cut]
    inner = slice(data.draw(bound), data.draw(bound))
    assert array[:, inner].to_list() == [segment[inner] for segment in lists]
    assert array[cut, inner].to_list() == [segment[inner] for segment in lists[cut]]
    chosen = data.draw(st.lists(st.integers(0, max(len(lists) - 1, 0)), max_size=5 if lists else 0))
    assert array[chosen].to_list() == [lists[number] for number in chosen]
    again = array[:, inner][chosen]
    assert (again + 1).to_list() == [[x + 1 for x in lists[number][inner]] for number in chosen]


@QUIET
@given(segment_lists)
def test_dialects_agree(lists):
    array = dg.Ragged(lists, dtype=np.int64)
    for other in (
        dg.Ragged(array.values, ends=array.ends),
        dg.Ragged(array.values, starts=array.starts) if len(array) else array,
        dg.Ragged.from_lengths(array.values, array.lengths),
        dg.Ragged.from_padded(array.to_padded(fill=7), array.lengths),
    ):
        assert other.equals(array)
        assert other.to_list() == lists
