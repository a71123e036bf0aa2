"""Products on the other side, whose rows are columns to the kernels: X is turned in panels, Y in tiles."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
KERNELS = ("csr_rowwise", "csr_tiled", "csr_scatter", "bsr_dense", "bsr_scatter")

pytestmark = pytest.mark.usefixtures("three_threads")

# Lengths of the rows of Y: around the tiles of 256 rows and the blocks of 1,024, and such that rows of Y lie
# pages apart.
LENGTHS = (1, 255, 256, 260, 1024, 2052)
COLUMNS = (1, 3, 4, 8, 9, 16, 33, 70)
INNER = 48


@cache
def array(length, dtype, stored):
    """Entries of a matrix with empty columns and a full one; blocks of it for the kernels that want them."""
    generator = np.random.default_rng(length)
    filled = generator.random((INNER, length)) < 0.2
    filled[:, length // 3] = True
    filled[:, length // 2 :: 7] = False
    values = testing.random_values(f"turned {length}", filled.shape, dtype) * filled
    A = dg.CSR(values)
    return A if stored == "csr" else A.tobsr((4, 4 if length % 4 == 0 else 1))


@cache
def operands(length, dtype, stored):
    A = array(length, dtype, stored)
    X = testing.random_values("X turned", (max(COLUMNS), INNER), dtype)
    return A, X, reference.matmul(X, A.to_scipy())


def target(shape, dtype, order, misaligned):
    """Memory for a result, with guards of nan on both sides of it."""
    memory = np.full(shape[0] * shape[1] + 2 * 64, np.nan, dtype)
    start = (-memory.ctypes.data // memory.itemsize) % (64 // memory.itemsize) + misaligned
    return memory, memory[start : start + shape[0] * shape[1]].reshape(shape, order=order)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_dense_times_sparse(kernel, isa, dtype):
    if kernel == "csr_tiled" and dtype in ("c8", "c16"):
        pytest.skip("tiles hold real values only")
    for turn, length in enumerate(LENGTHS):
        A, X, wanted = operands(length, dtype, kernel[:3])
        for columns in COLUMNS:
            plan = dg.plan(
                X[:columns], A, kernel=f"{kernel}@{isa}", threads=1 + (turn + columns) % 3, reuse=10
            )
            assert (plan.kernel, plan.isa) == (kernel, isa)
            for order in "CF":
                memory, out = target((columns, length), dtype, order, (turn + columns) % 5)
                given = np.asarray(X[:columns], order="CF"[columns % 2])
                testing.assert_same(plan(given, out=out), wanted[:columns], f"{columns} x {length} {order}")
                assert np.isnan(memory).sum() == memory.size - out.size


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kernel", ["csr_rowwise", "csr_tiled"])
def test_more_columns_than_a_copy_may_hold(kernel, threads):
    """Rows so many that X is turned a few of its columns at a time."""
    generator = np.random.default_rng(5)
    rows, entries = 400_000, 300_000
    places = np.unique(generator.integers(0, rows * 700, entries))
    A = dg.COO((np.ones(places.size, "f4"), (places // 700, places % 700)), shape=(rows, 700)).tocsr()
    A = A.with_data(testing.random_values("values", A.nnz, "f4"))
    X = testing.random_values("wide X", (20, rows), "f4")
    wanted = reference.matmul(X, A.to_scipy())
    plan = dg.plan(X, A, kernel=kernel, threads=threads, reuse=10)
    testing.assert_same(plan(X), wanted, kernel)
    testing.assert_same(plan(X, out=np.empty_like(wanted, order="F")), wanted, kernel)
