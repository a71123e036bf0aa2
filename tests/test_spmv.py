"""Products with a vector where columns lie far apart, lengths differ and arrays end."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
pytestmark = pytest.mark.usefixtures("three_threads")

WIDE = 200_000  # columns: more than a 16-bit offset can tell


def of_rows(rows, columns, dtype, index_dtype="i4"):
    """A CSR array of these columns in each row, with random values."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(index_dtype)
    indices = np.concatenate([np.asarray(row, index_dtype) for row in rows]).astype(index_dtype)
    data = testing.random_values("spmv", indices.shape, dtype)
    return dg.CSR((data, indices, indptr), shape=(len(rows), columns))


def spread(generator, length, low, high):
    return np.sort(generator.choice(np.arange(low, high), length, replace=False))


def far_and_near(generator):
    """Slices that 16 bits reach, at the far end of x too, between slices that they do not."""
    rows = []
    for block in range(12):
        for r in range(16):
            if block % 3 == 0:
                rows.append(spread(generator, 1 + r % 5, WIDE - 300, WIDE))
            elif block % 3 == 1:
                rows.append(spread(generator, 3 + r, 0, WIDE))
            else:
                rows.append(spread(generator, r % 4, 70_000, 70_000 + 65_536))
    rows.append([0, 65_535])
    rows.append([1, 65_536])
    return rows


def edges(generator):
    """The widest span that 16 bits tell, and one more, in slices of their own."""
    rows = []
    for reach in (65_535, 65_536):
        rows += [[100, 100 + reach]] + [[200]] * 15
    return rows + [[]] * 40 + [spread(generator, 9, 0, WIDE)] + [[]] * 7


PATTERNS = {"far-and-near": far_and_near, "edges-of-16-bits": edges}


@pytest.mark.parametrize("index_dtype", ["i4", "i8"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", ["csr_vector", "sell_vector"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_columns_far_apart(pattern, kernel, isa, dtype, index_dtype):
    A = of_rows(PATTERNS[pattern](np.random.default_rng(5)), WIDE, dtype, index_dtype)
    x = testing.random_values("x", (WIDE,), dtype)
    wanted = reference.matmul(A, x)
    for threads in (1, 2, 3):
        plan = dg.plan(A, x, kernel=f"{kernel}@{isa}", threads=threads)
        testing.assert_same(plan(x), wanted, f"{threads} threads")
        testing.assert_same(plan(x, out=np.empty(2 * A.shape[0], dtype)[::2]), wanted, "strided result")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", ["csr_vector", "sell_vector"])
def test_lengths_around_the_lanes_and_the_end_of_the_arrays(kernel, isa, dtype):
    """Rows side by side read past their ends: masked in the sum, and never past the arrays."""
    generator = np.random.default_rng(11)
    for rows in (1, 4, 5, 8, 16, 17, 35):
        for longest in (1, 4, 5, 40):
            lengths = generator.integers(0, longest + 1, rows)
            for last in (0, 1, longest, 64):
                lengths[-1] = last
                A = of_rows([spread(generator, n, 0, 64) for n in lengths], 64, dtype)
                x = testing.with_nonfinite(testing.random_values("x", (64,), dtype), "x")
                plan = dg.plan(A, x, kernel=f"{kernel}@{isa}")
                testing.assert_same(plan(x), reference.matmul(A, x), f"{lengths}")


def test_offsets_of_16_bits_lower_the_bytes():
    generator = np.random.default_rng(3)
    near = of_rows([spread(generator, 40, 0, 5_000) for _ in range(4_000)], 5_000, "f8")
    far = of_rows([spread(generator, 40, 0, WIDE) for _ in range(4_000)], WIDE, "f8")

    def bytes_an_entry(A):
        return _core.sell_build(A.indptr, A.indices, A.data, A.shape[1]).nbytes / A.nnz

    assert bytes_an_entry(near) < 10.6
    assert 12 < bytes_an_entry(far) < 12.6


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("isa", ISAS)
def test_layouts_outside_the_caches(isa, dtype):
    """Fetching ahead, also past the end of the layout, leaves no trace; `csr_vector` is tested above."""
    generator = np.random.default_rng(7)
    rows = (20 << 20) // np.dtype(dtype).itemsize // 40
    indices = (np.arange(rows)[:, None] + np.sort(generator.permutation(500)[:40])).astype("i4").ravel()
    data = generator.standard_normal(indices.size).astype(dtype)
    A = dg.CSR((data, indices, np.arange(rows + 1) * 40), shape=(rows, rows + 500))
    x = testing.random_values("x", (rows + 500,), dtype)
    wanted = dg.matmul(A, x, kernel="csr_vector")
    testing.assert_same(dg.matmul(A, x, kernel=f"sell_vector@{isa}"), wanted)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("columns", [3000, WIDE])
def test_threads_share_a_slice(columns, isa, dtype):
    """Few long rows, of which one slice has most entries, for offsets of 16 bits and for columns of 32."""
    generator = np.random.default_rng(13)
    for rows in (1, 7, 9, 17, 25):
        lengths = np.sort(generator.integers(1, 2900, rows))[::-1]
        A = of_rows([spread(generator, n, 0, columns) for n in lengths], columns, dtype)
        x = testing.random_values("x", (columns,), dtype)
        wanted = reference.matmul(A, x)
        for threads in (1, 2, 3):
            plan = dg.plan(A, x, kernel=f"sell_vector@{isa}", threads=threads, reuse=10)
            testing.assert_same(plan(x), wanted, f"{rows} rows, {threads} threads")
            testing.assert_same(plan(x, out=np.empty(2 * rows, dtype)[::2]), wanted, f"{rows} rows, strided")
