"""What embedding_bag refuses, by message; nothing crashes."""

from __future__ import annotations

import numpy as np
import pytest
from bag_cases import make_table

import deepgemm as dg
from deepgemm import _core

TABLE = np.arange(20, dtype=np.float32).reshape(5, 4)
QUANTISED = dg.quantize(TABLE, "int4", axis=0)


@pytest.mark.parametrize("table", [TABLE, QUANTISED], ids=["plain", "quantised"])
@pytest.mark.parametrize("bad", [5, -1, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_the_error_names_bag_position_and_id(index, bad, table):
    bags = dg.Ragged(np.array([0, 1, 2, 4, bad, 3, bad], index), [0, 1, 1, 3, 6, 7])
    match = rf"embedding_bag: bag 3 has id {bad} at position 1, but the table has 5 rows"
    for mode in ("sum", "mean", "max"):
        for threads in (1, 2, 3):
            with dg.threads(threads), pytest.raises(IndexError, match=match):
                dg.embedding_bag(table, bags, mode)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_bad_id_is_named_however_work_is_split(threads):
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 30, 4000)
    ids = rng.integers(0, 5, int(lengths.sum()))
    ids[[31_000, 45_000]] = 9, 7
    bags = dg.Ragged.from_lengths(ids, lengths)
    bag = int(np.searchsorted(bags.offsets, 31_000, "right")) - 1
    match = f"bag {bag} has id 9 at position {31_000 - bags.offsets[bag]},"
    with dg.threads(threads), pytest.raises(IndexError, match=match):
        dg.embedding_bag(make_table("float32", 64, rows=5), bags)
    huge = dg.Ragged(np.where(ids == 7, 3, ids), [0, len(ids)])
    with dg.threads(threads), pytest.raises(IndexError, match="bag 0 has id 9 at position 31000,"):
        dg.embedding_bag(make_table("float32", 64, rows=5), huge)


def test_an_empty_table_has_no_ids():
    for out_of_range in ("raise", "clip"):
        with pytest.raises(IndexError, match="bag 1 has id 0 at position 0, but the table has 0 rows"):
            dg.embedding_bag(TABLE[:0], [[], [0]], out_of_range=out_of_range)
    with pytest.raises(
        IndexError, match=r"bags\[1\]: bag 0 has id 5 at position 1, but the table has 5 rows"
    ):
        dg.embedding_bag([TABLE, TABLE], [[[0, 1]], [[0, 5]]])


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (ValueError, "mode is 'avg', expected one of: sum, mean, max", {"mode": "avg"}),
        (ValueError, "mode is None, expected one of", {"mode": None}),
        (
            ValueError,
            "out_of_range is 'ignore', expected one of: raise, zero, clip",
            {"out_of_range": "ignore"},
        ),
        (IndexError, "padding_idx is 5, but the table has 5 rows", {"padding_idx": 5}),
        (IndexError, "padding_idx is -6, but the table has 5 rows", {"padding_idx": -6}),
        (dg.DTypeError, r"padding_idx is 0\.5, expected an integer or None", {"padding_idx": 0.5}),
        (dg.ShapeError, "table has 1 dimensions, expected 2", {"table": TABLE[0]}),
        (
            dg.DTypeError,
            "table has dtype int32, expected one of: float32.*quantize",
            {"table": TABLE.astype("i4")},
        ),
        (dg.DTypeError, "table has dtype complex64, expected one of", {"table": TABLE.astype("F")}),
        (
            dg.UnsupportedError,
            r"table has scales of shape \(1, 4\), expected one for each row",
            {"table": dg.quantize(TABLE, "int8", axis=1)},
        ),
        (
            dg.UnsupportedError,
            "table has scales of shape",
            {"table": dg.quantize(TABLE, "int8", axis=0, group_size=2)},
        ),
        (
            dg.UnsupportedError,
            "table is float8_e5m2, expected int8",
            {"table": dg.quantize(TABLE, "float8_e5m2")},
        ),
        (dg.DTypeError, "bags: ids has dtype float64, expected int32 or int64", {"bags": [[0.5]]}),
        (
            dg.ShapeError,
            r"bags have rows of shape \(2,\), expected one id",
            {"bags": dg.Ragged(np.ones((3, 2), int), [0, 3])},
        ),
        (dg.FormatError, "bags has 1 dimensions, expected a Ragged, a CSR, ", {"bags": np.array([1, 2])}),
        (dg.FormatError, r"bags is a tuple of 3, expected \(indices, offsets\)", {"bags": ([0], [0], [1])}),
        (
            dg.FormatError,
            "bags: segment 1 ends at 1, before its start at 2",
            {"bags": ([0, 1, 2], [0, 2, 1])},
        ),
        (dg.FormatError, "bags: segment 0 starts at .*1", {"bags": ([0, 1, 2], [1, 2])}),
        (dg.FormatError, "bags: segment", {"bags": ([0, 1, 2], [0, -1])}),
        (dg.FormatError, "bags: segment 1 starts at 9, but values has 3 rows", {"bags": ([0, 1, 2], [0, 9])}),
        (dg.DTypeError, "bags: starts has dtype float64", {"bags": ([0, 1, 2], [0.0, 1.0])}),
        (
            dg.FormatError,
            "bags: segment 1 ends at 7, but values has 3 rows",
            {"bags": ([0, 1, 2], [0, 2, 7]), "include_last_offset": True},
        ),
        (
            dg.ShapeError,
            r"weights has shape \(2,\), expected \(3,\): one for each id",
            {"weights": np.ones(2)},
        ),
        (dg.ShapeError, r"weights has shape \(3, 1\), expected", {"weights": np.ones((3, 1))}),
        (dg.ShapeError, "bag 1 has 1 ids, but 2 of the weights", {"weights": [[1.0, 1.0], [1.0, 1.0]]}),
        (dg.ShapeError, "weights has 1 bags, expected 2", {"weights": [[1.0, 1.0, 1.0]]}),
        (dg.DTypeError, "weights has dtype complex128, expected real numbers", {"weights": np.ones(3, "D")}),
        (dg.DTypeError, "weights has dtype <U1, expected real numbers", {"weights": np.array(list("abc"))}),
        (dg.UnsupportedError, "weights are given, but mode 'max'", {"weights": np.ones(3), "mode": "max"}),
        (dg.DTypeError, "dtype is int8, expected a real floating dtype", {"dtype": "i1"}),
        (dg.DTypeError, "dtype has dtype object", {"dtype": object}),
    ],
)
def test_refusals(error, match, changes):
    given = {"table": TABLE, "bags": [[0, 1], [2]], **changes}
    with pytest.raises(error, match=f"embedding_bag: {match}"):
        dg.embedding_bag(**given)


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (dg.ShapeError, "table is an empty list", {"table": []}),
        (dg.ShapeError, "bags has 1 entries, but there are 2 tables", {"bags": [[[0]]]}),
        (dg.ShapeError, "bags is no list, but there are 2 tables", {"bags": dg.Ragged([[0]])}),
        (dg.ShapeError, "weights has 1 entries, but there are 2 tables", {"weights": [None]}),
        (dg.ShapeError, "padding_idx has 3 entries, but there are 2 tables", {"padding_idx": [1, 2, 3]}),
        (dg.ShapeError, r"bags\[1\] has 2 bags, but bags\[0\] has 1", {"bags": [[[0]], [[0], [1]]]}),
        (
            dg.DTypeError,
            r"table\[1\] is summed in float64, but table\[0\] in float32",
            {"table": [TABLE, TABLE.astype("f8")]},
        ),
        (dg.DTypeError, r"table\[1\] has dtype int64", {"table": [TABLE, TABLE.astype("i8")]}),
        (dg.FormatError, r"bags\[1\]: segment 1 starts at 9", {"bags": [[[0]], ([0], [0, 9])]}),
    ],
)
def test_refusals_of_several_tables(error, match, changes):
    given = {"table": [TABLE, TABLE], "bags": [[[0]], [[1]]], **changes}
    with pytest.raises(error, match=f"embedding_bag: {match}"):
        dg.embedding_bag(**given)


