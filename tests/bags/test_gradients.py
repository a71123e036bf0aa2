"""Gradients and steps of optimisers equal their statements on every ISA and number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from bag_cases import ROWS, make_bags

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.testing import assert_same, random_values

ISAS = _core.cpu_info()["usable"]
COLUMNS = (1, 3, 8, 15, 16, 17, 33, 64, 130)
LENGTHS = (0, 1, 2, 5, 0, 0, 15, 16, 17, 33, 1, 0, 60, 3, 0)


def gradient_of(bags, columns, dtype="f4"):
    return random_values(f"grad{columns}", (len(bags), columns), dtype)


def expected(grad, bags, rows=ROWS, **options):
    lengths = bags.lengths if bags.has_gaps else None
    return reference.embedding_bag_grad(grad, bags.values, bags.offsets, rows, lengths, **options)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_gradients_are_exact(mode, dtype, isa, threads, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    with dg.threads(threads):
        for columns in COLUMNS if threads == 1 else COLUMNS[:3]:
            bags = make_bags(LENGTHS, index=np.int32 if columns % 2 else np.int64)
            grad = gradient_of(bags, columns, dtype)
            weights = random_values("w", len(bags.values), "f8")
            for given in (None, weights):
                rows, values = dg.embedding_bag_grad(grad, bags, ROWS, mode, given)
                wanted = expected(grad, bags, mode=mode, weights=given)
                assert_same(rows, wanted[0])
                assert_same(values, wanted[1], f"{mode} {columns}")


@pytest.mark.parametrize("rows", [1, 2, 2048, 2049, 2**22 + 1, 2**40])
def test_rows_of_every_number_of_digits(rows):
    rng = np.random.default_rng(rows % 1000)
    ids = rng.integers(0, rows, 300)
    ids[::3] = ids[1]
    ids[:2] = 0, rows - 1
    bags = dg.Ragged(ids, np.arange(0, 301, 10))
    grad = gradient_of(bags, 4)
    found = dg.embedding_bag_grad(grad, bags, rows)
    wanted = expected(grad, bags, rows)
    assert_same(found[0], wanted[0])
    assert_same(found[1], wanted[1])


def test_padding_gaps_and_ids_out_of_range():
    ids = np.array([0, 5, 3, 3, -2, ROWS, 2**40, 3, 9, 36, 5, 9])
    bags = dg.Ragged(ids, [0, 4, 4, 8, 12], lengths=[3, 0, 4, 3])
    grad = gradient_of(bags, 6)
    for mode in ("sum", "mean"):
        for padding in (None, 3, -1, 0):
            for out_of_range in ("zero", "clip"):
                options = {"mode": mode, "padding_idx": padding, "out_of_range": out_of_range}
                found, wanted = (
                    dg.embedding_bag_grad(grad, bags, ROWS, **options),
                    expected(grad, bags, **options),
                )
                assert_same(found[0], wanted[0])
                assert_same(found[1], wanted[1])
    with pytest.raises(
        IndexError, match="embedding_bag_grad: bag 2 has id -2 at position 0, but the table has 37"
    ):
        dg.embedding_bag_grad(grad, bags, ROWS)
    nothing = dg.embedding_bag_grad(np.zeros((2, 3)), [[], []], 5)
    assert nothing[0].shape == (0,)
    assert nothing[1].shape == (0, 3)


def test_gradients_are_those_of_torch():
    torch = pytest.importorskip("torch")
    bags = make_bags(LENGTHS)
    grad = gradient_of(bags, 20, "f8")
    for mode in ("sum", "mean"):
        table = torch.zeros(ROWS, 20, dtype=torch.float64, requires_grad=True)
        ids, offsets = torch.tensor(bags.values), torch.tensor(bags.offsets)
        result = torch.nn.functional.embedding_bag(ids, table, offsets, mode=mode, include_last_offset=True)
        result.backward(torch.from_numpy(grad))
        dense = np.zeros((ROWS, 20))
        rows, values = dg.embedding_bag_grad(grad, bags, ROWS, mode)
        dense[rows] = values
        np.testing.assert_allclose(dense, table.grad.numpy(), rtol=1e-12, atol=1e-12)


def states(name, table):
    chain = "f8" if table.dtype == np.float64 else "f4"
    if name == "sgd":
        return ()
    shape = table.shape if name == "adagrad" else table.shape[:1]
    return (np.abs(random_values("state", shape, chain)),)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", dg.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["sgd", "adagrad", "rowwise_adagrad"])
def test_steps_are_exact(name, dtype, isa, threads, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    numbers = (0.1,) if name == "sgd" else (0.1, 1e-3)
    with dg.threads(threads):
        for columns in COLUMNS if threads == 1 else COLUMNS[-2:]:
            bags = make_bags(LENGTHS)
            table = random_values(f"t{columns}", (ROWS, columns), dtype)
            grad = gradient_of(bags, columns, "f8" if table.dtype == np.float64 else "f4")
            weights = random_values("w", len(bags.values), "f4")
            state = states(name, table)
            rows, values = expected(grad, bags, mode="mean", weights=weights, padding_idx=3)
            wanted = getattr(reference, name)(table, *state, rows, values, *numbers)
            getattr(dg.optim, name)(
                table, *state, grad, bags, *numbers, mode="mean", weights=weights, padding_idx=3
            )
            for found, one in zip((table, *state), wanted if state else (wanted,), strict=True):
                assert_same(found, one, f"{name} {columns}")


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rowwise_adagrad"])
def test_steps_are_the_same_for_any_number_of_threads(name):
    rng = np.random.default_rng(0)
    bags = dg.Ragged.from_lengths(rng.zipf(1.3, 30_000) % 3000, np.full(1500, 20))
    grad = gradient_of(bags, 40)
    found = []
    for threads in (1, 2, 3):
        table = random_values("t", (3000, 40), "f4")
        state = states(name, table)
        with dg.threads(threads):
            getattr(dg.optim, name)(table, *state, grad, bags, 0.05)
        found.append((table, *state))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert_same(one, two)


def test_steps_write_where_the_table_is(tmp_path):
    bags, grad = dg.Ragged([[1, 2], [2]]), np.ones((2, 3), np.float32)
    wide = np.zeros((4, 8), np.float32)
    dg.optim.sgd(wide[:, 2:5], grad, bags, 1.0)
    assert wide[:, 2:5].tolist() == [[0.0] * 3, [-1.0] * 3, [-2.0] * 3, [0.0] * 3]
    assert not wide[:, [0, 1, 5, 6, 7]].any()
    backwards = np.zeros((4, 3), np.float32)
    dg.optim.sgd(backwards[::-1], grad, bags, 1.0)
    assert backwards[:, 0].tolist() == [0.0, -2.0, -1.0, 0.0]
    mapped = np.lib.format.open_memmap(tmp_path / "t.npy", "w+", "f4", (4, 3))
    dg.optim.sgd(mapped, grad, bags, 1.0)
    assert mapped[2].tolist() == [-2.0] * 3
    dg.optim.sgd(np.zeros((0, 3), np.float32), np.zeros((1, 3), np.float32), [[]], 1.0)
    for name in ("sgd", "adagrad", "rowwise_adagrad"):
        nothing = np.zeros((4, 0), np.float32)
        getattr(dg.optim, name)(nothing, *states(name, nothing), np.zeros((2, 0), np.float32), bags, 1.0)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", ["sgd", "adagrad", "rowwise_adagrad"])
def test_a_gradient_may_be_a_view_of_what_is_stepped(name, threads):
    ids = np.array([[0, 3], [1, 0], [2, 1], [3, 2]])
    start = random_values("t", (4, 5), "f4")
    for whose in ("table", "state") if name == "adagrad" else ("table",):
        for part in (slice(None), slice(None, None, -1)):
            found = []
            for own in (False, True):
                table = start.copy()
                state = states(name, table)
                grad = (table if whose == "table" else state[0])[part]
                with dg.threads(threads):
                    getattr(dg.optim, name)(table, *state, grad.copy() if own else grad, ids, 0.5)
                found.append((table, *state))
            for one, two in zip(*found, strict=True):
                assert_same(one, two, f"{whose} {part}")


def test_a_state_lies_outside_of_the_table():
    grad = np.ones((1, 3), np.float32)
    wide = np.ones((4, 6), np.float32)
    match = "state_sum shares memory with the table, but both are stepped in place"
    for state in (wide[:, :3], wide[:, 2:5], wide[::-1, :3]):
        with pytest.raises(dg.FormatError, match=f"optim.adagrad: {match}"):
            dg.optim.adagrad(wide[:, :3], state, grad, [[1]], 0.5)
    with pytest.raises(dg.FormatError, match=f"optim.rowwise_adagrad: {match}"):
        dg.optim.rowwise_adagrad(wide[:, :3], wide[:, 2], grad, [[1]], 0.5)
    assert (wide == 1).all()
    # Side by side in one array they are apart.
    dg.optim.adagrad(wide[:, :3], wide[:, 3:], grad, [[1]], 0.0)
    assert wide[1].tolist() == [1.0] * 3 + [2.0] * 3
    dg.optim.rowwise_adagrad(wide[:, :3], wide[:, 4], grad, [[2]], 0.0)
    assert wide[2].tolist() == [1.0] * 4 + [2.0, 1.0]


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (dg.ShapeError, "table has type list, expected a NumPy array", {"table": [[1.0]]}),
        (dg.ShapeError, "table has 1 dimensions", {"table": np.zeros(3, np.float32)}),
        (dg.DTypeError, "table has dtype int64, expected native float32", {"table": np.zeros((4, 3), int)}),
        (dg.DTypeError, "table has dtype >f4", {"table": np.zeros((4, 3), ">f4")}),
        (
            dg.FormatError,
            "table is not aligned, or its rows",
            {"table": np.zeros((4, 3), np.float32, order="F")},
        ),
        (dg.FormatError, "table is read-only", {"table": np.broadcast_to(np.float32(0), (4, 3))}),
        (dg.ShapeError, r"state_sum has shape \(4,\), expected", {"state_sum": np.zeros(4, np.float32)}),
        (dg.DTypeError, "state_sum has dtype float64, expected float32", {"state_sum": np.zeros((4, 3))}),
        (dg.ShapeError, "grad has 3 rows, but there are 2 bags", {"grad": np.zeros((3, 3), np.float32)}),
        (dg.ShapeError, "grad has 2 columns, but the table has 3", {"grad": np.zeros((2, 2), np.float32)}),
        (dg.ShapeError, "grad has 1 dimensions, expected 2", {"grad": np.zeros(3, np.float32)}),
        (dg.DTypeError, "grad has dtype complex64, expected float32", {"grad": np.zeros((2, 3), "F")}),
        (ValueError, "lr is 'fast', expected a finite number", {"lr": "fast"}),
        (ValueError, "lr is nan, expected a finite number", {"lr": np.nan}),
        (ValueError, "eps is -1, expected a finite number of at least 0", {"eps": -1}),
        (dg.UnsupportedError, "mode is 'max', whose gradient", {"mode": "max"}),
        (ValueError, "mode is 'avg'", {"mode": "avg"}),
        (IndexError, "bag 1 has id 4 at position 0, but the table has 4 rows", {"bags": [[1, 2], [4]]}),
        (IndexError, "padding_idx is 4", {"padding_idx": 4}),
        (dg.ShapeError, "weights has shape", {"weights": np.ones(9)}),
    ],
)
def test_refusals_leave_the_table_alone(error, match, changes):
    given = {
        "table": np.ones((4, 3), np.float32),
        "state_sum": np.ones((4, 3), np.float32),
        "grad": np.ones((2, 3), np.float32),
        "bags": [[1, 2], [3]],
        "lr": 0.5,
        **changes,
    }
    with pytest.raises(error, match=f"optim.adagrad: {match}"):
        dg.optim.adagrad(**given)
    for name in ("table", "state_sum"):
        if name not in changes:
            assert (given[name] == 1).all()


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_a_table_without_rows_has_no_gradient(mode):
    for bags in ([[0]], [[7, -3]], dg.Ragged([0, 1, 2], [0, 3], lengths=[1])):
        for weights in (None, dg.Ragged([[2.0] * dg.Ragged(bags).lengths[0]])):
            rows, values = dg.embedding_bag_grad(np.ones((1, 2)), bags, 0, mode, weights, out_of_range="zero")
            assert_same(rows, np.zeros(0, np.int64))
            assert_same(values, np.zeros((0, 2)))
    table = np.zeros((0, 2), np.float32)
    dg.optim.sgd(table, np.ones((1, 2), np.float32), [[0]], 0.5, mode, out_of_range="zero")
    with pytest.raises(dg.ShapeError, match="grad has 2 rows, but there are 1 bags"):
        dg.embedding_bag_grad(np.ones((2, 2)), [[0]], 0, mode, out_of_range="zero")


def test_refusals_of_gradients():
    grad = np.ones((1, 2))
    with pytest.raises(
        dg.DTypeError, match="embedding_bag_grad: grad has dtype int64, expected float32 or float64"
    ):
        dg.embedding_bag_grad(grad.astype(int), [[1]], 3)
    for rows in (-1, 0.5, "a"):
        with pytest.raises(ValueError, match="embedding_bag_grad: num_rows is"):
            dg.embedding_bag_grad(grad, [[1]], rows)
    with pytest.raises(IndexError, match="bag 0 has id 1 at position 0, but the table has 0 rows"):
        dg.embedding_bag_grad(grad, [[1]], 0, out_of_range="clip")
    with pytest.raises(dg.UnsupportedError, match="mode is 'max'"):
        dg.embedding_bag_grad(grad, [[1]], 3, "max")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("optimiser", "adam"),
        ("isa", "neon"),
        ("table", np.zeros((4, 3))),
        ("table", np.zeros((4, 3), int)),
        ("table", np.zeros((4, 6), np.float32)[:, ::2]),
        ("state", np.zeros((3, 3), np.float32)),
        ("state", np.zeros((4, 1), np.float32)),
        ("rows", np.array([4])),
        ("rows", np.array([-1])),
        ("rows", np.array([1, 1])),
        ("rows", np.array([1], np.int32)),
        ("gradient", np.zeros((2, 6), np.float32)[:, ::2]),
        ("offsets", np.array([0, 1, 2])),
        ("weights", np.ones(3, np.float32)),
    ],
)
def test_the_core_refuses_what_does_not_fit(place, value):
    given = {
        "optimiser": "adagrad", "isa": None, "table": np.zeros((4, 3), np.float32),
        "state": np.zeros((4, 3), np.float32), "rows": np.array([1]),
        "gradient": np.zeros((2, 3), np.float32),
        "bags": np.array([0, 1]), "offsets": np.array([0, 2]), "weights": None, "rate": 1.0, "epsilon": 0.0,
        place: value,
    }  # fmt: skip
    with pytest.raises((ValueError, TypeError, NotImplementedError)):
        _core.step_rows(**given)
