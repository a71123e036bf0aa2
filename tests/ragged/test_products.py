"""Products of ragged arrays: exact on every ISA and number of threads, whatever the sizes of segments."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import _core, dtypes, reference
from deepgemm.testing import assert_same, random_values

ISAS = _core.cpu_info()["usable"]
# Around the tiles and vectors of each ISA; a long segment among short and empty ones.
LENGTHS = (1, 2, 0, 3, 6, 7, 14, 15, 0, 16, 29, 33, 200, 1, 1)
PAIRS = ["f4", "f8", "F", "D", "f2", dtypes.bfloat16, dtypes.float8_e4m3fn, "i1", "u1", "i2", "i8", "?"]

pytestmark = pytest.mark.usefixtures("three_threads")


def rows(dtype, width, lengths=LENGTHS, gaps=False, name="r"):
    lengths = np.array(lengths)
    offsets = np.concatenate(([0], np.cumsum(lengths + 2 * gaps)))
    return dg.Ragged(random_values(name, (int(offsets[-1]), width), dtype), offsets, lengths=lengths)


def check_grouped(r, weights, **options):
    found = dg.grouped_matmul(r, weights, **options)
    assert np.array_equal(found.lengths, r.lengths)
    assert not found.has_gaps
    expected = reference.grouped_matmul(r, weights, dtype=options.get("dtype"))
    assert_same(found.values, expected, f"{r} {options}")


def check_pairs(left, right, transpose_b=False):
    found = dg.matmul(left, right, transpose_b=transpose_b)
    for got, wanted in zip(found, reference.ragged_matmul(left, right, transpose_b), strict=True):
        assert_same(got, wanted, f"{left} {right}")
    return found


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "f2"])
def test_grouped_is_exact(dtype, isa, threads):
    for inner, columns in ((0, 3), (1, 1), (5, 2), (17, 16), (16, 33), (40, 67), (600, 20)):
        r = rows(dtype, inner)
        weights = random_values("w", (len(r), inner, columns), dtype)
        check_grouped(r, weights, threads=threads, kernel=isa)
    check_grouped(r, np.asfortranarray(weights), threads=threads, kernel=isa)
    check_grouped(r, weights[:, ::-1, ::-1], threads=threads, kernel=isa)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "D", dtypes.bfloat16])
def test_pairs_are_exact(dtype, isa, threads, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    with dg.threads(threads):
        for width in (1, 2, 17, 64):
            left, right = rows(dtype, width, name="q"), rows(dtype, width, LENGTHS[::-1], name="k")
            scores = check_pairs(left, right, transpose_b=True)
            values = rows(dtype, 33, LENGTHS[::-1], name="v")
            assert check_pairs(scores, values).row_shape == (33,)
        check_pairs(check_pairs(scores, scores, transpose_b=True), scores)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("isa", ISAS)
def test_one_long_segment_among_short_ones(isa, index):
    lengths = np.array([3] * 50 + [900] + [2] * 50, index)
    r = rows("f4", 64, lengths)
    weights = random_values("w", (len(r), 64, 150), "f4")
    check_grouped(r, weights, kernel=isa)
    assert dg.matmul(r, r, transpose_b=True)[50].shape == (900, 900)
    check_pairs(r[45:56], r[45:56], transpose_b=True)


@pytest.mark.parametrize("dtype", PAIRS, ids=str)
def test_every_dtype(dtype):
    r = rows(dtype, 19)
    check_grouped(r, random_values("w", (len(r), 19, 7), dtype))
    check_pairs(r, rows(dtype, 19, LENGTHS[::-1], name="k"), transpose_b=True)
    single = random_values("W", (19, 7), dtype)
    assert_same((r @ single).values, np.asarray(dg.matmul(r.values, single)))


@pytest.mark.parametrize(
    ("left", "right"), [("f4", "f8"), ("f2", "f4"), ("f4", "i4"), ("f4", "i1"), ("i1", "u1"), ("F", "f4")]
)
def test_mixed_dtypes(left, right):
    r = rows(left, 19)
    check_grouped(r, random_values("w", (len(r), 19, 7), right))
    check_pairs(r, rows(right, 19, name="k"), transpose_b=True)


def test_dtype_of_the_result():
    r = rows("f2", 9)
    weights = random_values("w", (len(r), 9, 7), "f2")
    for dtype in ("f4", "f8", dtypes.bfloat16):
        check_grouped(r, weights, dtype=dtype)
    assert dg.matmul(r, r, transpose_b=True, dtype="f8").dtype == np.float64
    integers = rows("i1", 9)
    check_grouped(integers, random_values("w", (len(r), 9, 7), "i1"), dtype="f4")


def test_values_that_are_not_finite():
    r = rows("f4", 9).with_values(np.full((sum(LENGTHS), 9), np.inf, "f4"))
    with np.errstate(invalid="ignore"):
        check_grouped(r, np.zeros((len(r), 9, 5), "f4"))
        check_pairs(r, r, transpose_b=True)


def test_gaps_and_rows_with_axes():
    r = rows("f4", 9, gaps=True)
    assert r.has_gaps
    weights = random_values("w", (len(r), 9, 7), "f4")
    check_grouped(r, weights)
    check_pairs(r, rows("f4", 9, LENGTHS[::-1], gaps=True), transpose_b=True)
    deep = dg.Ragged(r.values.reshape(-1, 3, 3), r.offsets, lengths=r.lengths)
    small = random_values("w", (len(r), 3, 2), "f4")
    found = dg.grouped_matmul(deep, small)
    assert found.row_shape == (3, 2)
    for got, part, weight in zip(found, deep, small, strict=True):
        assert_same(got, np.asarray(dg.matmul(part.reshape(-1, 3), weight)).reshape(-1, 3, 2))


def test_neighbours_that_share_a_weight():
    r = rows("f4", 16)
    one = random_values("w", (16, 20), "f4")
    check_grouped(r, np.broadcast_to(one, (len(r), 16, 20)))
    two = random_values("v", (16, 20), "f4")
    check_grouped(r, [one, one, two, two, one, *[two] * (len(r) - 5)])


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("lengths", [LENGTHS, (1, 1, 1), (0, 0), (300, 5)], ids=str)
def test_quantised_weights_in_one_call(lengths, isa, threads):
    for width, columns in ((1, 1), (40, 70)):
        dense = [random_values(f"W{i}", (width, columns), "f4") for i in range(len(lengths))]
        kinds = [
            lambda w: dg.quantize(w, "int8", axis=1),
            lambda w: dg.quantize(w, "uint4", axis=1, group_size=32, symmetric=False),
            lambda w: dg.quantize(w.T, "uint8", axis=0, symmetric=False).T,
            lambda w: dg.quantize(w, "int4"),
        ]
        weights = [kinds[i % 4](w) for i, w in enumerate(dense)]
        with dg.threads(threads):
            for dtype in ("f4", "f2", dtypes.bfloat16):
                r = rows(dtype, width, lengths, gaps=dtype == "f2")
                found = dg.grouped_matmul(r, weights, kernel=isa)
                assert_same(found.values, reference.grouped_matmul(r, weights))
                assert all(w._member.product.isa == isa for w, n in zip(weights, lengths, strict=True) if n)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
def test_sparse_weights_in_one_call(dtype, isa, threads):
    for lengths, width, columns in ((LENGTHS, 40, 70), ((1, 0), 1, 1), ((300, 5), 64, 33), ((2, 3), 0, 4)):
        r = rows(dtype, width, lengths, gaps=width == 40)
        weights = []
        for i in range(len(lengths)):
            w = random_values(f"W{i}", (width, columns), dtype)
            w[random_values(f"z{i}", w.shape, "f4") < 0.3] = 0
            weights.append(dg.CSR(w) if i % 2 else dg.CSC(w))
        with dg.threads(threads):
            found = dg.grouped_matmul(r, weights, kernel=isa)
        assert_same(found.values, reference.grouped_matmul(r, weights))
        assert all(w._member.product.isa == isa for w in weights)


def test_weights_that_stay_with_their_plans():
    r = rows("f4", 150, (3, 4))
    large = [dg.CSR(random_values(f"W{i}", (150, 150), "f4")) for i in range(2)]
    others = [dg.CSR(np.eye(150)).tocoo().astype("f4"), dg.quantize(np.eye(150, dtype="f4"), "float8_e4m3fn")]
    for weights in (large, others, [large[0], others[1]]):
        check_grouped(r, weights)
        assert all(w._member is None for w in weights)


def test_evicted_panels_are_built_again(monkeypatch):
    r, weight = rows("f4", 64, (3, 4)), dg.quantize(random_values("W", (64, 64), "f4"), "int8", axis=1)
    check_grouped(r, [weight, weight])
    assert any(name.startswith("panels:right") for name in weight._layouts.names())
    weight._layouts._drop(next(iter(weight._layouts.names())))
    assert weight._member is None
    check_grouped(r, [weight, weight])


def test_the_core_refuses_products_that_do_not_fit():
    r, weight = rows("f4", 8, (3, 4)), dg.quantize(random_values("W", (8, 8), "f4"), "int8", axis=1)
    dg.grouped_matmul(r, [weight, weight])
    product = (weight._member.product, False, 1)
    left, out = ("rows", r.values, r.offsets, None), ("rows", np.empty((7, 8), "f4"), r.offsets, None)
    with pytest.raises(dg.FormatError, match="unequal numbers of segments"):
        _core.ragged_products([product], left, out, 1)
    for wrong in (("rows", np.empty((7, 8)), r.offsets, None),
                  ("rows", np.empty((7, 8), "f4"), np.array([0, 2, 7]), None)):  # fmt: skip
        with pytest.raises(dg.FormatError, match="segment 0 does not fit its product"):
            _core.ragged_products([product, product], left, wrong, 1)


def test_weights_that_are_sparse_or_quantised():
    r = rows("f4", 32)
    dense = random_values("w", (len(r), 32, 8), "f4")
    kinds = [lambda w: w, dg.CSR, lambda w: dg.quantize(w, "int8", axis=1), scipy.sparse.csc_array]
    weights = [kinds[i % 4](w) for i, w in enumerate(dense)]
    found = dg.grouped_matmul(r, weights, threads=2)
    for got, part, weight in zip(found, r, weights, strict=True):
        if len(part):
            assert_same(got, np.asarray(dg.matmul(part, weight)))
    assert dg.grouped_matmul(r, [dg.CSR(w) for w in dense], dtype="f8").dtype == np.float64
    halves = r.astype("f2")
    narrow = [dg.quantize(w, "int8", axis=1) for w in dense]
    found = dg.grouped_matmul(halves, narrow)
    assert found.dtype == np.float16
    for got, part, weight in zip(found, halves, narrow, strict=True):
        assert_same(got, part @ weight)


@pytest.mark.parametrize("gaps", [False, True])
def test_one_operand_for_all_segments(gaps):
    r = rows("f4", 8, gaps=gaps)
    W = random_values("w", (8, 5), "f4")
    for shared in (W, dg.CSR(W), dg.quantize(W, "int8", axis=1), W.astype("f8"), W[:, 0], W.tolist()):
        found = r @ shared
        assert np.array_equal(found.lengths, r.lengths)
        for got, part in zip(found, r, strict=True):
            if len(part):
                assert_same(got, np.asarray(dg.matmul(part, shared)))
    assert_same(np.matmul(r, W).packed().values, (r @ W).packed().values)
    deep = dg.Ragged(r.values.reshape(-1, 2, 4), r.offsets, lengths=r.lengths)
    assert (deep @ W[:4]).row_shape == (2, 5)
    mostly_gaps = r[:, :1]
    assert_same((mostly_gaps @ W).packed().values, np.asarray(dg.matmul(mostly_gaps.packed().values, W)))


def test_nothing_to_multiply():
    none = dg.Ragged(np.zeros((0, 4), "f4"), [0])
    assert dg.grouped_matmul(none, np.zeros((0, 4, 3))).values.shape == (0, 3)
    assert dg.grouped_matmul(none, []).values.shape == (0, 0)
    assert len(dg.matmul(none, none, transpose_b=True)) == 0
    empty = dg.Ragged(np.zeros((0, 4), "f4"), [0, 0, 0])
    assert dg.matmul(empty, empty, transpose_b=True).to_list() == [[], []]
    assert (empty @ np.ones((4, 2), "f4")).values.shape == (0, 2)
    no_inner = rows("f4", 0)
    assert not dg.matmul(no_inner, no_inner, transpose_b=True).values.any()


def test_attention_from_products():
    q = rows("f4", 16)
    scores = dg.matmul(q, q, transpose_b=True).softmax()
    for found, part, p in zip(scores @ q, q, scores, strict=True):
        np.testing.assert_allclose(p.sum(axis=1), np.ones(len(part)), rtol=1e-5)
        np.testing.assert_allclose(found, p @ part, rtol=1e-4, atol=1e-5)


def test_ragged_matrix_type():
    matrices = [np.arange(6.0).reshape(2, 3), np.zeros((0, 4)), np.ones((3, 1))]
    m = dg.RaggedMatrix.from_list(matrices)
    assert (len(m), m.shape, m.ndim, m.size) == (3, (3, None, None), 3, 9)
    assert "segments=3, elements=9" in repr(m)
    for got, wanted in zip(m, matrices, strict=True):
        assert_same(got, wanted)
    assert m[-1].shape == (3, 1)
    assert not m[0].flags.writeable
    for key in (slice(1, 3), slice(None, None, 2), [2, 0], np.array([True, False, True])):
        assert [part.tolist() for part in m[key]] == [matrices[i].tolist() for i in np.arange(3)[key]]
    assert m.to_padded(-1)[0].tolist() == [[0, 1, 2, -1], [3, 4, 5, -1], [-1] * 4]
    for got, wanted in zip(m.to_padded(), matrices, strict=True):
        assert_same(got[: wanted.shape[0], : wanted.shape[1]].copy(), wanted)
        assert got.sum() == wanted.sum()
    assert m.by_rows().lengths.tolist() == [3, 3, 1, 1, 1]
    assert m.equals(pickle.loads(pickle.dumps(m)))
    assert m.astype("f4").dtype == np.float32
    assert not m.equals(m.astype("f4"))
    assert dg.RaggedMatrix(m.values, m.offsets, m.rows, m.cols).equals(m)
    assert repr(dg.RaggedMatrix.from_list([])).startswith("RaggedMatrix(segments=0")
    assert copy.copy(m) is m
    assert copy.deepcopy(m).equals(m)
    with pytest.raises(TypeError, match="unhashable"):
        hash(m)
    with pytest.raises(TypeError, match=r"compared by .equals\(\)"):
        operator.eq(m, m.copy())
    with pytest.raises(IndexError, match=r"one index chooses segments; m\[i\]\[row, column\]"):
        m[0, 1]


def raises(error, message):
    return pytest.raises(error, match=message)


def test_bad_input():
    r, w = rows("f4", 4, [2, 3]), np.zeros((2, 4, 3), "f4")
    grouped = dg.grouped_matmul
    with raises(dg.FormatError, "grouped_matmul: ragged is a ndarray, expected a Ragged"):
        grouped(w[0], w)
    with raises(dg.ShapeError, "ragged has 2 segments, but weights has 3 matrices"):
        grouped(r, np.zeros((3, 4, 3)))
    with raises(dg.ShapeError, "ragged has rows of 4, but weights have 5 rows"):
        grouped(r, np.zeros((2, 5, 3)))
    with raises(dg.ShapeError, "segment 1 has rows of 4, but its weight has 5 rows"):
        grouped(r, [w[0], np.zeros((5, 3), "f4")])
    with raises(dg.ShapeError, "the weight of segment 1 has 2 columns, but that of segment 0 has 3"):
        grouped(r, [w[0], w[0, :, :2]])
    with raises(
        dg.DTypeError, "the weight of segment 1 has dtype float64, but that of segment 0 has float32"
    ):
        grouped(r, [w[0], w[1].astype("f8")])
    with raises(dg.DTypeError, "the product of segment 1 is float64, but that of segment 0 is float32"):
        grouped(r, [dg.CSR(w[0]), dg.CSR(w[1].astype("f8"))])
    with raises(dg.ShapeError, "weights has 2 dimensions, expected 3"):
        grouped(r, w[0])
    with raises(dg.FormatError, "weights is one CSR, expected a stack"):
        grouped(r, dg.CSR(w[0]))
    with raises(dg.DTypeError, "weights has dtype object"):
        grouped(r, np.full((2, 4, 3), None))
    with raises(dg.ShapeError, "ragged has rows of single numbers"):
        grouped(dg.Ragged([[1.0], [2.0]]), w)
    with raises(dg.UnsupportedError, "grouped_matmul has one kernel only"):
        grouped(r, w, kernel="csr_rowwise")
    with raises(dg.DTypeError, "dtype is int32, but the product is float32"):
        grouped(r, w, dtype="i4")


def test_bad_pairs():
    r = rows("f4", 4, [2, 3])
    with raises(dg.ShapeError, "A has 2 segments but B has 1"):
        dg.matmul(r, r[:1], transpose_b=True)
    with raises(dg.ShapeError, "segment 0 has 4 columns in A but 2 rows in B"):
        dg.matmul(r, r)
    with raises(dg.ShapeError, "segment 0 has 4 columns in A but 5 rows in B"):
        dg.matmul(r, rows("f4", 5, [2, 3]), transpose_b=True)
    scores = dg.matmul(r, r, transpose_b=True)
    with raises(dg.ShapeError, "segment 1 has 3 columns in A but 4 rows in B"):
        scores @ rows("f4", 4, [2, 4])
    with raises(dg.ShapeError, r"A has rows of shape \(2, 2\), expected one axis"):
        dg.matmul(dg.Ragged(np.zeros((5, 2, 2)), [0, 5]), r[:1], transpose_b=True)
    with raises(dg.UnsupportedError, "A is a RaggedMatrix, which meets a ragged operand only"):
        scores @ np.ones((3, 2))
    with raises(dg.UnsupportedError, "B is a Ragged, which meets a ragged operand only"):
        np.ones((3, 2)) @ r
    with raises(dg.ShapeError, "A has rows of 4, but X has 5 rows"):
        r @ np.ones((5, 2))
    with raises(dg.ShapeError, "A has rows of single numbers, expected rows of 5"):
        dg.Ragged([[1.0]]) @ np.ones((5, 2))
    with raises(dg.UnsupportedError, "transpose_b= is for two ragged operands; write B.T"):
        dg.matmul(np.eye(2), np.eye(2), transpose_b=True)
    with raises(dg.UnsupportedError, "transpose_b= is for two ragged operands; write B.T"):
        dg.matmul(r, np.eye(4), transpose_b=True)
    with raises(dg.UnsupportedError, "out= is not taken with a ragged operand"):
        dg.matmul(r, r, transpose_b=True, out=np.zeros(13))
    with pytest.raises(TypeError):
        r @ None


def test_bad_matrices():
    values = np.arange(6.0)
    make = dg.RaggedMatrix
    with raises(dg.FormatError, "segment 1 has 2 rows and 3 columns, but 4 elements"):
        make(values, [0, 2, 6], [1, 2], [2, 3])
    with raises(dg.FormatError, "segment 1 ends at 2, before its start at 4"):
        make(values, [0, 4, 2], [1, 2], [2, 3])
    with raises(dg.ShapeError, "rows has 1 entries, but offsets make 2 segments"):
        make(values, [0, 2, 6], [1], [2, 3])
    with raises(dg.FormatError, "segment 1 has -2 cols, expected at least 0"):
        make(values, [0, 2, 6], [1, 2], [2, -2])
    with raises(dg.FormatError, "segment 0 has 4294967296 rows and 4294967296 columns, but 0 elements"):
        make(values[:0], [0, 0], [2**32], [2**32])
    with raises(dg.ShapeError, "matrix 1 has 1 dimensions, expected 2"):
        make.from_list([[[1]], [1]])
    with raises(IndexError, "segment 5 is out of range for 1 segments"):
        make.from_list([[[1]]])[5]
    with pytest.raises(TypeError, match="immutable"):
        make.from_list([[[1]]])[0] = 3
    with pytest.raises(TypeError, match="never padded silently"):
        np.asarray(make.from_list([[[1]]]))
    shared = np.ones(4)
    m = make(shared, [0, 4], [2], [2])
    shared[:] = 3
    with raises(dg.StaleDataError, "memory that this array shares was changed"):
        m @ dg.Ragged([np.ones((2, 1))])


def test_panels_without_room_are_not_kept(monkeypatch):
    monkeypatch.setenv("DEEPGEMM_LAYOUT_BYTES", "1000")
    weights = [dg.quantize(np.full((64, 64), float(g + 1)), "int8") for g in range(3)]
    tokens = dg.Ragged.from_lengths(np.ones((6, 64), "f4"), [1, 2, 3])
    for _ in range(2):
        got = dg.grouped_matmul(tokens, weights)
        assert [len(segment) for segment in got] == [1, 2, 3]
        for segment, rows, kept in zip(got, tokens, weights, strict=True):
            assert np.array_equal(segment, dg.matmul(rows, kept.dequantize()))
        assert all(w._member is None and not w._layouts.names() for w in weights)
