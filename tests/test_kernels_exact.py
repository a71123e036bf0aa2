"""Every kernel, at every ISA and number of threads, gives exactly what the reference gives.

The full cross product of kernels, ISAs, threads, dtypes, index dtypes, problems, orientations, numbers of
columns, memory layouts and output layouts has hundreds of millions of members. Here kernel, ISA, dtype, index
dtype, problem and number of columns are crossed in full; for each of those products the rest (orientation,
threads, layout of the operand, layout of the result, reuse) is drawn by a generator that is seeded with the
name of the product. So a run is repeatable, and every value of the drawn axes meets every kernel, ISA and
dtype dozens of times.
"""

from __future__ import annotations

import os
import random
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

import deepgemm as dg
from deepgemm import _core, reference, testing
from deepgemm.kernels import registry

ISAS = _core.cpu_info()["usable"]
THREADS = (1, 2, 3)
INDEX_DTYPES = ("i4", "i8")
NATIVE_DTYPES = ("f4", "f8", "F", "D")

# Property tests look at other products in each run, unless they are told to repeat one.
SEED = int(os.environ.get("DEEPGEMM_TEST_SEED") or random.SystemRandom().randrange(2**32))

# What each native kernel serves; `test_the_table_is_what_the_kernels_say` holds it against their refusals.
SPARSE_KERNELS = {
    "csr_rowwise": NATIVE_DTYPES,
    "csr_scatter": NATIVE_DTYPES,
    "csr_vector": NATIVE_DTYPES,
    "sell_vector": ("f4", "f8"),
    "csr_tiled": ("f4", "f8"),
    "gemm_packed": NATIVE_DTYPES,
}
DENSE_KERNELS = {"gemm_packed": NATIVE_DTYPES, "dense_as_csr": NATIVE_DTYPES}
VECTOR_KERNELS = ("csr_vector", "sell_vector")
BLOCK_KERNELS = ("bsr_dense", "bsr_scatter", "bsr_vector")  # see test_bsr_kernels.py

VECTOR = None  # an operand with one axis, as a number of columns
COLUMNS = (VECTOR, 1, 2, 3, 7, 8, 16, 17, 33, 130)
# The reference of complex128 takes most of the time; the large problems have it at 130 columns.
MOST_COLUMNS = {"f4": 130, "f8": 130, "F": 130, "D": 40}
ORIENTATIONS = ("A @ X", "X @ A", "A.T @ X", "X @ A.T")
OUT_LAYOUTS = (None, None, None, *(name for name in testing.LAYOUTS if name != "read-only"))

CASES = {dtype: {case.name: case for case in testing.sparse_cases(dtype)} for dtype in NATIVE_DTYPES}
SMALL = [case.name for case in testing.sparse_cases("f8") if "large" not in case.tags]


pytestmark = pytest.mark.usefixtures("three_threads")


@pytest.fixture
def any_dense_operand_may_be_compressed(monkeypatch):
    """Look for zeros in operands that are too small for it to pay, and skip them however few they are."""
    monkeypatch.setattr("deepgemm.ops._specs.SAMPLE_SHARE", 1e9)
    monkeypatch.setattr("deepgemm.kernels.native.gemm.LEAST_ZERO_SHARE", 0.0)


# --- problems and what is expected of them ---


def other_operand(name, shape, dtype, nonfinite=False):
    X = testing.random_values("X" + name, shape, dtype)
    return testing.with_nonfinite(X, name) if nonfinite else X


@cache
def expected(dtype, name, orientation, nonfinite=False):
    """The operand and the product at the greatest number of columns: each column is a product of its own."""
    parts = CASES[dtype][name].make()
    if orientation.endswith(".T") or orientation.startswith("A.T"):
        parts = parts.transposed
    on_left = orientation.startswith("A")
    X = other_operand(name, (parts.shape[on_left], MOST_COLUMNS[dtype]), dtype, nonfinite)
    if on_left:
        return X, reference.matmul(parts, X)
    return X.T, reference.matmul(X.T, parts)


def narrowed(dtype, name, orientation, columns, nonfinite=False):
    """The same with fewer columns (rows, where the sparse operand is on the right)."""
    X, Y = expected(dtype, name, orientation, nonfinite)
    place = 0 if columns is VECTOR else slice(columns)
    return (X[:, place], Y[:, place]) if orientation.startswith("A") else (X[place], Y[place])


