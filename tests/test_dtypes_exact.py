"""Every pair of storage dtypes and every output dtype: widened exactly, accumulated, rounded once.

Where two dtypes meet, or kernels have no arithmetic of their own for one, the planner chooses what runs;
narrow storage is also run through every kernel.
"""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

ISAS = _core.cpu_info()["usable"]
KERNELS = ("csr_rowwise", "csr_tiled", "csr_scatter", "csr_vector", "sell_vector", "gemm_packed")
VECTOR_KERNELS = ("csr_vector", "sell_vector")


def sparse_array(parts):
    return dg.CSR(parts.parts, shape=parts.shape)


PAIRS = [
    ("f2", "f2"),
    (dtypes.bfloat16, dtypes.bfloat16),
    (dtypes.float8_e4m3fn, dtypes.float8_e4m3fn),
    (dtypes.float8_e5m2, dtypes.float8_e5m2),
    (dtypes.float8_e4m3fn, dtypes.float8_e5m2),
    ("i1", "i1"),
    ("u1", "i1"),
    ("u1", "u1"),
    ("i2", "i2"),
    ("i4", "i4"),
    ("i8", "i8"),
    ("u8", "u8"),
    ("i4", "i1"),
    ("?", "?"),
    ("?", "i4"),
    ("f2", "f4"),
    ("f2", dtypes.bfloat16),
    (dtypes.bfloat16, "f8"),
    (dtypes.bfloat16, "i1"),
    ("f4", "f8"),
    ("f8", "f4"),
    ("f4", "F"),
    ("D", "f4"),
    ("F", "f8"),
    ("i1", "f4"),
    ("?", "f4"),
    ("i4", "f4"),
    ("i8", "F"),
    ("f4", "f4"),
    ("D", "D"),
]
PAIR_CASES = (
    "rows-0",
    "rows-17",
    "inner-0",
    "inner-19",
    "all-dense",
    "one-huge-row",
    "stored-zeros",
    "block",
)


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=str)
def test_every_pair_of_dtypes(left, right):
    cases = {case.name: case for case in testing.sparse_cases(left)}
    for name in PAIR_CASES:
        parts = cases[name].make()
        X = testing.random_values("X", (parts.shape[1], 9), right)
        Z = testing.random_values("Z", (9, parts.shape[0]), right)
        right_product, left_product = reference.matmul(parts, X), reference.matmul(Z, parts)
        transposed_product = reference.matmul(parts.transposed, Z.T)
        array = sparse_array(parts)
        for operand in (array, array.tocsc(), array.tocoo()):
            for columns in (0, np.s_[:1], np.s_[:]):
                for _ in range(2):  # the second time by the plan that the first one left
                    context = f"{operand.format}, {name}, columns {columns}"
                    testing.assert_same(operand @ X[:, columns], right_product[:, columns], context)
                    testing.assert_same(Z[columns] @ operand, left_product[columns], context)
                    testing.assert_same(operand.T @ Z.T[:, columns], transposed_product[:, columns], context)


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=str)
def test_every_pair_of_dtypes_in_blocks(left, right):
    parts = next(case for case in testing.sparse_cases(left) if case.name == "rows-16").make()
    array = sparse_array(parts)[:, :20].tobsr((4, 2))
    entries = array.tocoo()  # the zeros inside of blocks are entries
    X, Z = testing.random_values("X", (20, 9), right), testing.random_values("Z", (9, 16), right)
    for columns in (0, np.s_[:1], np.s_[:]):
        testing.assert_same(array @ X[:, columns], reference.matmul(entries, X[:, columns]))
        testing.assert_same(Z[columns] @ array, reference.matmul(Z[columns], entries))
        testing.assert_same(array.T @ Z.T[:, columns], reference.matmul(entries.T, Z.T[:, columns]))


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=str)
def test_every_pair_of_dtypes_dense(left, right):
    for shape in ((17, 40, 5), (0, 3, 2), (3, 0, 2)):
        A, X = testing.random_values("A", shape[:2], left), testing.random_values("X", shape[1:], right)
        testing.assert_same(dg.matmul(A, X), reference.matmul(A, X))
        testing.assert_same(dg.matmul(X.T, A.T), reference.matmul(X.T, A.T))
        testing.assert_same(dg.matmul(A, X[:, 0]), reference.matmul(A, X[:, 0]))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("storage", ["f2", dtypes.bfloat16, dtypes.float8_e4m3fn, "i1"], ids=str)
def test_narrow_storage_at_every_kernel(storage, kernel, isa):
    """Widened exactly, accumulated in float32 and rounded once, whichever kernel runs."""
    other = "f4" if storage == "i1" else storage
    parts = next(case for case in testing.sparse_cases(storage) if case.name == "skewed").make()
    matrix = testing.random_values("X", (parts.shape[1], 1 if kernel in VECTOR_KERNELS else 20), other)
    for X in (matrix, matrix[:, 0]):
        plan = dg.plan(sparse_array(parts), X, kernel=f"{kernel}@{isa}")
        assert (plan.kernel, plan.isa) == (kernel, isa)
        testing.assert_same(plan(X), reference.matmul(parts, X))
        out = np.empty(plan(X).shape, plan(X).dtype)
        assert plan(X, out=out) is out
        testing.assert_same(out, reference.matmul(parts, X))


OUTPUTS = [
    ("f8", "f4"),
    ("f8", "f2"),
    ("f8", dtypes.bfloat16),
    ("f8", dtypes.float8_e4m3fn),
    ("f4", "f8"),
    ("f4", dtypes.bfloat16),
    ("f4", dtypes.float8_e5m2),
    ("f2", "f4"),
    (dtypes.bfloat16, "f4"),
    ("D", "F"),
    ("F", "D"),
    ("i1", "i8"),
    ("i1", "f4"),
    ("i4", "i8"),
    ("i8", dtypes.bfloat16),
]


@pytest.mark.parametrize(("dtype", "output"), OUTPUTS, ids=str)
def test_output_dtypes_are_rounded_to_once(dtype, output):
    parts = next(case for case in testing.sparse_cases(dtype) if case.name == "rows-67").make()
    X = testing.random_values("X", (parts.shape[1], 40), dtype)
    wanted = reference.matmul(parts, X, dtype=output)
    testing.assert_same(dg.matmul(sparse_array(parts), X, dtype=output), wanted)
    out = np.empty(wanted.shape, wanted.dtype)
    dg.matmul(sparse_array(parts), X, dtype=output, out=out)
    testing.assert_same(out, wanted)
    A = testing.random_values("A", (30, parts.shape[1]), dtype)
    testing.assert_same(dg.matmul(A, X, dtype=output), reference.matmul(A, X, dtype=output))


def test_output_just_above_a_tie_is_rounded_up():
    """Through float32 it would fall onto the tie, and from there to the even neighbour below."""
    value = np.array([[1 + 2.0**-8 + 2.0**-40]])
    one = np.ones((1, 1))
    for left in (value, dg.CSR(value)):
        assert float(dg.matmul(left, one, dtype=dg.bfloat16)[0, 0]) == 1 + 2.0**-7
        out = np.zeros((1, 1), dg.bfloat16)
        dg.matmul(left, one, dtype=dg.bfloat16, out=out)
        assert float(out[0, 0]) == 1 + 2.0**-7
    whole = np.array([[2**24 + 2**16 + 1]])
    for left in (whole, dg.CSR(whole)):
        result = dg.matmul(left, np.ones((1, 1), np.int64), dtype=dg.bfloat16)
        assert float(result[0, 0]) == 2**24 + 2**17