def test_max_takes_a_csr_of_ones_only():
    ones = dg.CSR([[1.0, 0.0, 1.0, 0.0, 0.0]])
    assert dg.embedding_bag(TABLE, ones, "max").tolist() == [[8.0, 9.0, 10.0, 11.0]]
    with pytest.raises(dg.UnsupportedError, match="weights are given, but mode 'max'"):
        dg.embedding_bag(TABLE, ones * 2, "max")


def test_weights_come_in_one_row_or_as_a_matrix():
    weights = np.array([[0.5, 2.0, 1.0], [3.0, 0.25, 4.0]])
    ids = np.array([[0, 1, 4], [2, 2, 0]])
    wanted = [weights[0] @ TABLE[ids[0]], weights[1] @ TABLE[ids[1]]]
    for bags in (ids, ids.tolist(), (ids.ravel(), [0, 3]), dg.Ragged(ids.tolist())):
        for given in (
            weights,
            weights.ravel(),
            weights.ravel().tolist(),
            weights.tolist(),
            weights.T.copy().T,
        ):
            assert np.array_equal(dg.embedding_bag(TABLE, bags, weights=given), wanted)
        flat = list(weights.astype("f4").ravel())
        assert np.array_equal(dg.embedding_bag(TABLE, bags, weights=flat), wanted)
    both = dg.embedding_bag([TABLE, TABLE], [ids, ids], weights=[weights, weights.ravel().tolist()])
    assert np.array_equal(both, np.hstack([wanted, wanted]))
    assert dg.embedding_bag(TABLE, ([0, 1], [0]), weights=[0.5, 2.0]).tolist() == [[8.0, 10.5, 13.0, 15.5]]
    assert dg.embedding_bag(TABLE, [[], []], weights=[]).tolist() == [[0.0] * 4] * 2
    for shape in ((2, 2), (3, 2), (1, 6)):
        with pytest.raises(
            dg.ShapeError, match=rf"weights has shape \({shape[0]}, {shape[1]}\), expected \(6,\)"
        ):
            dg.embedding_bag(TABLE, ids, weights=np.ones(shape))
    with pytest.raises(dg.ShapeError, match=r"weights has shape \(3,\), expected \(6,\): one for each id"):
        dg.embedding_bag(TABLE, ids, weights=[1.0, 2.0, 3.0])