def operands(array, orientation, X):
    fixed = array.T if ".T" in orientation else array
    return (fixed, X) if orientation.startswith("A") else (X, fixed)


def sparse_array(parts):
    return dg.CSR(parts.parts, shape=parts.shape)


def forced(left, right, kernel, isa, **options):
    """A plan of one kernel at one ISA, having checked that it is what will run."""
    plan = dg.plan(left, right, kernel=f"{kernel}@{isa}", **options)
    assert (plan.kernel, plan.isa) == (kernel, isa)
    return plan


def run(plan, X, wanted, out_layout, context):
    """Run a plan, into memory full of nan if there is a layout for it, and compare."""
    out = None
    if out_layout is not None:
        out = testing.LAYOUTS[out_layout](np.full(wanted.shape, np.nan, wanted.dtype))
    result = plan(X, out=out)
    assert out is None or result is out
    testing.assert_same(result, wanted, context)


def check_drawn(draw, array, dtype, name, kernel, isa, columns, nonfinite=False):
    """Run one product whose remaining axes are drawn."""
    orientation, layout = draw.choice(ORIENTATIONS), draw.choice(list(testing.LAYOUTS))
    out_layout, threads, reuse = draw.choice(OUT_LAYOUTS), draw.choice(THREADS), draw.choice((None, 5))
    X, wanted = narrowed(dtype, name, orientation, columns, nonfinite)
    X = testing.LAYOUTS[layout](X)
    plan = forced(*operands(array, orientation, X), kernel, isa, threads=threads, reuse=reuse)
    context = (
        f"{orientation}, {name}, {columns} columns {layout}, out {out_layout}, {threads} threads, {reuse=}"
    )
    run(plan, X, wanted, out_layout, context)


# --- sparse × dense ---


SPARSE_PRODUCTS = [
    (kernel, isa, dtype) for kernel, served in SPARSE_KERNELS.items() for isa in ISAS for dtype in served
]


@pytest.mark.parametrize("index_dtype", INDEX_DTYPES)
@pytest.mark.parametrize(("kernel", "isa", "dtype"), SPARSE_PRODUCTS)
def test_sparse_times_dense(kernel, isa, dtype, index_dtype):
    counts = COLUMNS[:2] if kernel in VECTOR_KERNELS else COLUMNS[:-1] if dtype == "D" else COLUMNS
    for case in testing.sparse_cases(dtype, index_dtype):
        array = sparse_array(case.make())
        for columns in counts:
            draw = random.Random(f"{kernel} {isa} {dtype} {index_dtype} {case.name} {columns}")
            check_drawn(draw, array, dtype, case.name, kernel, isa, columns)


@pytest.mark.parametrize(("kernel", "isa", "dtype"), SPARSE_PRODUCTS)
def test_inf_and_nan_in_the_dense_operand_meet_entries_only(kernel, isa, dtype):
    for name in ("rows-17", "inner-19", "empty-rows", "all-dense", "stored-zeros", "skewed"):
        array = sparse_array(CASES[dtype][name].make())
        for columns in (VECTOR, 1) if kernel in VECTOR_KERNELS else (VECTOR, 1, 3, 33):
            for turn in range(4):
                draw = random.Random(f"{kernel} {isa} {dtype} {name} {columns} {turn}")
                check_drawn(draw, array, dtype, name, kernel, isa, columns, nonfinite=True)


@pytest.mark.parametrize(("kernel", "isa", "dtype"), SPARSE_PRODUCTS)
def test_a_plan_meets_finite_and_other_operands_in_turn(kernel, isa, dtype):
    """The finiteness of each new operand decides anew whether a kernel may cross."""
    columns = 1 if kernel in VECTOR_KERNELS else 17
    array = sparse_array(CASES[dtype]["rows-17"].make())
    X, wanted = narrowed(dtype, "rows-17", "A @ X", columns)
    special, wanted_special = narrowed(dtype, "rows-17", "A @ X", columns, nonfinite=True)
    plan = forced(array, X, kernel, isa, threads=2)
    for _ in range(2):
        testing.assert_same(plan(X), wanted)
        testing.assert_same(plan(special), wanted_special)


