"""Attention within segments: exact on every ISA and number of threads, against plain NumPy, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference
from deepgemm.testing import assert_same, random_values

ISAS = _core.cpu_info()["usable"]
# Around the tiles and panels of each ISA; segments without queries or keys; a long one among short ones.
QUERIES = (1, 2, 0, 5, 13, 14, 15, 3, 33, 80, 1, 4)
KEYS = (1, 7, 3, 5, 17, 14, 16, 0, 64, 80, 600, 1)
WINDOWS = [(None, None), (0, 0), (3, 1), (20, None), (None, 2), (0, 40)]

pytestmark = pytest.mark.usefixtures("three_threads")


def operands(dtype, heads=2, key_heads=1, width=8, values=8, queries=QUERIES, keys=KEYS, gaps=False):
    def make(name, lengths, *row):
        lengths = np.array(lengths, np.int64)
        offsets = np.concatenate(([0], np.cumsum(lengths + 3 * gaps)))
        return dg.Ragged(random_values(name, (int(offsets[-1]), *row), dtype), offsets, lengths=lengths)

    return (
        make("q", queries, heads, width),
        make("k", keys, key_heads, width),
        make("v", keys, key_heads, values),
    )


def check(q, k, v, causal=False, scale=None, window=(None, None), **options):
    found = dg.ragged_attention(q, k, v, causal, scale, window, **options)
    assert np.array_equal(found.lengths, q.lengths)
    assert found.dtype == q.dtype
    expected = reference.ragged_attention(q, k, v, causal, scale, window)
    assert_same(found.values, expected, f"{q} {k} {causal} {window}")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", dtypes.bfloat16], ids=str)
def test_every_kernel_is_exact(dtype, isa, threads):
    for sizes in ((2, 1, 8, 8), (1, 1, 17, 33), (6, 2, 3, 1), (3, 3, 16, 70)):
        check(*operands(dtype, *sizes), threads=threads, kernel=isa)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_what_a_query_sees(causal, window, isa):
    check(*operands("f4", 2, 1), causal, None, window, kernel=isa)
    check(*operands("f8", 3, 3), causal, 0.5, window, kernel=isa)


@pytest.mark.parametrize("isa", ISAS)
def test_keys_of_several_blocks(isa):
    for causal, window in ((False, (None, None)), (True, (None, None)), (True, (700, None))):
        q, k, v = operands("f4", 2, 2, 5, 6, [31, 2], [1100, 513])
        check(q, k, v, causal, None, window, kernel=isa)
    check(*operands("f4", 1, 1, 600, 4, [3, 20], [40, 3]), kernel=isa)


@pytest.mark.parametrize("isa", ISAS)
def test_values_that_are_not_finite(isa):
    q, k, v = operands("f4")
    for special in (np.nan, np.inf, -np.inf, 3e38):
        for which in range(3):
            parts = [q, k, v]
            values = parts[which].values.copy()
            values[::7] = special
            parts[which] = parts[which].with_values(values)
            check(*parts, kernel=isa)
            check(*parts, causal=True, kernel=isa)
            check(*parts, window=(2, 1), kernel=isa)
            check(*parts, scale=-2.0, kernel=isa)
    # What a query does not see leaves no trace, whatever it holds.
    later = v.values.copy()
    ends = np.flatnonzero(v.lengths == 80)
    later[v.ends[ends] - 1] = np.nan
    found = dg.ragged_attention(q, k, v.with_values(later), causal=True)
    assert np.isfinite(found[int(ends[0])][:-1]).all()


def test_gaps_and_single_heads():
    q, k, v = operands("f4", gaps=True)
    assert q.has_gaps
    check(q, k, v, causal=True)
    flat = [dg.Ragged(r.values[:, 0].copy(), r.offsets, lengths=r.lengths) for r in (q, k, v)]
    found = dg.ragged_attention(*flat)
    assert found.row_shape == (8,)
    whole = [dg.Ragged(r.values[:, None], r.offsets, lengths=r.lengths) for r in flat]
    assert_same(found.values, dg.ragged_attention(*whole).values[:, 0])


@pytest.mark.parametrize(
    ("heads", "length", "window"), [(7, 512, (16, 16)), (7, 4096, (32, 0)), (14, 1008, 0)]
)
def test_a_long_segment_with_a_narrow_window(heads, length, window):
    """Each piece of a head packs its keys anew, so that the pieces are more work than the whole."""
    rng = np.random.default_rng(0)
    q = dg.Ragged(rng.standard_normal((length, heads, 64), dtype="f4"), [0, length])
    one = dg.ragged_attention(q, q, q, window=window, threads=1)
    for threads in (2, 3):
        assert one.equals(dg.ragged_attention(q, q, q, window=window, threads=threads))


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_threads_split_a_long_segment(index):
    lengths = np.array([4] * 30 + [700] + [3] * 30, index)
    rng = np.random.default_rng(0)
    q, k, v = (
        dg.Ragged(rng.standard_normal((int(lengths.sum()), 4, 32), dtype="f4"), lengths=lengths)
        for _ in range(3)
    )
    for causal in (False, True):
        one = dg.ragged_attention(q, k, v, causal, threads=1)
        assert one.equals(dg.ragged_attention(q, k, v, causal, threads=3))
        alone = dg.ragged_attention(q[30:31], k[30:31], v[30:31], causal)
        assert_same(one[30], alone.values)


@pytest.mark.parametrize("causal", [False, True])
def test_against_numpy(causal):
    q, k, v = operands("f8", 4, 2, 16, 12, queries=KEYS)
    found = dg.ragged_attention(q, k, v, causal)
    for got, a, b, c in zip(found, q, k, v, strict=True):
        for head in range(4):
            scores = a[:, head] @ b[:, head // 2].T / 4
            if causal:
                scores[np.triu_indices(len(scores), 1)] = -np.inf
            p = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
            wanted = p / p.sum(axis=1, keepdims=True) @ c[:, head // 2]
            np.testing.assert_allclose(got[:, head], wanted, rtol=1e-10, atol=1e-14)


def test_nothing_to_attend_to():
    q, k, v = operands("f4", queries=[0, 3], keys=[2, 0])
    assert dg.ragged_attention(q, k, v).values.tolist() == np.zeros((3, 2, 8)).tolist()
    none = operands("f4", queries=[], keys=[])
    assert len(dg.ragged_attention(*none)) == 0
    q, k, v = operands("f4", width=0)
    check(q, k, v)
    assert dg.ragged_attention(*operands("f4", values=0)).row_shape == (2, 0)


def test_window_of_one_number():
    q, k, v = operands("f4")
    assert dg.ragged_attention(q, k, v, window=3).equals(dg.ragged_attention(q, k, v, window=(3, 3)))
    assert dg.ragged_attention(q, k, v, window=10**30).equals(dg.ragged_attention(q, k, v))


def raises(error, message):
    return pytest.raises(error, match=f"ragged_attention: {message}")


def test_bad_input():
    attend = dg.ragged_attention
    q, k, v = operands("f4", queries=[2, 3], keys=[2, 3])
    with raises(dg.FormatError, "k is a ndarray, expected a Ragged"):
        attend(q, k.values, v)
    with raises(dg.DTypeError, "q has dtype int64, expected one of: float32, float64, float16, bfloat16"):
        attend(q.astype("i8"), k, v)
    with raises(dg.DTypeError, "v has dtype float64, but q has float32"):
        attend(q, k, v.astype("f8"))
    with raises(dg.ShapeError, "q has 2 segments, but k has 1"):
        attend(q, k[:1], v[:1])
    with raises(dg.ShapeError, "segment 1 has 3 keys but 1 values"):
        attend(q, k, dg.Ragged(v.values[:3], [0, 2, 3]))
    with raises(dg.ShapeError, "q has heads of 8 elements, but k has 7"):
        attend(q, dg.Ragged(k.values[:, :, :7].copy(), k.offsets), v)
    with raises(dg.ShapeError, "k has 1 heads, but v has 2"):
        attend(q, k, dg.Ragged(v.values.repeat(2, axis=1), v.offsets))
    with raises(dg.ShapeError, "q has 2 heads, which is no multiple of the 3 heads of k"):
        attend(q, *(dg.Ragged(r.values.repeat(3, axis=1), r.offsets) for r in (k, v)))
    with raises(dg.ShapeError, r"q has rows of shape \(\), expected"):
        attend(dg.Ragged([[1.0]], dtype="f4"), k, v)
    with raises(dg.ShapeError, r"q has rows of shape \(2, 8\), but k has \(8,\)"):
        attend(q, *(dg.Ragged(r.values[:, 0].copy(), r.offsets) for r in (k, v)))
    with raises(dg.FormatError, "window has 3 entries, expected 2"):
        attend(q, k, v, window=(1, 2, 3))
    with pytest.raises(ValueError, match="window is -1, expected at least 0"):
        attend(q, k, v, window=-1)
    for scale in (np.nan, np.inf, "x"):
        with raises(dg.FormatError, "scale is .*, expected a"):
            attend(q, k, v, scale=scale)
    with raises(dg.UnsupportedError, "kernel cannot be obeyed"):
        attend(q, k, v, kernel="gemm_packed")
