"""The recommender models: ALS solves its systems, rankings are exact, and metrics are what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import datasets
from deepgemm.recommend import ImplicitALS, hold_out, ndcg_at, recall_at, similar_items, top_items
from deepgemm.recommend.als import solve
from deepgemm.testing import assert_same


def interactions(users=200, items=150, seed=0):
    return datasets.interactions(users, items, mean=12.0, seed=seed)


def test_enough_steps_solve_the_systems_exactly():
    taken = interactions(60, 50)
    extra = taken.with_data(taken.data * np.float32(4))
    rng = np.random.default_rng(0)
    other = rng.standard_normal((50, 8)).astype(np.float32)
    found = solve(extra, np.zeros((60, 8), np.float32), other, 0.5, steps=40)
    y = other.astype(float)
    dense = extra.toarray().astype(float)
    for user in range(60):
        system = y.T @ y + 0.5 * np.eye(8) + y.T @ (dense[user][:, None] * y)
        wanted = np.linalg.solve(system, y.T @ np.where(dense[user] > 0, dense[user] + 1, 0))
        np.testing.assert_allclose(found[user], wanted, rtol=1e-3, atol=1e-4)


def numpy_als(taken, users, items, regularization, alpha, iterations):
    """ALS with a direct solution for each user: plain and slow."""
    dense = taken.toarray().astype(float) * alpha

    def side(extra, y):
        gram = y.T @ y + regularization * np.eye(y.shape[1])
        return np.array(
            [np.linalg.solve(gram + y.T @ (c[:, None] * y), y.T @ np.where(c > 0, c + 1, 0)) for c in extra]
        )

    for _ in range(iterations):
        users = side(dense, items)
        items = side(dense.T, users)
    return users, items


def test_rankings_are_as_good_as_those_of_a_direct_solution():
    train, test = hold_out(interactions(300, 120), 0.3)
    ones = train.with_data(np.ones(train.nnz, np.float32))
    model = ImplicitALS(factors=12, regularization=1.0, alpha=10.0, iterations=12).fit(ones)
    rng = np.random.default_rng(0)
    start = rng.random((300, 12)), rng.random((120, 12))
    users, items = numpy_als(ones, *start, 1.0, 10.0, 12)
    ours, _ = top_items(model.user_factors, model.item_factors, 20, train)
    theirs, _ = top_items(users, items, 20, train)
    assert recall_at(ours, test) == pytest.approx(recall_at(theirs, test), abs=0.03)
    assert ndcg_at(ours, test) == pytest.approx(ndcg_at(theirs, test), abs=0.03)
    assert recall_at(ours, test) > 0.2


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured:RuntimeWarning")
def test_rankings_are_as_good_as_those_of_implicit():
    als = pytest.importorskip("implicit.als")
    train, test = hold_out(interactions(400, 180), 0.3)
    ones = train.with_data(np.ones(train.nnz, np.float32))
    model = ImplicitALS(factors=16, regularization=0.5, alpha=9.0, iterations=5, seed=4).fit(ones)
    theirs = als.AlternatingLeastSquares(
        factors=16, regularization=0.5, alpha=10.0, iterations=5, num_threads=1
    )
    rng = np.random.default_rng(4)
    theirs.user_factors = rng.random((400, 16), dtype=np.float32) * np.float32(0.01)
    theirs.item_factors = rng.random((180, 16), dtype=np.float32) * np.float32(0.01)
    theirs.fit(scipy.sparse.csr_matrix(ones.to_scipy()), show_progress=False)
    found = [top_items(one.user_factors, one.item_factors, 20, train)[0] for one in (model, theirs)]
    assert recall_at(found[0], test) == pytest.approx(recall_at(found[1], test), abs=0.01)
    assert ndcg_at(found[0], test) == pytest.approx(ndcg_at(found[1], test), abs=0.01)


def test_a_model_is_the_same_for_any_number_of_threads():
    taken = interactions()
    models = []
    before = dg.get_num_threads()
    for threads in (1, 2, 3):
        dg.set_num_threads(threads)
        models.append(ImplicitALS(factors=9, iterations=2).fit(taken))
    dg.set_num_threads(before)
    for other in models[1:]:
        assert_same(other.user_factors, models[0].user_factors)
        assert_same(other.item_factors, models[0].item_factors)


def test_users_and_items_without_entries_get_zeros():
    taken = dg.CSR([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    model = ImplicitALS(factors=3, iterations=2).fit(taken)
    assert (model.user_factors[1] == 0).all()
    assert (model.item_factors[1] == 0).all()
    assert np.isfinite(model.user_factors).all()
    assert repr(ImplicitALS(factors=3)).startswith("ImplicitALS(factors=3, regularization=0.01")


@pytest.mark.parametrize("items", [5, 63, 64, 65, 700, 3000])
@pytest.mark.parametrize("k", [1, 3, 20])
def test_top_items_are_those_of_a_sort(items, k, monkeypatch):
    from deepgemm.recommend import retrieval

    monkeypatch.setattr(retrieval, "TILE_BYTES", 40_000)
    rng = np.random.default_rng(items)
    # Small integers: many scores are equal, and the lower item goes first.
    users = rng.integers(-2, 3, (50, 4)).astype(np.float32)
    factors = rng.integers(-2, 3, (items, 4)).astype(np.float32)
    scores = users @ factors.T
    seen = scipy.sparse.random_array((50, items), density=0.1, format="csr", rng=1)
    hidden = np.where(seen.toarray() > 0, -np.inf, scores)
    for known, wanted in ((None, scores), (seen, hidden)):
        found, values = top_items(users, factors, k, known)
        order = np.argsort(-wanted, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(wanted, order, axis=1)
        assert_same(values, best.astype(np.float32))
        assert_same(found, np.where(np.isneginf(best), -1, order))


def test_retrieval_from_quantised_items_and_what_is_left():
    rng = np.random.default_rng(0)
    users, factors = rng.standard_normal((20, 8)), rng.standard_normal((30, 8)).astype(np.float32)
    table = dg.quantize(factors, "int8", axis=0)
    assert_same(top_items(users, table, 5)[0], top_items(users, table.dequantize(), 5)[0])
    everything = dg.CSR(np.ones((20, 30)))
    found, scores = top_items(users, factors, 5, everything)
    assert (found == -1).all()
    assert np.isneginf(scores).all()
    assert top_items(users[:0], factors, 5)[0].shape == (0, 5)
    assert top_items(users, factors, 99)[0].shape == (20, 30)


def test_retrieval_from_lists_and_sparse_items():
    users, factors = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [3.0, 1.0], [2.0, 5.0]]
    for items in (factors, np.array(factors), dg.CSR(factors), scipy.sparse.csr_array(factors)):
        found, scores = top_items(users, items, k=2)
        assert found.tolist() == [[1, 2], [2, 1]]
        assert scores.tolist() == [[3.0, 2.0], [5.0, 1.0]]
    masked = np.ma.array(users, mask=[[1, 0], [0, 0]])
    with pytest.raises(dg.DTypeError, match="top_items: user_factors is a masked array"):
        top_items(masked, factors)
    with pytest.raises(dg.DTypeError, match="top_items: item_factors is a masked array"):
        top_items(users, masked)
    with pytest.raises(dg.FormatError, match="top_items: item_factors does not form an array"):
        top_items(users, [[1.0, 2.0], [3.0]])


def test_similar_items_are_the_cosines():
    taken = interactions(80, 40)
    dense = taken.toarray().astype(float)
    unit = dense / np.maximum(np.linalg.norm(dense, axis=0), 1e-30)
    cosines = unit.T @ unit
    np.fill_diagonal(cosines, 0)
    best = similar_items(taken, k=5)
    for item in range(40):
        span = slice(best.indptr[item], best.indptr[item + 1])
        assert item not in best.indices[span]
        wanted = np.sort(cosines[item])[::-1][:5]
        np.testing.assert_allclose(best.data[span], wanted[wanted > 0], rtol=1e-5)


def test_metrics_by_hand():
    held_out = dg.CSR([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], dtype="float32")
    items = np.array([[2, 1], [0, 1], [3, -1]])
    assert recall_at(items, held_out) == (0.5 + 0) / 2
    assert ndcg_at(items, held_out) == pytest.approx((1 / (1 + 1 / math.log2(3)) + 0) / 2)
    assert math.isnan(recall_at(items, dg.CSR((3, 4))))
    with pytest.raises(dg.ShapeError, match=r"recall_at: items have shape \(2, 1\), expected \(3, k\)"):
        recall_at([[1], [2]], held_out)


def test_metrics_count_an_item_once():
    held_out = dg.CSR([[1, 1, 0], [0, 1, 0]])
    twice = dg.CSR((np.ones(4), np.array([1, 0, 1, 1]), np.array([0, 3, 4])), shape=(2, 3))
    for wanted in (held_out, twice):
        assert recall_at([[2, 0], [1, 2]], wanted) == 0.75
        assert recall_at([[1, 1], [1, 1]], wanted) == 0.75
        assert recall_at(np.array([[1, 2, 1], [2, 0, 0]], np.uint8), wanted) == 0.25
    assert ndcg_at([[2, 1, 1]], dg.CSR([[0, 1, 0]])) == pytest.approx(1 / math.log2(3))
    assert recall_at(np.zeros((2, 0)), held_out) == 0


def test_metrics_refuse_items_that_there_are_not():
    held_out = dg.CSR([[1, 1, 0], [0, 1, 0]])
    for metric in (recall_at, ndcg_at):
        op = metric.__name__
        with pytest.raises(
            IndexError, match=f"{op}: items name 4 at rank 0 of user 0, but there are 3 items"
        ):
            metric([[4, 0], [1, 2]], held_out)
        with pytest.raises(IndexError, match="items name 3 at rank 1 of user 1, but there are 3 items"):
            metric([[2, 0], [1, 3]], held_out)
        with pytest.raises(dg.DTypeError, match=f"{op}: items have dtype float64, expected integers"):
            metric([[1.0, 0.0], [1.0, 2.0]], held_out)
        with pytest.raises(dg.DTypeError, match=f"{op}: items is a masked array"):
            metric(np.ma.array([[1, 0], [1, 2]], mask=[[0, 1], [0, 0]]), held_out)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_split_keeps_every_entry_once(share):
    taken = interactions()
    train, test = hold_out(taken, share, seed=3)
    assert_same((train + test).toarray(), taken.toarray())
    assert (np.diff(test.indptr) == (np.diff(taken.indptr) * share).astype(int)).all()
    again = hold_out(taken, share, seed=3)
    assert_same(again[1].indices, test.indices)
    assert hold_out(scipy.sparse.csr_array(taken.to_scipy()), share)[0].shape == taken.shape


def test_refusals():
    with pytest.raises(ValueError, match="hold_out: share is 2, expected a number from 0 to 1"):
        hold_out(interactions(), 2)
    with pytest.raises(ValueError, match="fit: interactions hold a value that is negative"):
        ImplicitALS().fit(dg.CSR([[-1.0]]))
    with pytest.raises(
        dg.ShapeError, match=r"top_items: user_factors have shape \(2, 3\) but item_factors \(4, 2\)"
    ):
        top_items(np.ones((2, 3)), np.ones((4, 2)))
    with pytest.raises(dg.ShapeError, match=r"top_items: seen has shape \(1, 4\), expected \(2, 4\)"):
        top_items(np.ones((2, 3)), np.ones((4, 3)), seen=dg.CSR((1, 4)))
    with pytest.raises(dg.DTypeError, match="top_items: scores are int64, expected a floating dtype"):
        top_items(np.ones((2, 3), int), np.ones((4, 3), int))
    for k in (0, -1, 0.5):
        with pytest.raises(ValueError, match="top_items: k is"):
            top_items(np.ones((2, 3)), np.ones((4, 3)), k)


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("factors is -1, expected at least 0", {"factors": -1}),
        (r"factors is 2\.0, expected a whole number", {"factors": 2.0}),
        ("iterations is -3, expected at least 0", {"iterations": -3}),
        (r"steps is 0\.5, expected a whole number", {"steps": 0.5}),
        ("regularization is nan, expected a finite number of at least 0", {"regularization": np.nan}),
        (r"regularization is -0\.1, expected a finite number of at least 0", {"regularization": -0.1}),
        ("alpha is inf, expected a finite number of at least 0", {"alpha": np.inf}),
    ],
)
def test_refusals_of_models(match, changes):
    with pytest.raises(ValueError, match=f"ImplicitALS: {match}"):
        ImplicitALS(**changes)


def test_models_of_nothing_and_of_complex_numbers():
    assert ImplicitALS(factors=0).fit(dg.CSR([[1.0, 0.0]])).item_factors.shape == (2, 0)
    model = ImplicitALS(factors=np.int64(2), iterations=0, steps=0, regularization=0)
    assert model.fit(dg.CSR([[1.0, 0.0]])).user_factors.shape == (1, 2)
    with pytest.raises(dg.DTypeError, match="fit: interactions have dtype complex128, expected real numbers"):
        model.fit(dg.CSR([[1j, 0.0]]))
    with pytest.raises(dg.ShapeError, match="1 dimensions, expected 2"):
        model.fit([1.0, 2.0])