def test_a_sum_is_the_product_where_ids_ascend():
    table = make_table("float32", 16, rows=50)
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.choice(50, 20, replace=False)) for _ in range(8)]
    ids, weights = np.concatenate(rows), rng.standard_normal(160).astype(np.float32)
    product = dg.CSR((weights, ids, np.arange(0, 161, 20)), shape=(8, 50)) @ table
    assert np.array_equal(dg.embedding_bag(table, np.array(rows), weights=weights), product)


def call_all():
    """Return a call of each operation on bags, by name."""
    grad = np.ones((1, 4), np.float32)
    return {
        "embedding_bag": lambda: dg.embedding_bag(TABLE, [[0]]),
        "embedding_bag_grad": lambda: dg.embedding_bag_grad(grad, [[0]], 5),
        "optim.sgd": lambda: dg.optim.sgd(TABLE.copy(), grad, [[0]], 0.5),
        "optim.adagrad": lambda: dg.optim.adagrad(TABLE.copy(), np.zeros_like(TABLE), grad, [[0]], 0.5),
    }


@pytest.mark.parametrize("op", list(call_all()))
def test_the_environment_is_obeyed(op, monkeypatch, caplog):
    call = call_all()[op]
    call()
    monkeypatch.setenv("DEEPGEMM_KERNEL", "nonsense")
    with pytest.raises(ValueError, match=f"{op}: DEEPGEMM_KERNEL is 'nonsense', which is no kernel"):
        call()
    monkeypatch.setenv("DEEPGEMM_KERNEL", "csr_rowwise")
    with pytest.raises(dg.UnsupportedError, match=f"{op}: DEEPGEMM_KERNEL cannot be obeyed"):
        call()
    monkeypatch.setenv("DEEPGEMM_KERNEL", "scalar")
    monkeypatch.setenv("DEEPGEMM_VERBOSE", "1")
    with caplog.at_level("INFO", logger="deepgemm"):
        call()
    assert f"no plan for {op}\n" in caplog.text
    assert "its one kernel at scalar" in caplog.text