@pytest.mark.parametrize(("kernel", "isa", "dtype"), SPARSE_PRODUCTS)
def test_inf_and_nan_that_are_stored(kernel, isa, dtype):
    parts = CASES[dtype]["rows-35"].make()
    parts.data[:] = testing.with_nonfinite(parts.data)
    columns = 1 if kernel in VECTOR_KERNELS else 9
    for X in (
        other_operand("stored", (parts.shape[1], columns), dtype),
        other_operand("stored", (parts.shape[1], columns), dtype, nonfinite=True),
    ):
        plan = forced(sparse_array(parts), X, kernel, isa)
        testing.assert_same(plan(X), reference.matmul(parts, X))


@pytest.mark.parametrize("format_", ["csc", "coo", "bsr"])
@pytest.mark.parametrize(("kernel", "isa", "dtype"), SPARSE_PRODUCTS)
def test_other_formats(kernel, isa, dtype, format_):
    if kernel == "gemm_packed" and format_ != "csc":
        array = getattr(sparse_array(CASES[dtype]["block"].make()), f"to{format_}")()
        with pytest.raises(dg.UnsupportedError, match=f"a {format_} operand has no kernel to fall back on"):
            dg.plan(array, np.ones((72, 2), dtype), kernel=kernel)
        return
    for name in ("block", "unsorted-duplicates", "stored-zeros"):
        parts = CASES[dtype][name].make()
        array = sparse_array(parts)
        if format_ == "bsr":
            if parts.shape[1] % 4 or parts.shape[0] % 4 or "duplicates" in name:
                continue
            array = array.tobsr((4, 4))
        else:
            array = array.tocsc() if format_ == "csc" else array.tocoo()
        for columns in (VECTOR,) if kernel in VECTOR_KERNELS else (VECTOR, 19):
            draw = random.Random(f"{kernel} {isa} {dtype} {format_} {name} {columns}")
            check_drawn(draw, array, dtype, name, kernel, isa, columns)


@pytest.mark.parametrize(("kernel", "isa", "dtype"), [p for p in SPARSE_PRODUCTS if p[1] == ISAS[0]])
def test_layouts_that_are_refilled_with_other_values(kernel, isa, dtype):
    """`with_data` keeps the structure, so layouts are filled anew, not built anew."""
    for name in ("skewed", "unsorted", "block"):
        for format_ in ("csr", "csc"):
            for orientation in ("A @ X", "X @ A"):
                old = getattr(sparse_array(CASES[dtype][name].make()), f"to{format_}")()
                X = narrowed(dtype, name, orientation, 1 if kernel in VECTOR_KERNELS else 11)[0]
                before = forced(*operands(old, orientation, X), kernel, isa, reuse=5)(X)
                new = old.with_data(testing.random_values("other values", old.data.shape, dtype))
                wanted = reference.matmul(*operands(new, orientation, X))
                after = forced(*operands(new, orientation, X), kernel, isa, reuse=5)(X)
                testing.assert_same(after, wanted, f"{orientation}, {format_}, {name}")
                again = forced(*operands(old, orientation, X), kernel, isa, reuse=5)(X)
                testing.assert_same(again, before, "the old array is as it was")


def test_the_table_is_what_the_kernels_say():
    """No native kernel and no dtype is left out above, and nothing outside the table is served."""
    # Those that read quantised operands: tests/quantized/test_products.py.
    kernels = [kernel for kernel in registry.kernels("matmul") if not kernel.quantized]
    native = {kernel.name for kernel in kernels if kernel.native}
    native.remove("csr_csr")  # two sparse operands: test_spgemm.py
    native.remove("csr_split")  # an order of its own: test_split_rows.py
    native.remove("gemm_split")  # an order of its own: test_gemm_split.py
    native.remove("gemm_pairs")  # an order of its own: test_gemm_pairs.py
    native.remove("gemm_halves")  # an order of its own: test_gemm_halves.py
    native.remove("gemm_integers")  # 8-bit integers: test_gemm_integers.py
    # Narrow values: test_narrow.py, test_narrow_rows.py, test_tiled_narrow.py, test_sell_narrow.py.
    native -= {"gemm_narrow", "csr_narrow", "csr_tiled_narrow", "sell_vector_narrow"}
    native -= {"bsr_narrow", "bsr_integers"}  # quantized/test_sparse_products.py, test_bsr_integers.py
    assert native == {*SPARSE_KERNELS, *DENSE_KERNELS, *BLOCK_KERNELS}
    for dtype in NATIVE_DTYPES:
        array = sparse_array(CASES[dtype]["rows-17"].make())
        dense = testing.random_values("X", (array.shape[1], 1), dtype)
        for left, table in ((array, SPARSE_KERNELS), (array.toarray(), DENSE_KERNELS)):
            refused = {c.kernel: c.refused for c in dg.plan(left, dense).candidates if c.kernel in native}
            refused.pop("dense_as_csr")  # depends on the size, too
            served = {kernel for kernel, reason in refused.items() if reason is None}
            assert served == {k for k, d in table.items() if dtype in d and k != "dense_as_csr"}, refused


