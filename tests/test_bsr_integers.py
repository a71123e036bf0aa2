"""Products of blocks of 8-bit integers are exact, on every ISA and number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference
from deepgemm.testing import LAYOUTS, assert_same

ISAS = _core.cpu_info()["usable"]
BLOCKS = ((1, 1), (1, 4), (2, 3), (4, 4), (5, 6), (8, 1), (9, 8), (16, 16), (3, 17))
COLUMNS = (None, 1, 3, 15, 16, 17, 63, 64, 65, 130)

pytestmark = pytest.mark.usefixtures("three_threads")


def numbers(shape, dtype, seed=0):
    """All numbers of the dtype, its ends more often."""
    limits = np.iinfo(dtype)
    generator = np.random.default_rng(seed)
    values = generator.integers(limits.min, limits.max + 1, shape)
    ends = generator.random(shape)
    values[ends < 0.2], values[ends > 0.8] = limits.min, limits.max
    return values.astype(dtype)


def sparse(size, dtype, grid=(6, 7), indices="i4"):
    """Blocks, among them a block row without any, and a full one; zeros inside them stay stored."""
    filled = np.random.default_rng(1).random(grid) < 0.5
    filled[1], filled[2] = False, True
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(indices)
    data = numbers((int(filled.sum()), *size), dtype)
    data[0] = 0
    shape = grid[0] * size[0], grid[1] * size[1]
    return dg.BSR((data, np.nonzero(filled)[1].astype(indices), indptr), shape=shape)


def compare(A, X, isa, left=True, **options):
    wanted = reference.matmul(A, X) if left else reference.matmul(X, A)
    for threads in (1, 2, 3):
        operands = (A, X) if left else (X, A)
        product = dg.matmul(*operands, kernel=f"bsr_integers@{isa}", threads=threads, **options)
        assert_same(product, wanted, f"{A.blocksize} {A.dtype} × {X.dtype}, {X.shape}, {threads} threads")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("theirs", ["int8", "uint8"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("size", BLOCKS, ids=str)
def test_blocks(size, dtype, theirs, isa):
    A = sparse(size, dtype)
    for columns in COLUMNS:
        compare(A, numbers(A.shape[1:] if columns is None else (A.shape[1], columns), theirs), isa)
    for rows in (1, 5, 70):
        compare(A, numbers((rows, A.shape[0]), theirs), isa, left=False)
    compare(A, numbers(A.shape[:1], theirs), isa, left=False)


@pytest.mark.parametrize("indices", ["i4", "i8"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_indices_and_results_of_64_bits(dtype, indices):
    A = sparse((4, 6), dtype, indices=indices)
    X, options = numbers((42, 9), "int8"), {"dtype": "int64", "kernel": "bsr_integers"}
    assert_same(dg.matmul(A, X, **options), reference.matmul(A, X, dtype="int64"))
    assert_same(dg.matmul(A, X, kernel="bsr_integers"), reference.matmul(A, X))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    A = sparse((4, 4), "int8")
    X = LAYOUTS[layout](numbers((28, 70), "int8"))
    compare(A, X, ISAS[0])
    for dtype in ("int32", "int64"):
        out = np.zeros((70, 24), dtype).T
        assert dg.matmul(A, X, out=out, kernel="bsr_integers", dtype=dtype) is out
        assert_same(out, reference.matmul(A, X, dtype=dtype))


@pytest.mark.parametrize("isa", ISAS)
def test_sums_that_wrap_on_their_way(isa):
    """Raised operands sum up to more than 32 bits hold, and come back."""
    for dtype, theirs, extent in (("int8", "int8", 131_064), ("uint8", "uint8", 33_024)):
        low = np.iinfo(dtype).min or np.iinfo(dtype).max
        A = dg.BSR(np.full((2, extent), low, dtype), blocksize=(2, 8))
        X = np.full((extent, 3), np.iinfo(theirs).min or np.iinfo(theirs).max, theirs)
        wanted = np.full((2, 3), extent * int(low) * int(X[0, 0]), np.int64)
        product = dg.matmul(A, X, kernel=f"bsr_integers@{isa}")
        assert product.dtype == np.int32
        assert_same(product.astype(np.int64), wanted)


def test_long_inner_lengths():
    """K alone decides for int64; what is stored decides whether the sums fit 32 bits."""
    indptr, indices = np.array([0, 2]), np.array([3, 39_999])
    A = dg.BSR((numbers((2, 4, 4), "int8"), indices, indptr), shape=(4, 160_000))
    X = numbers((160_000, 5), "int8")
    product = dg.matmul(A, X, kernel="bsr_integers")
    assert product.dtype == np.int64
    assert_same(product, reference.matmul(A, X))


def test_empty_shapes():
    for shape, size in (((0, 8), (2, 4)), ((8, 0), (2, 4)), ((6, 9), (2, 3))):
        A = dg.BSR(shape, dtype="int8", blocksize=size)
        for columns in (0, 3):
            compare(A, numbers((shape[1], columns), "uint8"), ISAS[0])


def test_it_is_chosen_and_reads_whole_groups_where_they_stand():
    A = sparse((16, 16), "int8")
    plan = dg.plan(A, numbers((112, 64), "uint8"))
    assert plan.kernel == "bsr_integers"
    assert plan.chosen.layout is None
    assert not A._layouts.names()
    B = sparse((4, 6), "int8")
    X = numbers((42, 9), "int8")
    bought = dg.plan(B, X, kernel="bsr_integers")
    assert bought.chosen.layout == "bsr:groups"
    assert B._layouts.nbytes == bought.chosen.layout_bytes == B.nnz // 6 * 8
    other = B.with_data(numbers(B.data.shape, "int8", seed=5))
    for left in (True, False):
        Y = X if left else numbers((3, 24), "uint8")
        dg.matmul(*((B, Y) if left else (Y, B)), kernel="bsr_integers")
        compare(other, Y, ISAS[0], left=left)


@pytest.mark.parametrize(
    ("dtype", "theirs", "options", "message"),
    [
        ("float32", "float32", {}, "wants int8 or uint8 on both sides"),
        ("int8", "float32", {}, "wants int8 or uint8 on both sides"),
        ("int8", "int16", {}, "wants int8 or uint8 on both sides"),
        ("int8", "int8", {"dtype": "float64"}, "gives int32 or int64, not float64"),
    ],
)
def test_refusals(dtype, theirs, options, message):
    A = sparse((4, 4), "int8").astype(dtype)
    with pytest.raises(dg.UnsupportedError, match=message):
        dg.matmul(A, np.ones((28, 2), theirs), kernel="bsr_integers", **options)


def test_other_refusals():
    A = sparse((4, 4), "int8")
    with pytest.raises(dg.UnsupportedError, match="wants blocks, this operand is csr"):
        dg.matmul(A.tocsr(), numbers((28, 2), "int8"), kernel="bsr_integers")
    with pytest.raises(dg.UnsupportedError, match="multiplies no stacks"):
        dg.matmul(A, numbers((3, 28, 2), "int8"), kernel="bsr_integers")
    full = dg.BSR(np.ones((2, 132_000), np.int8), blocksize=(2, 8))
    with pytest.raises(dg.UnsupportedError, match="sums of 132,000 products may exceed 32 bits"):
        dg.matmul(full, np.ones((132_000, 1), np.int8), kernel="bsr_integers")
    assert_same(full @ np.ones((132_000, 1), np.int8), np.full((2, 1), 132_000))
