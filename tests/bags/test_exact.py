"""embedding_bag equals its statement on every ISA, for every table, index width and number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from bag_cases import ROWS, TABLES, make_bags, make_table

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.testing import assert_same, random_values, with_nonfinite

ISAS = _core.cpu_info()["usable"]
# Around the vectors of each ISA and the passes of eight of them, and odd ends of packed bytes.
COLUMNS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67, 128, 130, 264)
# Around the 16 rows that are prefetched ahead; empty bags at both ends and in the middle; a long one.
LENGTHS = (0, 1, 2, 5, 0, 0, 15, 16, 17, 33, 1, 0, 60, 3, 0)


def expected(table, bags, mode="sum", **options):
    lengths = bags.lengths if bags.has_gaps else None
    with np.errstate(all="ignore"):
        return reference.embedding_bag(table, bags.values, bags.offsets, lengths, mode=mode, **options)


def check(table, bags, mode="sum", **options):
    found = dg.embedding_bag(table, bags, mode, **options)
    assert_same(found, expected(table, bags, mode, **options), f"{mode} {bags}")


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", TABLES)
def test_every_kernel_is_exact(kind, isa, mode, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    for columns in COLUMNS:
        table = make_table(kind, columns)
        bags = make_bags(LENGTHS)
        check(table, bags, mode)
        if mode != "max":
            check(table, bags, mode, weights=random_values("w", len(bags.values), "f4"))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("where", [np.int32, np.int64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_threads_and_index_widths(index, where, isa, threads, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    rng = np.random.default_rng(0)
    with dg.threads(threads):
        for kind in ("float32", "float64", "fused 8", "fused 4"):
            table = make_table(kind, 50)
            check(table, make_bags(rng.integers(0, 9, 1500), index=index, where=where), "mean")
            # One bag for all of the work: its columns are split.
            huge = make_bags([3, 0, 9000, 2], index=index, where=where)
            for mode in ("sum", "max"):
                check(table, huge, mode)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rows_that_lie_alike_in_cache_lines(dtype, isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    long = make_bags([3, 0, 900, 2])
    for columns in (16, 32, 64, 128, 144):  # 144 fill nine lines, the most that one pass takes
        values = random_values(f"lines{columns}", ((ROWS + 1) * columns,), dtype)
        for first in (0, 1, 4, 8, 12, 15):  # in elements, from wherever NumPy's memory begins
            table = values[first : first + ROWS * columns].reshape(ROWS, columns)
            for index in (np.int32, np.int64):
                check(table, make_bags(LENGTHS, index=index), "mean")
            check(table[::-1, 3:-5], make_bags(LENGTHS))
            check(table, make_bags(LENGTHS, rows=ROWS + 9), out_of_range="clip")
            with dg.threads(2):
                check(table, long)  # whose columns are split
            # Beyond the result's own elements nothing is written.
            halves = dg.embedding_bag([table, table[:, :-1]], [long, long])
            assert_same(halves, np.hstack([expected(table, long), expected(table[:, :-1], long)]))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", ["float32", "float16", "fused 4"])
def test_ids_out_of_range_and_padding(kind, isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    table = make_table(kind, 19)
    ids = np.array([0, ROWS, 5, -1, 2**40, -(2**60), 36, 5, ROWS - 1, 3, 7, 7, -2, 5])
    bags = dg.Ragged(ids, [0, 3, 3, 5, 6, 10, 14])
    weights = random_values("w", len(ids), "f4")
    weights[3] = np.inf
    for mode in ("sum", "mean", "max"):
        for out_of_range in ("zero", "clip"):
            for padding in (None, 0, 5, -1, -ROWS):
                options = {"out_of_range": out_of_range, "padding_idx": padding}
                check(table, bags, mode, **options)
                if mode != "max":
                    check(table, bags, mode, weights=weights, **options)
    inside = dg.Ragged(np.array([5, 5, 1, 5]), [0, 2, 4])
    for mode in ("sum", "mean", "max"):
        check(table, inside, mode, padding_idx=5)
        assert (dg.embedding_bag(table, inside, mode, padding_idx=5)[0] == 0).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", dg.bfloat16])
def test_values_that_are_not_finite(dtype, isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    table = with_nonfinite(random_values("t", (ROWS, 21), dtype))
    for mode in ("sum", "mean", "max"):
        check(table, make_bags(LENGTHS), mode)
    for special in (np.nan, np.inf, -np.inf, -0.0):
        check(np.full((3, 5), special, dtype), make_bags((2, 0, 3), rows=3), "max")


@pytest.mark.parametrize("kind", TABLES)
def test_sums_are_products_with_csr(kind):
    """The same chains, so the same bits: a CSR whose columns are sorted, with and without weights."""
    table = make_table(kind, 24)
    matrix = scipy.sparse.random_array((30, ROWS), density=0.2, format="csr", dtype="f4", rng=1)
    output = dg.embedding_bag(table, matrix).dtype

    def product(values):
        return dg.matmul(dg.CSR(matrix).with_data(values), table, dtype=output)

    for given in (matrix, dg.CSR(matrix), scipy.sparse.csc_array(matrix)):
        assert_same(dg.embedding_bag(table, given), product(matrix.data))
    ones = np.ones(matrix.nnz, np.float32)
    assert_same(dg.embedding_bag(table, dg.Ragged.from_csr(dg.CSR(matrix))), product(ones))
    assert_same(dg.embedding_bag(table, dg.CSR(matrix), weights=ones), product(ones))


def test_the_forms_of_bags():
    table = make_table("float32", 9)
    ids, offsets = np.array([3, 1, 4, 1, 5]), np.array([0, 2, 2, 5])
    bags = dg.Ragged(ids, offsets)
    wanted = expected(table, bags)
    assert_same(dg.embedding_bag(table, (ids, offsets[:-1])), wanted)
    assert_same(dg.embedding_bag(table, (ids, offsets), include_last_offset=True), wanted)
    assert_same(dg.embedding_bag(table, ([3, 1, 4, 1, 5], [0, 2, 2])), wanted)
    assert_same(dg.embedding_bag(table, [[3, 1], [], [4, 1, 5]]), wanted)
    assert_same(dg.embedding_bag(table, [np.array([3, 1]), np.zeros(0, int), np.array([4, 1, 5])]), wanted)
    assert_same(dg.embedding_bag(table, dg.Ragged(ids.astype(np.uint8), offsets)), wanted)
    fixed = np.array([[3, 1], [4, 1]])
    assert_same(dg.embedding_bag(table, fixed), expected(table, dg.Ragged(fixed.ravel(), [0, 2, 4])))
    assert_same(dg.embedding_bag(table, [[], []]), np.zeros((2, 9), np.float32))
    assert dg.embedding_bag(table, []).shape == (0, 9)
    assert dg.embedding_bag(table[:, :0], [[1], [2]]).shape == (2, 0)
    gaps = dg.Ragged(np.array([3, 1, 99, 4, 1, 5, 99]), [0, 3, 3, 7], lengths=[2, 0, 3])
    assert_same(dg.embedding_bag(table, gaps), wanted)


def test_the_forms_of_weights():
    table = make_table("float32", 9)
    bags = dg.Ragged(np.array([3, 1, 4, 1, 5]), [0, 2, 2, 5])
    weights = np.array([0.5, 2.0, 1 / 3, 0.0, -1.0])
    wanted = expected(table, bags, weights=weights)
    nested = [[0.5, 2.0], [], [1 / 3, 0.0, -1.0]]
    for given in (weights, weights.astype("f4"), dg.Ragged(nested), nested):
        assert_same(dg.embedding_bag(table, bags, weights=given), wanted)
    gaps = dg.Ragged(np.array([3, 1, 99, 4, 1, 5, 99]), [0, 3, 3, 7], lengths=[2, 0, 3])
    assert_same(dg.embedding_bag(table, gaps, weights=dg.Ragged(nested)), wanted)
    assert_same(
        dg.embedding_bag(
            table, bags, weights=dg.Ragged(np.insert(weights, 2, 9), [0, 3, 3, 6], lengths=[2, 0, 3])
        ),
        wanted,
    )
    double = make_table("float64", 9)
    assert_same(dg.embedding_bag(double, bags, weights=weights), expected(double, bags, weights=weights))


@pytest.mark.parametrize("isa", ISAS)
def test_several_tables_in_one_call(isa, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", isa)
    kinds = ("float32", "fused 8", "float16", "fused 4", "bfloat16", "float32")
    widths = (16, 33, 1, 64, 7, 0)
    tables = [make_table(kind, width) for kind, width in zip(kinds, widths, strict=True)]
    bags = [make_bags(np.roll(LENGTHS, n), seed=str(n)) for n in range(len(tables))]
    weights = [None, *(random_values(f"w{n}", len(b.values), "f4") for n, b in enumerate(bags) if n)]
    for mode in ("sum", "mean"):
        found = dg.embedding_bag(tables, bags, mode, weights, padding_idx=[None, 1, 2, None, -1, 0])
        padding = (None, 1, 2, None, -1, 0)
        single = [
            expected(t, b, mode, weights=w, padding_idx=p, dtype="f4")
            for t, b, w, p in zip(tables, bags, weights, padding, strict=True)
        ]
        assert_same(found, np.concatenate(single, axis=1))
    halves = [make_table("float16", 8), make_table("float16", 5)]
    found = dg.embedding_bag(halves, bags[:2], padding_idx=3)
    assert_same(
        found, np.concatenate([expected(t, b, padding_idx=3) for t, b in zip(halves, bags, strict=False)], 1)
    )
    doubles = [make_table("float64", 8), make_table("float64", 5)]
    assert_same(
        dg.embedding_bag(doubles, bags[:2]),
        np.concatenate([expected(t, b) for t, b in zip(doubles, bags, strict=False)], 1),
    )


@pytest.mark.parametrize("kind", ["float32", "float16", "float64", "fused 8"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", dg.bfloat16, dg.float8_e4m3fn])
def test_dtypes_of_results(kind, dtype):
    table = make_table(kind, 20)
    check(table, make_bags(LENGTHS), dtype=dtype)


def test_tables_anywhere_in_memory(tmp_path):
    table = make_table("float32", 18)
    bags = make_bags(LENGTHS)
    wanted = expected(table, bags)
    wide = np.zeros((ROWS, 40), np.float32)
    wide[:, 3:21] = table
    shifted = np.zeros(table.nbytes + 1, np.uint8)[1:].view(np.uint8)
    shifted[:] = np.frombuffer(table.tobytes(), np.uint8)
    np.save(tmp_path / "table.npy", table)
    read_only = table.copy()
    read_only.setflags(write=False)
    turned = np.ascontiguousarray(table[::-1])[::-1]
    places = {
        "columns of a wider one": wide[:, 3:21],
        "every second row": np.repeat(table, 2, axis=0)[::2],
        "rows backwards": turned,
        "columns backwards": np.ascontiguousarray(table[:, ::-1])[:, ::-1],
        "Fortran order": np.asfortranarray(table),
        "big-endian": table.astype(">f4"),
        "read-only": read_only,
        "memory-mapped": np.load(tmp_path / "table.npy", mmap_mode="r"),
        "misaligned": shifted.view(np.float32).reshape(table.shape),
        "nested lists": table.astype("f8").tolist(),
    }
    for name, place in places.items():
        found = dg.embedding_bag(place, bags)
        assert_same(found.astype("f4"), wanted if name != "nested lists" else found.astype("f4"), name)
    for layout in ("fused_8bit_rowwise", "fused_4bit_rowwise"):
        made = dg.quantize_table(table, layout)
        read = dg.Quantized.from_bytes(made.to_bytes(layout), layout)
        assert_same(dg.embedding_bag(read, bags), expected(made, bags))
        assert_same(dg.embedding_bag(made.T.copy().T, bags), expected(made, bags))


def test_bags_of_a_table_of_one_row_or_none():
    for kind in ("float32", "fused 4"):
        check(make_table(kind, 5, rows=1), make_bags((3, 0, 1), rows=1))
    empty = np.zeros((0, 5), np.float32)
    assert_same(dg.embedding_bag(empty, [[], []]), np.zeros((2, 5), np.float32))
    assert_same(dg.embedding_bag(empty, [[1], [-1]], out_of_range="zero"), np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("isa", ISAS)
def test_a_forced_isa_runs(isa):
    table, out = np.ones((3, 4), np.float32), np.empty((1, 4), np.float32)
    part = ((table, "float32", 4, None, None, None), np.array([2]), np.array([0, 1]), None, None, -1)
    for mode in ("sum", "mean", "max"):
        assert _core.bags(mode, isa, [part], "raise", out) == isa
        assert (out == 1).all()
