"""Operations within segments: exact on every ISA and number of threads, against plain NumPy, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing
from deepgemm.testing import assert_same, random_values
from deepgemm.testing import assert_segments as same

ISAS = _core.cpu_info()["usable"]
ROWS = ("softmax", "log_softmax", "layer_norm", "cumsum")
REDUCTIONS = ("sum", "mean", "max", "min", "argmax", "argmin")
# Around the 16 chains and the vectors of each ISA; a long segment among short ones.
LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 67, 1000, 1, 1)
COLUMNS = ((), (1,), (2,), (7,), (8,), (16,), (17,), (3, 5), (33,), (64,), (67,), (130,))


pytestmark = pytest.mark.usefixtures("three_threads")


def make(dtype, row=(), lengths=LENGTHS, index=np.int64, empty=True, name="x"):
    lengths = np.array([n for length in lengths for n in ((length, 0) if empty else (length,))], index)
    values = random_values(f"{name}{row}", (int(lengths.sum()), *row), dtype)
    return dg.Ragged(values, lengths=lengths)


def expected(operation, r):
    with np.errstate(all="ignore"):
        return getattr(reference, f"segment_{operation}")(r.packed().values, r.packed().offsets)


def check(operation, r):
    found = getattr(r, operation)()
    if isinstance(found, dg.Ragged):
        assert np.array_equal(found.lengths, r.lengths)
        found = found.values
    assert_same(found, expected(operation, r), f"{operation} {r}")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("operation", [*REDUCTIONS, *ROWS])
def test_every_kernel_is_exact(operation, dtype, index, isa, threads, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    empty = operation in (*ROWS, "sum", "mean")
    rows = COLUMNS if threads == 1 and index == np.int64 else COLUMNS[:5]
    with dg.threads(threads):
        for row in rows:
            check(operation, make(dtype, row, LENGTHS[:14] if row else LENGTHS, index, empty))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("operation", [*REDUCTIONS, *ROWS])
def test_threads_split_segments(operation, isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 60, 20_000)
    r = dg.Ragged(rng.standard_normal(int(lengths.sum()), dtype="f4"), lengths=lengths)
    with dg.threads(1):
        one = getattr(r, operation)()
    three = getattr(r, operation)()
    if isinstance(one, dg.Ragged):
        assert one.equals(three)
    else:
        assert_same(three, one)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("row", [(), (3,), (16,)])
@pytest.mark.parametrize("operation", [*REDUCTIONS, *ROWS])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_are_not_finite(operation, row, isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    clean = make("f4", row, LENGTHS[:14], empty=False)
    for seed in range(3):
        check(operation, clean.with_values(testing.with_nonfinite(clean.values.copy(), f"{operation}{seed}")))
    for special in (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e38, 1e-45):
        check(operation, clean.with_values(np.full_like(clean.values, special)))
        some = clean.values.copy()
        some[::5] = special
        check(operation, clean.with_values(some))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_softmax_over_the_whole_range_of_exp(dtype, isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    low, high = (-104.5, 90.0) if dtype == "f4" else (-747.0, 711.0)
    x = np.concatenate([np.linspace(low, high, 20_001), np.linspace(-1, 1, 5001)]).astype(dtype)
    # Against a largest element of 0: exponentials of everything from there down to 0.
    falling = np.minimum(x, 0)
    check("softmax", dg.Ragged(np.concatenate([falling, falling]), [0, 10, 10, len(x), 2 * len(x)]))
    check("log_softmax", dg.Ragged(falling, [*np.arange(0, len(x) + 1, 7).tolist(), len(x)]))


@pytest.mark.parametrize("dtype", [d for d in dtypes._STORED if d.kind != "c"], ids=str)
@pytest.mark.parametrize("row", [(), (5,)])
def test_every_dtype(dtype, row):
    r = make(dtype, row, LENGTHS[:10])
    for operation in ("sum", "mean", "cumsum", "softmax", "log_softmax", "layer_norm"):
        check(operation, r)
    full = make(dtype, row, LENGTHS[:10], empty=False)
    for operation in ("max", "min", "argmax", "argmin"):
        check(operation, full)
    wide = make(dtype, row, LENGTHS[:10]).sum(dtype="f8")
    assert wide.dtype == np.float64


@pytest.mark.parametrize("dtype", ["F", "D"])
@pytest.mark.parametrize("row", [(), (1,), (5,)])
def test_complex(dtype, row):
    r = make(dtype, row, LENGTHS[:14])
    for operation in ("sum", "mean", "cumsum"):
        check(operation, r)
    for operation in (
        "softmax",
        "log_softmax",
        "layer_norm",
        "max",
        "min",
        "argmax",
        "argmin",
        "sort",
        "argsort",
    ):
        with pytest.raises(dg.DTypeError, match=f"Ragged.{operation}: values are complex"):
            getattr(r, operation)()


def test_large_integers_are_exact():
    values = np.array([2**62, 2**62 + 1, -(2**62), 2**63 - 1, -(2**63)])
    r = dg.Ragged(values, [0, 2, 5])
    assert r.max().tolist() == [2**62 + 1, 2**63 - 1]
    assert r.argmin().tolist() == [0, 2]
    assert r.sum().tolist() == [-(2**63) + 1, -(2**62) - 1]  # wraps, as in NumPy
    u = dg.Ragged(np.array([2**64 - 1, 5, 0], np.uint64), [0, 2, 3])
    assert u.max().tolist() == [2**64 - 1, 0]
    assert u.sort().to_list() == [[5, 2**64 - 1], [0]]
    assert u.sum().dtype == np.uint64


@pytest.mark.parametrize("row", [(), (4,)])
def test_gaps(row):
    whole = make("f4", row, LENGTHS[:14])
    r = whole[:, 1:-1]
    assert r.has_gaps
    for operation in ("sum", "mean", *ROWS):
        check(operation, r)
    full = r[r.lengths > 0]
    narrowed = whole[whole.lengths > 2][:, 1:-1]
    for operation in ("max", "min", "argmax", "argmin", "sort", "argsort"):
        left, right = getattr(full, operation)(), getattr(narrowed, operation)()
        assert left.equals(right) if isinstance(left, dg.Ragged) else np.array_equal(left, right)


@pytest.mark.parametrize("row", [(), (3,)])
def test_against_numpy(row):
    r = make("f8", row, LENGTHS[:14], empty=False)
    parts = list(r)
    np.testing.assert_allclose(r.sum(), [part.sum(axis=0) for part in parts])
    np.testing.assert_allclose(r.mean(), [part.mean(axis=0) for part in parts])
    np.testing.assert_array_equal(r.max(), [part.max(axis=0) for part in parts])
    np.testing.assert_array_equal(r.min(), [part.min(axis=0) for part in parts])
    np.testing.assert_array_equal(r.argmax(), [part.argmax(axis=0) for part in parts])
    np.testing.assert_array_equal(r.argmin(), [part.argmin(axis=0) for part in parts])
    for found, part in zip(r.softmax(), parts, strict=True):
        e = np.exp(part - part.max(axis=0))
        np.testing.assert_allclose(found, e / e.sum(axis=0), rtol=1e-14)
    for found, part in zip(r.log_softmax(), parts, strict=True):
        shifted = part - part.max(axis=0)
        np.testing.assert_allclose(found, shifted - np.log(np.exp(shifted).sum(axis=0)), rtol=1e-13)
    for found, part in zip(r.layer_norm(eps=0.1), parts, strict=True):
        np.testing.assert_allclose(
            found, (part - part.mean(0)) / np.sqrt(part.var(0) + 0.1), rtol=1e-10, atol=1e-14
        )
    same(r.sort(), [np.sort(part, axis=0) for part in parts])
    same(r.sort(descending=True), [np.sort(part, axis=0)[::-1] for part in parts])
    for found, part in zip(r.cumsum(), parts, strict=True):
        np.testing.assert_allclose(found, np.cumsum(part, axis=0))


def test_layer_norm_over_rows():
    r = make("f4", (5, 4), LENGTHS[:8])
    found = r.layer_norm(over="row")
    flat = r.values.reshape(-1)
    wanted = reference.segment_layer_norm(flat, np.arange(r.total + 1) * 20)
    assert_same(found.values, wanted.reshape(r.values.shape))
    cut = r[:, 1:]
    assert cut.layer_norm(over="row").equals(cut.packed().layer_norm(over="row"))
    with pytest.raises(
        dg.FormatError, match="over is 'row', expected \"segment\", as rows are single numbers"
    ):
        dg.Ragged([[1.0]]).layer_norm(over="row")
    with pytest.raises(dg.FormatError, match='over is \'x\', expected "segment" or "row"'):
        r.layer_norm(over="x")
    for eps in (-1.0, np.nan):
        with pytest.raises(dg.FormatError, match=r"layer_norm: eps is .*, expected at least 0"):
            r.layer_norm(eps=eps)


@pytest.mark.parametrize("dtype", [d for d in dtypes._STORED if d.kind != "c"], ids=str)
@pytest.mark.parametrize("row", [(), (3,)])
def test_topk_and_sorting(dtype, row):
    r = make(dtype, row, LENGTHS[:10])
    for descending in (False, True):
        positions = r.argsort(descending)
        for part, places, ordered in zip(r, positions, r.sort(descending), strict=True):
            key = part.astype("f8") if part.dtype != np.uint64 else part
            wanted = np.argsort(-key if descending else key, axis=0, kind="stable")
            if part.dtype.kind != "u" or not descending:
                np.testing.assert_array_equal(places, wanted)
            np.testing.assert_array_equal(np.take_along_axis(part, places, axis=0), ordered)
        for k in (0, 1, 3, 100):
            values, places = r.topk(k, largest=descending)
            assert values.lengths.tolist() == np.minimum(r.lengths, k).tolist()
            same(places, [one[:k] for one in positions])
            same(values, [one[:k] for one in r.sort(descending)])


def test_nan_in_order():
    r = dg.Ragged(np.array([np.nan, 1.0, np.nan, -np.inf, np.inf]), [0, 5])
    assert r.argsort().to_list() == [[3, 1, 4, 0, 2]]
    assert r.argsort(descending=True).to_list() == [[0, 2, 4, 1, 3]]
    assert r.topk(1)[1].to_list() == [[0]]
    assert r.argmax().tolist() == r.argmin().tolist() == [0]


def test_empty_segments_and_initial():
    r = dg.Ragged([[1.0, 2.0], [], [5.0]])
    assert r.sum().tolist() == [3.0, 0.0, 5.0]
    assert np.isnan(r.mean()).tolist() == [False, True, False]
    assert r.max(initial=3).tolist() == [3.0, 3.0, 5.0]
    assert r.min(initial=3).tolist() == [1.0, 3.0, 3.0]
    half = r.astype(dg.bfloat16)
    assert half.max(initial=3).dtype == dg.bfloat16
    assert half.max(initial=3).astype(float).tolist() == [3.0, 3.0, 5.0]
    ints = dg.Ragged([[1, 2], [], [5]])
    assert ints.max(initial=-9).tolist() == [2, -9, 5]
    assert ints.min(initial=3).tolist() == [1, 3, 3]
    for operation, hint in [
        ("max", "; initial= gives the max"),
        ("min", "; initial="),
        ("argmax", ""),
        ("argmin", ""),
    ]:
        for array in (r, ints):
            with pytest.raises(dg.ShapeError, match=f"Ragged.{operation}: segment 1 is empty{hint}"):
                getattr(array, operation)()
    with pytest.raises(dg.DTypeError, match=r"max: initial is 0\.5, expected a scalar that int64 can hold"):
        ints.max(initial=0.5)


def test_of_nothing():
    nothing = dg.Ragged([])
    for operation in REDUCTIONS:
        assert getattr(nothing, operation)().shape == (0,)
    for operation in (*ROWS, "sort", "argsort"):
        assert getattr(nothing, operation)().to_list() == []
    assert nothing.topk(3)[0].to_list() == []
    flat = dg.Ragged(np.zeros((3, 0)), [0, 1, 3])
    assert flat.sum().shape == (2, 0)
    assert flat.softmax().values.shape == flat.sort().values.shape == (3, 0)
    assert flat.max().shape == flat.argmax().shape == (2, 0)
    only_empty = dg.Ragged([[], []])
    assert only_empty.sum().tolist() == [0.0, 0.0]
    assert only_empty.softmax().to_list() == [[], []]


def test_results_are_private_and_operands_stay():
    r = make("f4", (), LENGTHS[:6])
    before = r.values.copy()
    for operation in ("sum", "mean"):
        assert getattr(r, operation)().flags.writeable
    for operation in ROWS:
        assert not np.shares_memory(getattr(r, operation)().values, r.values)
    assert np.array_equal(r.values, before)


def test_refusals():
    r = dg.Ragged([[1.0]])
    with pytest.raises(dg.DTypeError, match="dtype is int8, which cannot hold results computed in float64"):
        r.sum(dtype="i1")
    with pytest.raises(dg.DTypeError, match=r"Ragged\.mean: dtype has dtype object"):
        r.mean(dtype=object)
    for k in (-1, 0.5, "a"):
        with pytest.raises(
            dg.FormatError, match=r"Ragged\.topk: k is .*, expected a whole number of at least 0"
        ):
            r.topk(k)
    shared = np.ones(3)
    stale = dg.Ragged(shared, [0, 3])
    shared[:] = 2
    for operation in (*REDUCTIONS, *ROWS, "sort", "argsort"):
        with pytest.raises(dg.StaleDataError):
            getattr(stale, operation)()


@pytest.mark.parametrize(
    ("kernel", "error", "message"),
    [
        ("csr_tiled", dg.UnsupportedError, "DEEPGEMM_KERNEL cannot be obeyed, .* has one kernel only"),
        ("avx512_fp16", dg.UnsupportedError, "DEEPGEMM_KERNEL cannot be obeyed, .* has one kernel only"),
        ("avx1024_x", dg.UnsupportedError, "DEEPGEMM_KERNEL cannot be obeyed"),
        ("no kernel", ValueError, "DEEPGEMM_KERNEL is 'no kernel'"),
    ],
)
def test_kernels_of_other_operations_cannot_be_forced(kernel, error, message, monkeypatch):
    r = dg.Ragged([[1.0, 2.0], [3.0]])
    monkeypatch.setenv("DEEPGEMM_KERNEL", kernel)
    for operation in ("sum", "max", "softmax", "layer_norm"):
        with pytest.raises(error, match=message):
            getattr(r, operation)()


@pytest.mark.parametrize("isa", ISAS)
def test_a_forced_isa_runs(isa):
    values, out = np.ones(3, np.float32), np.zeros(1, np.float32)
    for operation in ("sum", "softmax"):
        result = out if operation == "sum" else np.empty_like(values)
        assert _core.segments(operation, isa, np.array([0, 3]), None, values, result) == isa


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"operation": "product"}, ValueError),
        ({"offsets": np.array([0, 9])}, dg.FormatError),
        ({"offsets": np.zeros(0, np.int64)}, dg.FormatError),
        ({"offsets": np.zeros(2)}, dg.DTypeError),
        ({"lengths": np.array([1, 1])}, dg.FormatError),
        ({"lengths": np.array([1], np.int32)}, dg.FormatError),
        ({"values": np.zeros(3, np.int32)}, dg.DTypeError),
        ({"values": np.zeros(6)[::2]}, dg.FormatError),
        ({"values": np.zeros(3, "D")}, dg.FormatError),
        ({"out": np.zeros(2)}, dg.FormatError),
        ({"out": np.zeros(1, np.float32)}, dg.FormatError),
        ({"isa": "neon"}, dg.UnsupportedError),
    ],
)
def test_the_core_refuses_what_does_not_fit(change, error):
    given = {
        "operation": "sum", "isa": None, "offsets": np.array([0, 3]), "lengths": None, "values": np.zeros(3),
        "out": np.zeros(1), **change,
    }  # fmt: skip
    with pytest.raises(error):
        _core.segments(**given)
