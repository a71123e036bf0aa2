"""Tokens by expert and back: the order is that of the tokens, and sums are those of a sparse product."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import dtypes, reference
from deepgemm.testing import assert_same, random_values

pytestmark = pytest.mark.usefixtures("three_threads")


def routed(n=57, k=2, experts=7, dtype="f4", row=(5,)):
    rng = np.random.default_rng(n * 10 + k)
    ids = rng.integers(0, experts, (n, k))
    ids[ids == 3] = 4  # an expert without tokens
    return random_values("t", (n, *row), dtype), ids, random_values("w", (n, k), "f4")


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", dtypes.bfloat16, "F"], ids=str)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_there_and_back(dtype, k):
    tokens, ids, weights = routed(k=k, dtype=dtype)
    groups = dg.group_by_expert(tokens, ids, weights, experts=9)
    assert len(groups.tokens) == 9
    for expert, part in enumerate(groups.tokens):
        assert_same(part, tokens[np.nonzero(ids == expert)[0]])
    assert_same(groups.tokens.values, tokens[groups.rows])
    found = groups.combine(groups.tokens)
    assert found.dtype == tokens.dtype
    places = np.argsort(np.argsort(ids.reshape(-1), kind="stable"), kind="stable").reshape(ids.shape)
    back = dg.CSR((weights.reshape(-1), places.reshape(-1), np.arange(len(ids) + 1) * k))
    assert_same(found, reference.matmul(back, groups.tokens.values, dtype=tokens.dtype))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_expert_layer(threads):
    tokens, ids, weights = routed(200, 2, 6, row=(16,))
    matrices = random_values("W", (6, 16, 24), "f4")
    with dg.threads(threads):
        groups = dg.group_by_expert(tokens, ids, weights, experts=6)
        found = groups.combine(dg.grouped_matmul(groups.tokens, matrices))
    wanted = np.einsum("tk,tkn->tn", weights, np.einsum("tc,tkcn->tkn", tokens, matrices[ids]))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_one_expert_each_and_no_weights():
    tokens, ids, _ = routed(k=1)
    flat = dg.group_by_expert(tokens, ids[:, 0])
    assert_same(flat.combine(flat.tokens), tokens)
    assert_same(flat.tokens.values, dg.group_by_expert(tokens, ids).tokens.values)
    numbers = dg.group_by_expert(np.arange(4), [1, 0, 1, 0])
    assert numbers.tokens.to_list() == [[1, 3], [0, 2]]
    assert numbers.combine(numbers.tokens * 2).tolist() == [0, 2, 4, 6]
    halves = dg.group_by_expert(np.arange(4), [1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5])
    assert halves.combine(halves.tokens).tolist() == [0.0, 0.5, 1.0, 1.5]
    twice = dg.group_by_expert(np.ones((1, 2)), [[2, 2]])
    assert twice.combine(twice.tokens).tolist() == [[2.0, 2.0]]


def test_rows_of_any_shape_and_wider_results():
    tokens, ids, weights = routed(row=(2, 3))
    groups = dg.group_by_expert(tokens, ids, weights)
    assert groups.combine(groups.tokens).shape == (57, 2, 3)
    assert groups.combine(groups.tokens, dtype="f8").dtype == np.float64
    cut = dg.Ragged(np.zeros((groups.tokens.total + 7, 4), "f4"),
                    np.concatenate((groups.tokens.offsets[:-1], [groups.tokens.total + 7])),
                    lengths=groups.tokens.lengths)  # fmt: skip
    assert groups.combine(cut).shape == (57, 4)
    assert "experts=7" in repr(groups)


def test_nothing_to_route():
    groups = dg.group_by_expert(np.zeros((0, 3), "f4"), np.zeros((0, 2), int), experts=4)
    assert groups.tokens.lengths.tolist() == [0] * 4
    assert groups.combine(groups.tokens).shape == (0, 3)
    none = dg.group_by_expert(np.zeros((5, 3), "f4"), np.zeros((5, 0), int), experts=2)
    assert none.combine(none.tokens).tolist() == np.zeros((5, 3)).tolist()
    assert len(dg.group_by_expert(np.zeros((0, 3)), []).tokens) == 0


def test_bad_input():
    tokens, ids, weights = routed()
    group = dg.group_by_expert
    with pytest.raises(dg.FormatError, match=r"expert_ids\[0, 1\] is 9, expected 0 to 8"):
        group(tokens, np.where(np.arange(2) == 1, 9, ids), experts=9)
    with pytest.raises(dg.FormatError, match=r"expert_ids\[4\] is -1, expected 0 to"):
        group(tokens, np.where(np.arange(57) == 4, -1, ids[:, 0]))
    with pytest.raises(dg.FormatError, match=r"expert_ids\[0, 0\] is \d, expected none, as there are no"):
        group(tokens, ids, experts=0)
    with pytest.raises(dg.ShapeError, match=r"expert_ids has shape \(56, 2\), expected \(57,\) or \(57, k\)"):
        group(tokens, ids[1:])
    with pytest.raises(dg.DTypeError, match="expert_ids has dtype float64, expected integers"):
        group(tokens, ids.astype("f8"))
    with pytest.raises(dg.ShapeError, match=r"weights has shape \(57, 1\), but expert_ids has \(57, 2\)"):
        group(tokens, ids, weights[:, :1])
    with pytest.raises(dg.DTypeError, match="weights has dtype int64, expected floating-point numbers"):
        group(tokens, ids, ids)
    with pytest.raises(dg.ShapeError, match="tokens is a scalar"):
        group(3.0, ids)
    with pytest.raises(ValueError, match="experts is -1, expected at least 0"):
        group(tokens, ids, experts=-1)
    groups = group(tokens, ids)
    with pytest.raises(dg.FormatError, match="combine: outputs is a ndarray, expected a Ragged"):
        groups.combine(tokens)
    with pytest.raises(dg.ShapeError, match="combine: outputs has 6 segments for 7 experts"):
        groups.combine(groups.tokens[:6])
    moved = np.roll(groups.tokens.lengths, 1)
    with pytest.raises(dg.ShapeError, match=r"segment \d has \d+ rows, but expert \d has \d+ tokens"):
        groups.combine(dg.Ragged(groups.tokens.values, lengths=moved))


@pytest.mark.parametrize("softmax", ["chosen", "all"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", dtypes.bfloat16], ids=str)
@pytest.mark.parametrize(("n", "experts", "k"), [(0, 4, 2), (1, 1, 1), (37, 8, 2), (20, 17, 17), (9, 64, 6)])
def test_gating_is_as_stated(n, experts, k, dtype, softmax):
    scores = np.round(random_values("s", (n, experts), dtype).astype("f4") * 4).astype(dtype)  # with ties
    if n > 5:
        scores[3, 0], scores[4], scores[5, -1] = np.nan, -np.inf, np.inf
    for given in (scores, np.asfortranarray(scores), scores[::-1][::-1]):
        ids, weights = dg.topk_gating(given, k, softmax=softmax)
        wanted_ids, wanted = reference.topk_gating(scores, k, softmax)
        assert_same(ids, wanted_ids)
        assert weights.dtype == scores.dtype
        assert_same(weights, wanted)


def test_gating_refuses_what_it_cannot_do():
    scores = np.zeros((3, 4))
    with pytest.raises(dg.ShapeError, match="topk_gating: scores has 1 dimensions, expected 2"):
        dg.topk_gating(scores[0], 1)
    for wrong in (scores.astype(int), scores.astype(complex)):
        with pytest.raises(dg.DTypeError, match="topk_gating: scores has dtype"):
            dg.topk_gating(wrong, 1)
    for k in (0, 1.5, "2"):
        with pytest.raises(ValueError, match="topk_gating: k is"):
            dg.topk_gating(scores, k)
    with pytest.raises(ValueError, match="topk_gating: k is 5, but there are 4 experts"):
        dg.topk_gating(scores, 5)
    with pytest.raises(ValueError, match="topk_gating: softmax is 'both', expected one of: chosen, all"):
        dg.topk_gating(scores, 1, softmax="both")
