"""The tiled kernel where its layout has several panels and blocks, long rows, and copies of X and Y.

`test_kernels_exact.py` looks at small operands, which are one tile.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
DTYPES = ("f4", "f8")
THREADS = (1, 2, 3)


pytestmark = pytest.mark.usefixtures("three_threads")


def dense_rows(generator):
    """Some 40 entries for each of ten panels of 128 columns; rows that miss panels, empty and full ones."""
    filled = generator.random((150, 1250)) < 0.3
    filled[3] = filled[60:90] = False
    filled[4] = True
    filled[5:20, 200:900] = False
    return np.nonzero(filled)


def many_rows(generator):
    """More rows than one task takes, in two panels."""
    return np.nonzero(generator.random((2200, 400)) < 0.11)


def wide(generator):
    """Three panels of 65,472 columns, with entries on both sides of their edges, and empty rows in masses."""
    rows = np.sort(generator.integers(0, 5000, 9000))
    columns = generator.integers(0, 140_000, rows.size)
    columns[::50] = 65_471
    columns[1::50] = 65_472
    columns[2::50] = 139_999
    return np.unique(np.stack([rows, columns]), axis=1)


def long_row(generator):
    """One row that fills two panels of the greatest width, among short ones."""
    columns = np.arange(140_000)
    rows = np.full(columns.size, 17)
    others = np.stack([generator.integers(0, 40, 300), generator.integers(0, 140_000, 300)])
    return np.unique(np.concatenate([np.stack([rows, columns]), others], axis=1), axis=1)


def many_lengths(generator):
    """Rows of all lengths up to 400 in blocks of 1,024 rows."""
    lengths = np.minimum(generator.geometric(0.1, 3000), 400)
    lengths[::500] = 400
    rows = np.repeat(np.arange(3000), lengths)
    columns = np.concatenate([np.sort(generator.permutation(400)[:n]) for n in lengths])
    return rows, columns


CASES = {
    "dense rows": (dense_rows, (150, 1250)),
    "many rows": (many_rows, (2200, 400)),
    "wide": (wide, (5000, 140_000)),
    "long row": (long_row, (40, 140_000)),
    "many lengths": (many_lengths, (3000, 400)),
}


@cache
def array(name, dtype, index_dtype="i4"):
    draw, shape = CASES[name]
    rows, columns = draw(np.random.default_rng(3))
    indptr = np.searchsorted(rows, np.arange(shape[0] + 1)).astype(index_dtype)
    data = testing.random_values(name, rows.size, dtype)
    made = dg.CSR((data, columns.astype(index_dtype), indptr), shape=shape)
    assert made.indices.dtype == index_dtype
    return made


@cache
def product(name, dtype, columns):
    A = array(name, dtype)
    X = testing.random_values("X" + name, (A.shape[1], columns), dtype)
    return X, reference.matmul(A.to_scipy(), X)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CASES)
def test_panels_and_blocks(name, isa, dtype):
    X, wanted = product(name, dtype, 70)
    layouts = list(testing.LAYOUTS.values())
    for turn, columns in enumerate((2, 8, 9, 33, 70)):
        for threads in THREADS:
            place = (turn + threads) % len(layouts)
            plan = dg.plan(
                array(name, dtype, "i8" if turn % 2 else "i4"),
                X[:, :columns],
                kernel=f"csr_tiled@{isa}",
                threads=threads,
                reuse=10,
            )
            assert (plan.kernel, plan.isa) == ("csr_tiled", isa)
            result = plan(layouts[place](X[:, :columns]))
            testing.assert_same(result, wanted[:, :columns], f"{columns} columns, {threads} threads")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "columns"), [("dense rows", 150), ("dense rows", 1024), ("long row", 40)])
def test_many_columns(name, columns, dtype):
    """X and Y are copied into rows of 256 bytes; threads share the columns of one long row."""
    A = array(name, dtype)
    X = testing.random_values("many", (A.shape[1], columns), dtype)
    wanted = reference.matmul(A.to_scipy(), X)
    for order in "CF":
        for threads in THREADS:
            plan = dg.plan(A, X, kernel="csr_tiled", threads=threads)
            out = np.full(wanted.shape, np.nan, dtype, order=order)
            plan(np.asarray(X, order=order), out=out)
            testing.assert_same(out, wanted, f"{order}, {threads} threads")


def test_inf_and_nan_meet_entries_only():
    A = array("dense rows", "f4")
    X = testing.with_nonfinite(testing.random_values("X", (A.shape[1], 12), "f4"), "X")
    testing.assert_same(dg.matmul(A, X, kernel="csr_tiled"), reference.matmul(A.to_scipy(), X))


def test_a_layout_that_is_shown_and_refilled():
    A = array("many lengths", "f4")
    X = testing.random_values("X", (400, 16), "f4")
    plan = dg.plan(A, X, kernel="csr_tiled", reuse=10)
    assert "tiled:csr" in str(plan.explain())
    other = A.with_data(testing.random_values("other", A.nnz, "f4"))
    testing.assert_same(
        dg.plan(other, X, kernel="csr_tiled")(X), reference.matmul(other.to_scipy(), X), "refilled"
    )
    testing.assert_same(plan(X), reference.matmul(A.to_scipy(), X), "the old one is as it was")


def test_complex_operands_are_refused_by_name():
    A = dg.CSR(np.eye(3, dtype="F"))
    with pytest.raises(dg.UnsupportedError, match=r"csr_tiled.*tiles hold real values only"):
        dg.plan(A, np.ones((3, 2), "F"), kernel="csr_tiled")


@pytest.mark.parametrize("arguments", ["complex", "other values"])
def test_the_core_refuses_what_does_not_fit(arguments):
    indptr, indices = np.array([0, 1, 2], "i4"), np.array([0, 1], "i4")
    if arguments == "complex":
        with pytest.raises(dg.UnsupportedError, match="tiled: real values and at most"):
            _core.tiled_build(indptr, indices, np.ones(2, "F"), 2)
    else:
        tiled = _core.tiled_build(indptr, indices, np.ones(2, "f4"), 2)
        for values in (np.ones(1, "f4"), np.ones(2, "f8")):
            with pytest.raises(dg.FormatError, match="tiled: other values do not fit"):
                tiled.refill(values)