# --- dense × dense ---


@cache
def dense_problem(dtype, name):
    A, X = next(case for case in testing.dense_cases(dtype) if case.name == name).make()
    return A, X, reference.matmul(A, X)


@pytest.mark.parametrize("dtype", DENSE_KERNELS["gemm_packed"])
@pytest.mark.parametrize("isa", ISAS)
def test_dense_times_dense(isa, dtype):
    layouts = list(testing.LAYOUTS)
    for case in testing.dense_cases(dtype):
        A, X, wanted = dense_problem(dtype, case.name)
        for side in ("left", "right"):
            draw = random.Random(f"{isa} {dtype} {case.name} {side}")
            left, right = testing.LAYOUTS[draw.choice(layouts)](A), testing.LAYOUTS[draw.choice(layouts)](X)
            threads, reuse, out_layout = (
                draw.choice(THREADS),
                draw.choice((None, 5)),
                draw.choice(OUT_LAYOUTS),
            )
            plan = forced(left, right, "gemm_packed", isa, fixed=side, threads=threads, reuse=reuse)
            other = right if side == "left" else left
            run(plan, other, wanted, out_layout, f"{case.name}, {side} fixed, {threads} threads, {reuse=}")


@pytest.mark.parametrize("dtype", DENSE_KERNELS["gemm_packed"])
@pytest.mark.parametrize("isa", ISAS)
def test_dense_with_a_vector(isa, dtype):
    for length in (*testing.SIZES, 700):
        A, x = testing.random_values("A", (19, length), dtype), testing.random_values("x", length, dtype)
        wanted = reference.matmul(A, x)
        for side in ("left", "right"):
            plan = forced(A, x, "gemm_packed", isa, fixed=side)
            testing.assert_same(plan(x if side == "left" else A), wanted, f"A @ x, {length}")
        wanted = reference.matmul(x, A.T)
        for side in ("left", "right"):
            plan = forced(x, A.T, "gemm_packed", isa, fixed=side)
            testing.assert_same(plan(A.T if side == "left" else x), wanted, f"x @ A.T, {length}")


@pytest.mark.usefixtures("any_dense_operand_may_be_compressed")
@pytest.mark.parametrize("dtype", DENSE_KERNELS["dense_as_csr"])
@pytest.mark.parametrize("isa", ISAS)
def test_dense_operand_that_is_mostly_zero(isa, dtype):
    for case in testing.dense_cases(dtype):
        if "zeros" not in case.tags:
            continue
        A, X, wanted = dense_problem(dtype, case.name)
        for layout in testing.LAYOUTS.values():
            for threads in THREADS:
                plan = forced(layout(A), X, "dense_as_csr", isa, fixed="left", threads=threads)
                run(plan, layout(X), wanted, None, case.name)
                plan = forced(X.T, layout(A.T), "dense_as_csr", isa, fixed="right", threads=threads)
                run(plan, layout(X.T), reference.matmul(X.T, A.T), "F", case.name)
        special = testing.with_nonfinite(X)
        testing.assert_same(plan(special.T), reference.matmul(special.T, A.T), f"{case.name}, inf and nan")


# --- sizes at which threads share the work and the loops are blocked ---


def check_parts(result, left, right, context):
    """Compare a few rows and a few columns with the reference: elements are chains of their own."""
    rows = np.unique(np.linspace(0, left.shape[0] - 1, 5).astype(int))
    columns = np.unique(np.linspace(0, right.shape[1] - 1, 5).astype(int))
    testing.assert_same(result[rows], reference.matmul(left[rows], right), context)
    testing.assert_same(result[:, columns], reference.matmul(left, right[:, columns]), context)


