"""Every block-sparse kernel, at every ISA and number of threads, gives exactly what the reference gives."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, datasets, reference, testing

ISAS = _core.cpu_info()["usable"]
DTYPES = ("f4", "f8", "F", "D")
KERNELS = {"bsr_dense": DTYPES, "bsr_scatter": DTYPES, "bsr_vector": ("f4", "f8")}
PRODUCTS = [(kernel, isa, dtype) for kernel, served in KERNELS.items() for isa in ISAS for dtype in served]
# Rows of blocks around the rows of a tile (4, 6, 8), low and flat ones, and the largest asked for.
BLOCKSIZES = (
    (1, 1), (1, 16), (2, 2), (3, 3), (4, 4), (5, 7), (6, 1), (8, 4), (9, 5),
    (12, 12), (16, 16), (17, 8), (21, 21), (64, 3), (2, 64),
)  # fmt: skip
COLUMNS = (None, 1, 2, 5, 8, 16, 17, 49, 130)
THREADS = (1, 2, 3)


pytestmark = pytest.mark.usefixtures("three_threads")


@cache
def blocks(blocksize, dtype, index_dtype="i4", shape=(9, 7), seed=0):
    """Blocks that hold zeros, in block rows of which some are empty and one is full."""
    generator = np.random.default_rng([*blocksize, seed])
    filled = generator.random(shape) < 0.35
    filled[1] = False
    filled[2] = True
    rows, columns = np.nonzero(filled)
    indptr = np.searchsorted(rows, np.arange(shape[0] + 1)).astype(index_dtype)
    data = testing.random_values(f"{blocksize}{seed}", (rows.size, *blocksize), dtype, zeros=0.2)
    extents = (shape[0] * blocksize[0], shape[1] * blocksize[1])
    array = dg.BSR((data, columns.astype(index_dtype), indptr), shape=extents)
    assert array.indices.dtype == index_dtype
    return array


def sides(kernel):
    return ("right",) if kernel == "bsr_scatter" else ("left", "right")


def counts(kernel):
    return (None, 1) if kernel == "bsr_vector" else COLUMNS


def dense(name, array, side, columns, dtype, nonfinite=False):
    extent = array.shape[1] if side == "left" else array.shape[0]
    shape = (extent,) if columns is None else (extent, columns) if side == "left" else (columns, extent)
    X = testing.random_values(name, shape, dtype)
    return testing.with_nonfinite(X, name) if nonfinite else X


def plan_of(array, X, side, kernel, isa=None, **options):
    name = kernel if isa is None else f"{kernel}@{isa}"
    plan = dg.plan(*((array, X) if side == "left" else (X, array)), kernel=name, **options)
    assert plan.kernel == kernel
    assert isa is None or plan.isa == isa
    return plan


def product(array, X, side):
    return reference.matmul(array, X) if side == "left" else reference.matmul(X, array)


@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize(("kernel", "isa", "dtype"), PRODUCTS)
def test_blocks_times_dense(kernel, isa, dtype, index_dtype):
    for blocksize in BLOCKSIZES:
        array = blocks(blocksize, dtype, index_dtype)
        for columns in counts(kernel):
            draw = random.Random(f"{kernel} {isa} {dtype} {index_dtype} {blocksize} {columns}")
            side, layout = draw.choice(sides(kernel)), draw.choice(list(testing.LAYOUTS))
            out_layout = draw.choice([None, *(name for name in testing.LAYOUTS if name != "read-only")])
            threads, reuse = draw.choice(THREADS), draw.choice((None, 5))
            X = dense(str(blocksize), array, side, columns, dtype)
            wanted = expected(blocksize, dtype, side, columns)
            plan = plan_of(array, X, side, kernel, isa, threads=threads, reuse=reuse)
            out = None
            if out_layout is not None:
                out = testing.LAYOUTS[out_layout](np.full(wanted.shape, np.nan, wanted.dtype))
            context = f"{blocksize}, {side}, {columns} columns {layout}, out {out_layout}, {threads} threads"
            testing.assert_same(plan(testing.LAYOUTS[layout](X), out=out), wanted, context)


@cache
def expected(blocksize, dtype, side, columns):
    array = blocks(blocksize, dtype)
    return product(array, dense(str(blocksize), array, side, columns, dtype), side)


@pytest.mark.parametrize(("kernel", "isa", "dtype"), PRODUCTS)
def test_inf_and_nan_meet_all_places_of_blocks_and_no_other(kernel, isa, dtype):
    for blocksize in ((3, 3), (8, 4), (16, 16)):
        array = blocks(blocksize, dtype)
        for side in sides(kernel):
            columns = 1 if kernel == "bsr_vector" else 19
            X = dense("special", array, side, columns, dtype, nonfinite=True)
            result = plan_of(array, X, side, kernel, isa)(X)
            testing.assert_same(result, product(array, X, side), f"{blocksize}, {side}")
            testing.assert_same(result, product(array.tocsr(), X, side), f"{blocksize}, {side}, as csr")


@pytest.mark.parametrize(("kernel", "dtype"), [(k, d) for k, served in KERNELS.items() for d in served])
def test_threads_and_isas_leave_no_trace_in_larger_products(kernel, dtype):
    array = blocks((16, 16), dtype, shape=(60, 50))
    for side in sides(kernel):
        X = dense("large", array, side, 1 if kernel == "bsr_vector" else 70, dtype)
        wanted = dg.matmul(*((array, X) if side == "left" else (X, array)), kernel="csr_rowwise", threads=1)
        for isa in ISAS:
            for threads in THREADS:
                testing.assert_same(plan_of(array, X, side, kernel, isa, threads=threads)(X), wanted)


@pytest.mark.parametrize("isa", ISAS)
def test_passes_are_made_by_few_block_rows_where_x_is_large(isa):
    array = blocks((2, 16), "f4", shape=(30, 500))
    X = dense("far", array, "left", 130, "f4")
    assert X.nbytes > 1 << 20
    wanted = dg.matmul(array, X, kernel="csr_rowwise")
    for threads in THREADS:
        testing.assert_same(plan_of(array, X, "left", "bsr_dense", isa, threads=threads)(X), wanted)


@pytest.mark.parametrize("kernel", KERNELS)
def test_unsorted_and_duplicate_blocks(kernel):
    data = testing.random_values("unsorted", (5, 4, 2), "f4")
    array = dg.BSR((data, np.array([2, 0, 1, 1, 0]), np.array([0, 2, 5])), shape=(8, 6))
    for side in sides(kernel):
        X = dense("unsorted", array, side, None if kernel == "bsr_vector" else 3, "f4")
        testing.assert_same(plan_of(array, X, side, kernel)(X), product(array, X, side))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 12), (12, 0), (12, 8)])
def test_without_blocks(kernel, shape):
    array = dg.BSR(shape, dtype="f4", blocksize=(4, 4))
    for side in sides(kernel):
        for columns in (None,) if kernel == "bsr_vector" else (None, 0, 3):
            X = dense("empty", array, side, columns, "f4")
            testing.assert_same(plan_of(array, X, side, kernel)(X), product(array, X, side))


@pytest.mark.parametrize("blocksize", [(1, 16), (8, 4), (21, 21)])
def test_rows_of_a_million_entries(blocksize):
    count = 1_000_000 // blocksize[1]
    data = testing.random_values("long", (count, *blocksize), "f4")
    indptr = np.array([0, count, count])
    array = dg.BSR((data, np.arange(count), indptr), shape=(2 * blocksize[0], count * blocksize[1]))
    for kernel, columns in (("bsr_vector", None), ("bsr_dense", 3)):
        X = dense("long", array, "left", columns, "f4")
        wanted = dg.matmul(array, X, kernel="csr_rowwise")
        testing.assert_same(plan_of(array, X, "left", kernel)(X), wanted)
        Z = dense("long", array, "right", columns, "f4")
        wanted = dg.matmul(Z, array, kernel="csr_rowwise")
        testing.assert_same(plan_of(array, Z, "right", "bsr_scatter")(Z), wanted)


@pytest.mark.parametrize(("left", "right"), [("f4", "f8"), ("f2", "f4"), ("f8", "f4"), ("f4", "F")])
@pytest.mark.parametrize("kernel", ["bsr_dense", "bsr_scatter"])
def test_mixed_dtypes_are_widened_once(kernel, left, right):
    array = blocks((8, 4), left)
    for side in sides(kernel):
        X = dense("mixed", array, side, 5, right)
        for _ in range(2):
            testing.assert_same(plan_of(array, X, side, kernel)(X), product(array, X, side))


@pytest.mark.parametrize("kernel", KERNELS)
def test_other_values_refill_the_layouts(kernel):
    old = blocks((5, 7), "f4")
    new = old.with_data(testing.random_values("new", old.data.shape, "f4"))
    for side in sides(kernel):
        for dtype in ("f4", "f8"):
            X = dense("refill", old, side, None if kernel == "bsr_vector" else 4, dtype)
            for array in (old, new, old):
                testing.assert_same(plan_of(array, X, side, kernel)(X), product(array, X, side))


def test_blocks_on_the_right_are_bought_by_their_transpose():
    array = dg.BSR(blocks((16, 16), "f4", shape=(30, 30)).to_scipy(), copy=True)
    X = dense("right", array, "right", 40, "f4")
    plan = dg.plan(X, array, kernel="bsr_dense")
    assert plan.chosen.layout == "bsr.T"
    assert plan.chosen.conversion > 0
    assert dg.plan(X, array, kernel="bsr_dense").chosen.conversion == 0
    assert dg.plan(X, array, kernel="bsr_scatter").chosen.layout is None


def test_the_planner_takes_blocks_as_they_are():
    array = blocks((16, 16), "f4", shape=(40, 40))
    plan = dg.plan(array, np.ones((640, 32), "f4"))
    assert (plan.kernel, plan.chosen.layout, plan.chosen.conversion) == ("bsr_dense", None, 0.0)
    assert dg.plan(array, np.ones(640, "f4")).kernel == "bsr_vector"


# --- compressed rows whose entries fill blocks ---


def in_rows(blocksize, dtype, drop=0.0, shape=(9, 7)):
    """A CSR operand of blocks, a share of whose places are not stored."""
    array = blocks(blocksize, dtype, shape=shape).tocsr().to_scipy().copy()
    array.data[np.random.default_rng(5).random(array.nnz) < drop] = 0
    array.eliminate_zeros()
    return dg.CSR(array)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("blocksize", [(2, 2), (3, 3), (8, 4), (16, 16)])
def test_rows_that_fill_blocks(blocksize, isa, dtype):
    array = in_rows(blocksize, dtype, drop=0.1)
    for kernel in ("bsr_dense", "bsr_vector"):
        if dtype not in KERNELS[kernel]:
            continue
        for side in sides(kernel):
            columns = 1 if kernel == "bsr_vector" else 21
            X = dense("rows", array, side, columns, dtype)
            special = dense("rows", array, side, columns, dtype, nonfinite=True)
            plan = plan_of(array, X, side, kernel, isa)
            assert plan.chosen.layout.startswith("bsr:")
            for operand in (X, special, X):  # what is not finite must not meet the zeros filled in
                testing.assert_same(plan(operand), product(array, operand, side), f"{kernel}, {side}")


@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("threads", THREADS)
def test_blocks_of_rows_hold_every_entry_once(index_dtype, threads):
    generator = np.random.default_rng(4)
    pattern = generator.random((384, 320)) < 0.2
    pattern[5], pattern[64:80] = True, False
    array = dg.CSR(np.where(pattern, generator.standard_normal(pattern.shape), 0))
    indptr, indices = array.indptr.astype(index_dtype), array.indices.astype(index_dtype)
    for height, width in ((1, 1), (3, 2), (8, 4), (64, 64)):
        with dg.threads(threads):
            start, columns, places = _core.blocks_of_rows(indptr, indices, height, width)
            data = np.zeros((columns.size, height, width))
            _core.scatter_values(array.data, places, data.reshape(-1))
        assert start.dtype == columns.dtype == index_dtype
        made = dg.BSR((data, columns, start), shape=array.shape)
        assert made.has_canonical_format
        assert np.array_equal(made.toarray(), array.toarray())
        fill = array.nnz / (columns.size * height * width)
        assert _core.block_fill(indptr, indices, height, width, 10 * array.nnz) == pytest.approx(fill)


def test_rows_in_blocks_are_refilled():
    old = in_rows((8, 8), "f4", drop=0.1)
    for side in ("left", "right"):
        X = dense("refill", old, side, 6, "f4")
        testing.assert_same(plan_of(old, X, side, "bsr_dense")(X), product(old, X, side))
        new = old.with_data(testing.random_values("other", old.data.shape, "f4"))
        plan = plan_of(new, X, side, "bsr_dense")
        donors = plan.problem.left.donors if side == "left" else plan.problem.right.donors
        assert plan.chosen.layout in donors
        testing.assert_same(plan(X), product(new, X, side))
        testing.assert_same(plan_of(old, X, side, "bsr_dense")(X), product(old, X, side))


def test_reuse_buys_blocks_where_they_are_full():
    array = in_rows((16, 16), "f4", shape=(60, 60))
    plan = dg.plan(array, np.ones((960, 64), "f4"), reuse=10_000, kernel="bsr_dense")
    assert plan.chosen.layout == "bsr:16x16"
    assert "bsr_dense" in str(plan.explain())


@pytest.mark.parametrize("blocksize", [(21, 21), (6, 6), (8, 1)])
def test_rows_of_the_same_pattern_suggest_blocks(blocksize):
    array = datasets.blocks(40 * blocksize[0], 40 * blocksize[1], 0.3, blocksize=blocksize)
    plan = plan_of(array, np.ones((array.shape[1], 32), "f4"), "left", "bsr_dense")
    assert plan.chosen.layout == f"bsr:{blocksize[0]}x{blocksize[1]}"


def test_plain_products_look_for_blocks_once_that_pays():
    array = datasets.blocks(960, 960, 0.3)
    X = dense("plain", array, "left", 64, "f4")
    assert array._block_fill is None
    wanted = array @ X
    for _ in range(1000):
        testing.assert_same(array @ X, wanted)
        if "bsr:16x16" in array._layouts.names():
            break
    else:
        pytest.fail("the blocks were not bought")


def test_refusals_say_why():
    X = np.ones((64, 3), "f4")
    scattered = dg.CSR(np.eye(64, dtype="f4")[np.arange(64) * 7 % 64])
    cases = [
        (scattered, X, "bsr_dense", r"entries fill 2\d% of the touched 2 × 2 blocks, or"),
        (scattered.tocsc(), X, "bsr_dense", "wants blocks, this operand is csc"),
        (scattered, X, "bsr_scatter", "wants blocks, this operand is csr"),
        (scattered.tobsr((4, 4)), X, "bsr_scatter", "wants the blocks on the right"),
        (scattered.tobsr((4, 4)), X, "bsr_vector", "wants a vector, this operand has 3 columns"),
        (scattered.tobsr((4, 4)).astype("F"), X[:, 0], "bsr_vector", "bsr_dense serves complex ones"),
        (scattered.tobsr((4, 4)).astype("i4"), X.astype("i4"), "bsr_dense", "accumulates in int32"),
        (np.eye(64, dtype="f4"), X, "bsr_dense", "wants one sparse operand"),
    ]
    for left, right, kernel, message in cases:
        with pytest.raises(dg.UnsupportedError, match=message):
            dg.plan(left, right, kernel=kernel)
    plain = {c.kernel: c.refused for c in dg.plan(dg.CSR(np.eye(64, dtype="f4")), X).candidates}
    assert plain["bsr_dense"] == "how far entries fill blocks was not measured (it is once that pays)"


def test_blocks_that_do_not_divide_the_shape_are_not_made():
    pattern = np.kron(np.eye(5, dtype="f4"), np.ones((4, 4), "f4"))[:19, :19]
    with pytest.raises(dg.UnsupportedError, match="or these do not fit"):
        dg.plan(dg.CSR(pattern), np.ones(19, "f4"), kernel="bsr_vector")
    with pytest.raises(dg.ShapeError, match="block"):
        dg.CSR(pattern).tobsr((4, 4))


def test_the_core_checks_what_it_is_handed():
    array = blocks((4, 4), "f4")
    parts = array.indptr, array.indices
    with pytest.raises(ValueError, match="unknown algorithm"):
        _core.bsr_product("bsr", None, *parts, array.data, 7, True)
    with pytest.raises(dg.FormatError, match="three dimensions"):
        _core.bsr_product("bsr_dense", None, *parts, array.data.ravel(), 7, True)
    with pytest.raises(dg.FormatError, match="three dimensions"):
        _core.bsr_product("bsr_dense", None, *parts, array.data[1:], 7, True)
    with pytest.raises(dg.FormatError, match="contiguous"):
        _core.bsr_product("bsr_dense", None, *parts, array.data.transpose(0, 2, 1), 7, True)
    with pytest.raises(dg.ShapeError, match="0 by 4: expected 1 to 64 rows and columns"):
        _core.block_fill(*parts, 0, 4, 100)
    with pytest.raises(dg.ShapeError, match="4 by 65"):
        _core.blocks_of_rows(*parts, 4, 65)
    with pytest.raises(dg.ShapeError, match="do not divide"):
        _core.blocks_of_rows(*parts, 4, 4)
    with pytest.raises(dg.FormatError, match="fewer indices"):
        _core.rows_alike(array.indptr, array.indices[:2], 100)
    with pytest.raises(dg.FormatError, match="do not fit"):
        _core.scatter_values(array.data.reshape(-1), np.zeros(4, "i8"), np.zeros(4, "f8"))
    with pytest.raises(dg.FormatError, match="fewer blocks"):
        _core.bsr_product("bsr_dense", None, array.indptr, array.indices[:2], array.data, 7, True)