def test_shared_memory_that_changed_is_seen():
    ids = np.array([0, 1, 2])
    bags = dg.Ragged(ids, [0, 2, 3])
    ids[:] = 4
    with pytest.raises(dg.StaleDataError):
        dg.embedding_bag(TABLE, bags)


def test_nothing_is_written_but_the_result():
    table, ids, weights = TABLE.copy(), np.array([0, 3, 1]), np.array([1.0, 2.0, 3.0], np.float32)
    result = dg.embedding_bag(table, (ids, [0, 1]), weights=weights)
    assert result.flags.writeable
    assert np.array_equal(table, TABLE)
    assert ids.tolist() == [0, 3, 1]
    assert weights.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        ("rows", TABLE[:, ::-1], dg.FormatError),
        ("rows", TABLE[0], dg.FormatError),
        ("rows", TABLE.astype("i4"), dg.DTypeError),
        ("dtype", "int4", dg.FormatError),
        ("columns", 5, dg.FormatError),
        ("scales", np.ones(5, np.float32), dg.FormatError),
        ("ids", np.zeros(3), dg.DTypeError),
        ("ids", np.zeros(6, int)[::2], dg.FormatError),
        ("offsets", np.zeros(0, int), dg.FormatError),
        ("offsets", np.array([0, 1, 2]), dg.FormatError),
        ("lengths", np.array([1, 1]), dg.FormatError),
        ("lengths", np.array([1], np.int32), dg.FormatError),
        ("weights", np.ones(2, np.float32), dg.FormatError),
        ("weights", np.ones(3), dg.FormatError),
        ("out", np.zeros((1, 4)), dg.DTypeError),
        ("out", np.zeros((1, 3), np.float32), dg.FormatError),
        ("out", np.zeros((2, 4), np.float32), dg.FormatError),
        ("out", np.zeros((1, 8), np.float32)[:, ::2], dg.FormatError),
        ("mode", "median", ValueError),
        ("out_of_range", "wrap", ValueError),
        ("isa", "neon", dg.UnsupportedError),
    ],
)
def test_the_core_refuses_what_does_not_fit(place, value, error):
    given = {
        "rows": TABLE, "dtype": "float32", "columns": 4, "scales": None, "ids": np.array([0, 1, 2]),
        "offsets": np.array([0, 3]), "lengths": None, "weights": None, "mode": "sum", "isa": None,
        "out_of_range": "raise", "out": np.zeros((1, 4), np.float32), place: value,
    }  # fmt: skip
    table = (given["rows"], given["dtype"], given["columns"], given["scales"], None, None)
    part = (table, given["ids"], given["offsets"], given["lengths"], given["weights"], -1)
    with pytest.raises(error):
        _core.bags(given["mode"], given["isa"], [part], given["out_of_range"], given["out"])


@pytest.mark.parametrize("offsets", [[0, 9], [-3, 2], [5, 4], [2**40, 2**40 + 1], [1, 0]])
def test_the_core_reads_no_bag_outside_of_the_ids(offsets):
    out = np.ones((1, 4), np.float32)
    table = (TABLE, "float32", 4, None, None, None)
    part = (table, np.array([0, 1, 2]), np.array(offsets), None, None, -1)
    outcome = _core.bags("sum", None, [part], "zero", out)
    assert isinstance(outcome, str) or outcome == (0, 3)
    assert (out == 0).all()
