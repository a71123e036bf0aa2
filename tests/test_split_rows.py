"""`csr_split`: long rows in pieces, within the bound of its order, the same everywhere, never by default."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
PIECE = 2048  # csrc/core/split_product.cpp
DTYPES = ("f4", "f8", "F", "D")
COLUMNS = (None, 1, 3, 17)


pytestmark = pytest.mark.usefixtures("three_threads")


def parts(dtype, index_dtype="i4"):
    """Rows around the length from which they are cut, several cut rows, and empty ones."""
    generator = np.random.default_rng(2)
    lengths = [3, 0, 2 * PIECE + 1, 2 * PIECE, 5, 9_001, 0, 7_000, *generator.integers(0, 9, 40)]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(index_dtype)
    indices = np.concatenate([np.sort(generator.choice(12_000, n, replace=False)) for n in lengths])
    data = testing.random_values("split", indices.shape, dtype)
    return (data, indices.astype(index_dtype), indptr), (len(lengths), 12_000)


def piecewise(A, X):
    """The stated order of the kernel: a chain for each piece, and the sums added in ascending order."""
    cuts, owner = [], []
    for row, (begin, end) in enumerate(zip(A.indptr[:-1], A.indptr[1:], strict=True)):
        pieces = (end - begin) // PIECE if end - begin > 2 * PIECE else 1
        cuts += [begin + (int(end) - int(begin)) * p // pieces for p in range(pieces)]
        owner += [row] * pieces
    cut = dg.CSR((A.data, A.indices, np.array([*cuts, A.indptr[-1]])), shape=(len(cuts), A.shape[1]))
    sums = reference.matmul(cut, X)
    result = np.zeros((A.shape[0], *sums.shape[1:]), sums.dtype)
    for row, part in zip(owner, sums, strict=True):
        result[row] = result[row] + part
    return result


@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
def test_pieces_are_chains_added_in_order(isa, dtype, index_dtype):
    arrays, shape = parts(dtype, index_dtype)
    A = dg.CSR(arrays, shape=shape)
    for columns in COLUMNS:
        X = testing.random_values("X", (shape[1],) if columns is None else (shape[1], columns), dtype)
        wanted = piecewise(A, X)
        for threads in (1, 2, 3):
            plan = dg.plan(A, X, kernel=f"csr_split@{isa}", threads=threads, reproducible=False)
            testing.assert_same(plan(X), wanted, f"{columns} columns, {threads} threads")


@pytest.mark.parametrize("layout", testing.LAYOUTS)
def test_layouts_of_operand_and_result(layout):
    arrays, shape = parts("f8")
    A = dg.CSR(arrays, shape=shape)
    for columns in (None, 5):
        X = testing.random_values("X", (shape[1],) if columns is None else (shape[1], columns), "f8")
        wanted = piecewise(A, X)
        plan = dg.plan(A, X, kernel="csr_split", reproducible=False)
        testing.assert_same(plan(testing.LAYOUTS[layout](X)), wanted)
        if layout != "read-only":
            out = testing.LAYOUTS[layout](np.full(wanted.shape, np.nan))
            testing.assert_same(plan(X, out=out), wanted)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_other_side_and_the_other_format(dtype):
    arrays, shape = parts(dtype)
    A = dg.CSR(arrays, shape=shape)
    x = testing.random_values("x", (shape[1],), dtype)
    wanted = piecewise(A, x)
    options = {"kernel": "csr_split", "reproducible": False}
    testing.assert_same(dg.matmul(x, A.T, **options), wanted)
    testing.assert_same(dg.matmul(A.tocoo(), x, **options), wanted)
    for empty in ((0, 5), (5, 0), (0, 0)):
        result = dg.matmul(dg.CSR(empty, dtype=dtype), np.ones(empty[1], dtype), **options)
        testing.assert_same(result, np.zeros(empty[0], dtype))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_error_is_within_the_bound_of_chains_and_sums(dtype):
    arrays, shape = parts(dtype)
    A = dg.CSR(arrays, shape=shape)
    x = testing.random_values("x", (shape[1],), dtype)
    result = dg.matmul(A, x, kernel="csr_split", reproducible=False)
    wide = A.to_scipy().astype(np.longdouble)
    lengths = np.diff(A.indptr)
    # At most 2 * PIECE roundings in a chain, and one for each piece.
    roundings = np.minimum(lengths, 2 * PIECE) + lengths // PIECE + 1
    bound = roundings * np.finfo(dtype).eps * (abs(wide) @ abs(x).astype(np.longdouble))
    assert (abs(result - wide @ x.astype(np.longdouble)) <= bound).all()


def test_default_plans_never_choose_it():
    arrays, shape = parts("f8")
    A = dg.CSR(arrays, shape=shape)
    for X in (np.ones(shape[1]), np.ones((shape[1], 4))):
        for reuse in (None, 1, 1000):
            plan = dg.plan(A, X, reuse=reuse)
            refused = {c.kernel: c.refused for c in plan.candidates}
            assert refused["csr_split"] == "rounds in an order of its own; reproducible=False admits it"
            assert plan.kernel != "csr_split"
        assert "csr_split" in str(plan.explain())
    with pytest.raises(dg.UnsupportedError, match="reproducible=False admits it"):
        dg.matmul(A, np.ones(shape[1]), kernel="csr_split")


def test_one_row_with_most_entries_chooses_it():
    entries = 300_000
    indptr = np.concatenate([[0], entries + np.arange(101)])
    indices = np.concatenate([np.arange(entries), np.arange(100)])
    A = dg.CSR((np.ones(indices.size), indices, indptr), shape=(101, entries))
    for X in (np.ones(entries), np.ones((entries, 4))):
        plan = dg.plan(A, X, reproducible=False, threads=2)
        assert plan.kernel == "csr_split"
        assert plan(X).ravel()[0] == entries


def test_other_operands_are_refused():
    A = dg.CSR(np.eye(3))
    options = {"kernel": "csr_split", "reproducible": False}
    with pytest.raises(dg.UnsupportedError, match="wants up to 32 columns, this operand has 33"):
        dg.matmul(A, np.ones((3, 33)), **options)
    with pytest.raises(dg.UnsupportedError, match="wants a dense operand"):
        dg.matmul(A, A, **options)
    with pytest.raises(dg.UnsupportedError, match="wants one sparse operand"):
        dg.matmul(np.eye(3), np.eye(3), **options)
    with pytest.raises(dg.UnsupportedError, match="native arithmetic"):
        dg.matmul(A.astype("i4"), np.ones(3, "i4"), **options)