# Several blocks of k (they hold about 256), stages of columns, few rows, few columns, one of either.
LARGE_DENSE = [
    (190, 1800, 200),
    (300, 300, 1300),
    (500, 1100, 40),
    (20, 1500, 600),
    (1200, 300, 5),
    (3, 3000, 1000),
    (1, 4000, 1500),
    (1500, 4000, 1),
]


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
@pytest.mark.parametrize("shape", LARGE_DENSE, ids=lambda shape: "x".join(map(str, shape)))
def test_large_dense_products(shape, dtype):
    m, k, n = shape
    if dtype in "FD":
        m, k, n = -(-m // 2), -(-k // 2), -(-n // 2)
    A, X = testing.random_values("A", (m, k), dtype), testing.random_values("X", (k, n), dtype)
    first = None
    for isa in ISAS:
        for threads in THREADS if isa != "scalar" else THREADS[-1:]:  # the scalar FMA is a slow call
            for reuse in (None, 5):
                fixed = "left" if threads == 2 else "right"
                plan = forced(A, X, "gemm_packed", isa, fixed=fixed, reuse=reuse, threads=threads)
                result = plan(X if fixed == "left" else A)
                if first is None:
                    check_parts(result, A, X, f"{isa}, {threads} threads")
                    first = result
                testing.assert_same(result, first, f"{isa}, {threads} threads, {reuse=}")


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
@pytest.mark.parametrize("columns", [VECTOR, 5, 130])
def test_large_sparse_products(columns, dtype):
    dense = testing.random_values("S", (3000, 1200), dtype, zeros=0.985)
    dense[7] = testing.random_values("long", 1200, dtype)  # more than a fair share for one thread
    dense[100:900] = 0
    array = dg.CSR(dense)
    X = testing.random_values("X", (1200, columns or 1), dtype)
    wanted = reference.matmul(array.to_scipy(), X)
    Z = testing.random_values("Z", (columns or 1, 3000), dtype)
    wanted_right = reference.matmul(Z, array.to_scipy())
    if columns is VECTOR:
        X, wanted, Z, wanted_right = X[:, 0], wanted[:, 0], Z[0], wanted_right[0]
    for kernel, served in SPARSE_KERNELS.items():
        if dtype not in served or (kernel in VECTOR_KERNELS and columns is not VECTOR):
            continue
        for isa in ISAS:
            slow = isa == "scalar"  # its FMA is a call
            if slow and kernel == "gemm_packed":
                continue
            for threads in THREADS[-1:] if slow else THREADS:
                for layout in "CF"[:1] if slow else "CF":
                    context = f"{kernel}@{isa}, {threads} threads, {layout}"
                    plan = forced(array, X, kernel, isa, threads=threads)
                    testing.assert_same(plan(testing.LAYOUTS[layout](X)), wanted, context)
                    plan = forced(Z, array, kernel, isa, threads=threads)
                    testing.assert_same(plan(testing.LAYOUTS[layout](Z)), wanted_right, context)


@pytest.mark.usefixtures("any_dense_operand_may_be_compressed")
@pytest.mark.parametrize("dtype", DENSE_KERNELS["dense_as_csr"])
def test_large_dense_operand_that_is_mostly_zero(dtype):
    A = testing.random_values("A", (500, 600), dtype, zeros=0.95)
    X = testing.random_values("X", (600, 40), dtype)
    wanted = reference.matmul(A, X)
    wanted_right = reference.matmul(X.T, A.T)
    for isa in ISAS:
        for threads in THREADS:
            plan = forced(A, X, "dense_as_csr", isa, fixed="left", threads=threads)
            testing.assert_same(plan(X), wanted, f"{isa}, {threads} threads")
            plan = forced(X.T, A.T, "dense_as_csr", isa, fixed="right", threads=threads)
            testing.assert_same(plan(X.T), wanted_right, f"{isa}, {threads} threads")


@pytest.mark.parametrize("kernel", [k for k in SPARSE_KERNELS if k not in VECTOR_KERNELS])
def test_three_threads_are_more_than_one(kernel):
    """The large problems above are such that the plan does not stay serial."""
    array = sparse_array(CASES["f4"]["large"].make())
    X = testing.random_values("X", (array.shape[1], 500), "f4")
    assert forced(array, X, kernel, ISAS[0], threads=3).chosen.threads > 1
    A = testing.random_values("A", (500, 500), "f4")
    assert forced(A, A, "gemm_packed", ISAS[0], threads=3).chosen.threads > 1


# --- whichever candidate runs ---


@st.composite
def problems(draw):
    """Operands that hold anything: zeros, inf, nan, subnormal numbers, duplicates in any order."""
    dtype = np.dtype(draw(st.sampled_from(NATIVE_DTYPES)))
    m, k, n = (draw(st.integers(0, 40)) for _ in range(3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nnz = draw(st.integers(0, 200)) if m and k else 0
    rows, columns = generator.integers(0, m or 1, nnz), generator.integers(0, k or 1, nnz)
    X_shape = (k,) if draw(st.booleans()) else (k, n)
    values, X = (
        testing.random_values(
            str(generator.integers(2**62)), shape, dtype, zeros=draw(st.sampled_from((0, 0.3)))
        )
        for shape in (nnz, X_shape)
    )
    if draw(st.booleans()):
        values *= np.finfo(dtype).tiny
    if draw(st.booleans()):
        values = testing.with_nonfinite(values, draw(st.integers(0, 9)))
    if draw(st.booleans()):
        X = testing.with_nonfinite(X, draw(st.integers(0, 9)))
    return dg.COO((values, (rows, columns)), shape=(m, k)), X


@seed(SEED)
@given(
    problems(), st.sampled_from(("csr", "csc", "coo")), st.sampled_from(list(testing.LAYOUTS)), st.booleans()
)
@settings(deadline=None, max_examples=150, database=None, print_blob=True)
def test_every_candidate_gives_the_same(problem, format_, layout, transposed):
    note(f"DEEPGEMM_TEST_SEED={SEED} repeats this run")
    S, X = problem
    array, laid = getattr(S, f"to{format_}")(), testing.LAYOUTS[layout](X)
    left, right = (laid.T, array.T) if transposed else (array, laid)
    wanted = reference.matmul(left, right)
    plan = dg.plan(left, right)
    served = [candidate.kernel for candidate in plan.candidates if candidate.refused is None]
    assert {"csr_rowwise", "csr_scatter"} <= set(served)
    testing.assert_same(plan(laid.T if transposed else laid), wanted, plan.kernel)
    for kernel in served:
        for isa in ISAS:
            plan = forced(left, right, kernel, isa, threads=2)
            testing.assert_same(plan(laid.T if transposed else laid), wanted, f"{kernel}@{isa}")


@seed(SEED)
@given(problems(), st.sampled_from(list(testing.LAYOUTS)), st.sampled_from(("left", "right")))
@settings(
    deadline=None,
    max_examples=100,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.usefixtures("any_dense_operand_may_be_compressed")
def test_every_dense_candidate_gives_the_same(problem, layout, side):
    note(f"DEEPGEMM_TEST_SEED={SEED} repeats this run")
    S, X = problem
    A, laid = S.toarray(), testing.LAYOUTS[layout](X)
    wanted = reference.matmul(A, X)
    for kernel in DENSE_KERNELS:
        for isa in ISAS:
            try:
                plan = dg.plan(A, laid, fixed=side, kernel=f"{kernel}@{isa}", threads=2)
            except dg.UnsupportedError:
                assert kernel == "dense_as_csr"  # vectors and hardly any work
                continue
            assert (plan.kernel, plan.isa) == (kernel, isa)
            testing.assert_same(plan(laid if side == "left" else A), wanted, f"{kernel}@{isa}")


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
def test_results_stay_the_same_while_layouts_are_bought(dtype):
    """The operator's short cut, the account behind it and what it buys change no result."""
    array = sparse_array(CASES[dtype]["large"].make())
    for columns in (VECTOR, 33):
        X, wanted = expected(dtype, "large", "A @ X")
        X, wanted = (X[:, 0], wanted[:, 0]) if columns is VECTOR else (X[:, :columns], wanted[:, :columns])
        kernels = set()
        for _ in range(300):
            testing.assert_same(array @ X, wanted)
            kernels.add(array._recent_left.kernel)
        assert kernels <= set(SPARSE_KERNELS)
