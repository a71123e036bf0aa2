"""Picked and stacked rows (columns of CSC), which the core copies."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, testing

DTYPES = ("?", "i1", "f2", "f4", "f8", "F", "D", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2)


def same_parts(got, expected) -> None:
    for one, two in zip((got.data, got.indices, got.indptr), expected, strict=True):
        testing.assert_same(one, two)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_picks_against_scipy(dtype, index_dtype, threads):
    for case in testing.sparse_cases(dtype, index_dtype):
        parts = case.make()
        m = parts.shape[0]
        array = dg.CSR(parts.parts, shape=parts.shape)
        full = array.toarray()
        generator = np.random.default_rng(m)
        picks = [np.zeros(0, int), np.arange(m)[::-1], generator.random(m) < 0.5, slice(None, None, -2)]
        picks += [slice(m // 3, 2 * m // 3), slice(2, 1), slice(-5, None), slice(m, None), slice(None)]
        if m:
            picks.append(generator.integers(-m, m, 3 * m + 1))
            picks.append(np.int8([0, -1, 0]))
            picks.append([m - 1, -m])
        with dg.threads(threads):
            for pick in picks:
                got = array[pick]
                testing.assert_same(got.toarray(), full[pick], f"{case.name} {pick!r:.40}")
                assert (got.format, got.dtype, got.indices.dtype) == ("csr", array.dtype, index_dtype)
                assert got.has_canonical_format
                columns = array.T[:, pick]
                assert columns.format == "csc"
                testing.assert_same(columns.toarray(), full[pick].T, f"{case.name} {pick!r:.40}")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
def test_many_rows_of_all_lengths(threads, index_dtype):
    generator = np.random.default_rng(0)
    lengths = np.minimum(5000, generator.pareto(0.8, 4000) * 5).astype(int)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(index_dtype)
    indices = np.concatenate([np.arange(k) for k in lengths]).astype(index_dtype)
    data = np.arange(len(indices), dtype=np.float32)
    array = dg.CSR((data, indices, indptr), shape=(4000, 5000))
    picks = generator.integers(-4000, 4000, 9000)
    with dg.threads(threads):
        got, stacked = array[picks], dg.vstack([array, array[:0], array[100:200], array])
    kept = np.concatenate([np.arange(indptr[i], indptr[i] + lengths[i]) for i in picks % 4000])
    start = np.concatenate([[0], np.cumsum(lengths[picks % 4000])]).astype(index_dtype)
    same_parts(got, (data[kept], indices[kept], start))
    theirs = array.to_scipy()
    wanted = [theirs, theirs[100:200], theirs]
    same_parts(
        stacked,
        (
            np.concatenate([one.data for one in wanted]),
            np.concatenate([one.indices for one in wanted]),
            np.concatenate([[0], np.cumsum(np.concatenate([np.diff(one.indptr) for one in wanted]))]).astype(
                index_dtype
            ),
        ),
    )


def test_slices_share_memory(matrix):
    array = dg.CSR(matrix)
    part = array[2:4]
    assert np.shares_memory(part.data, matrix.data)
    assert not part.data.flags.writeable
    testing.assert_same(part @ np.arange(5.0), (array @ np.arange(5.0))[2:4])
    assert not np.shares_memory(part.copy().data, matrix.data)
    assert array[:] is array  # immutable
    csc = array.tocsc()
    assert np.shares_memory(csc[:, 1:3].data, csc.data)


def test_indices_widen_before_int32_overflows():
    """With a smaller bound in the place of 2**31 - 1."""
    array = dg.CSR(np.eye(4, dtype=np.float32))
    picks = np.array([3, 1, 1])
    for most, width in ((2, np.int64), (3, np.int32)):
        parts = _core.gather_rows("row", array.indptr, array.indices, array.data, picks, most_int32=most)
        testing.assert_same(parts[0], np.ones(3, np.float32))
        testing.assert_same(parts[1], np.array([3, 1, 1], width))
        testing.assert_same(parts[2], np.array([0, 1, 2, 3], width))
    for most, width in ((7, np.int64), (8, np.int32)):
        parts = _core.stack_rows([(array.data, array.indices, array.indptr)] * 2, most_int32=most)
        testing.assert_same(parts[1], np.array([0, 1, 2, 3, 0, 1, 2, 3], width))
        testing.assert_same(parts[2], np.arange(9, dtype=width))


def test_stacking_mixes_widths_and_formats(matrix):
    narrow = dg.CSR(matrix)
    wide = dg.CSR((narrow.data, narrow.indices.astype("i8"), narrow.indptr.astype("i8")), shape=(4, 5))
    for blocks in ([narrow, wide], [wide, narrow.tocsc()], [narrow.tocoo(), wide.tobsr((1, 1)), matrix]):
        got = dg.vstack(blocks)
        assert got.indices.dtype == np.int64
        testing.assert_same(got.toarray(), np.vstack([matrix.toarray()] * len(blocks)))
        beside = dg.hstack([block.T for block in blocks], format="csc")
        assert (beside.format, beside.indices.dtype) == ("csc", np.int64)
        testing.assert_same(beside.toarray(), got.toarray().T)


REFUSED = [
    (np.s_[[0, 4]], "CSR: row 4 at position 1 is out of range for 4"),
    (np.s_[[0, 1, -5]], "CSR: row -5 at position 2 is out of range for 4"),
    (np.s_[np.array([2**63], np.uint64)], "CSR: row 9223372036854775808 is out of range for 4"),
    (np.s_[[True, False]], "CSR: rows: the mask has 2 entries, expected 4"),
    (np.s_[np.zeros(4)], "CSR: indices must be integers, slices or masks, got array"),
    (np.s_[[0.5]], "CSR: indices must be integers, slices or masks, got [0.5]"),
    (np.s_[["a"]], "CSR: indices must be integers, slices or masks, got ['a']"),
    (np.s_[7], "row 7 is out of range for 4 rows"),
]


@pytest.mark.parametrize(("key", "message"), REFUSED, ids=lambda part: str(part)[:30])
def test_refusals(key, message, matrix):
    with pytest.raises(IndexError, match=re.escape(message)):
        dg.CSR(matrix)[key]


def test_refusals_name_columns_for_csc(matrix):
    with pytest.raises(IndexError, match="CSC: column 5 at position 0 is out of range for 5"):
        dg.CSC(matrix)[:, [5]]
    with pytest.raises(IndexError, match=re.escape("CSC: columns: the mask has 4 entries, expected 5")):
        dg.CSC(matrix)[:, [True] * 4]


def test_first_bad_pick_is_named_by_any_thread(matrix):
    picks = np.zeros(100_000, int)
    picks[70_000:] = 9
    for threads in (1, 2, 3):
        with dg.threads(threads), pytest.raises(IndexError, match="row 9 at position 70000 is out of range"):
            dg.CSR(matrix)[picks]


def test_millions_of_empty_rows():
    m = 3_000_000
    indptr = np.zeros(m + 1, np.int32)
    indptr[-1] = 2
    array = dg.CSR(([1.0, 2.0], [0, 1], indptr), shape=(m, 2))
    picked = array[np.arange(m)[::-1]]
    assert picked.nnz == 2
    assert picked.indptr[1] == 2
    assert dg.vstack([array, array]).indptr[-1] == 4
    assert array[np.zeros(0, int)].shape == (0, 2)
    assert array[np.zeros(m, bool)].nnz == 0


def test_nothing_is_changed(matrix):
    before, picks = matrix.copy(), np.array([-1, 0])
    array = dg.CSR(matrix)
    array[picks], dg.vstack([array, array])
    assert picks.tolist() == [-1, 0]
    for one, two in zip((matrix.data, matrix.indices), (before.data, before.indices), strict=True):
        testing.assert_same(one, two)
