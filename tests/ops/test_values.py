"""Stacks of sparse matrices with one structure: each product is the one of that matrix alone."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
# Leading axes of the values, and of the dense operand.
BATCHES = [
    ((), ()),
    ((3,), ()),
    ((), (3,)),
    ((4,), (4,)),
    ((2, 1), (3,)),
    ((1,), (2, 3)),
    ((0,), ()),
    ((5,), (1,)),
]


pytestmark = pytest.mark.usefixtures("three_threads")


def sparse(dtype, format="csr", shape=(40, 36)):
    array = dg.CSR(testing.random_values("A", shape, dtype, zeros=0.8))
    return array.tobsr((4, 4)) if format == "bsr" else array.asformat(format)


def operands(A, dtype, ours, theirs, columns, side):
    """The sets of values and the dense operand; `columns` is None for a vector."""
    V = testing.random_values("V", (*ours, *A.data.shape), dtype)
    inner = A.shape[1] if side == "left" else A.shape[0]
    if columns is None:
        shape = (inner,)
    else:
        shape = (*theirs, inner, columns) if side == "left" else (*theirs, columns, inner)
    return V, testing.random_values("X", shape, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_every_pair_of_stacks(side, format, dtype):
    A = sparse(dtype, format)
    for (ours, theirs), columns in itertools.product(BATCHES, (None, 0, 1, 5, 33)):
        V, X = operands(A, dtype, ours, theirs, columns, side)
        draw = random.Random(f"{side} {format} {dtype} {ours} {theirs} {columns}")
        if X.ndim > 1 and draw.random() < 0.5:
            X = np.asfortranarray(X)
        pair = (A, X) if side == "left" else (X, A)
        wanted = reference.matmul_stack(*pair, values=V)
        context = f"{ours}, {theirs}, {columns}"
        testing.assert_same(dg.matmul(*pair, values=V, threads=draw.choice((1, 2, 3))), wanted, context)
        out = (
            np.full(wanted.shape[::-1], np.nan, wanted.dtype).T
            if draw.random() < 0.5
            else np.empty_like(wanted)
        )
        assert dg.matmul(*pair, values=V, out=out) is out
        testing.assert_same(out, wanted, context + ", out")


@pytest.mark.parametrize("isa", ISAS)
def test_every_isa_index_width_and_number_of_threads(isa):
    parts = testing.sparse_cases("f8", "i8")
    for case in parts:
        if "large" in case.tags:
            continue
        made = case.make()
        A = dg.CSR(made.parts, shape=made.shape)
        for side, columns in itertools.product(("left", "right"), (None, 3)):
            V, X = operands(A, "f8", (3,), (), columns, side)
            pair = (A, X) if side == "left" else (X, A)
            wanted = reference.matmul_stack(*pair, values=V)
            for threads in (1, 2, 3):
                result = dg.matmul(*pair, values=V, kernel=isa, threads=threads)
                testing.assert_same(result, wanted, f"{case.name}, {side}, {columns}, {threads} threads")


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "float16"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_dtypes_that_are_cast_or_left_to_scipy(side, dtype):
    A = sparse(dtype)
    for columns in (None, 4):
        V, X = operands(A, dtype, (3,), (3,), columns, side)
        pair = (A, X) if side == "left" else (X, A)
        wanted = reference.matmul_stack(*pair, values=V)
        testing.assert_same(dg.matmul(*pair, values=V), wanted)
        out = np.empty_like(wanted)
        testing.assert_same(dg.matmul(*pair, values=V, out=out), wanted)


def test_dtype_of_the_values_counts_and_not_that_of_the_array():
    A = sparse("f4")
    V, X = operands(A, "f8", (2,), (), 3, "left")
    testing.assert_same(dg.matmul(A, X, values=V), reference.matmul_stack(A, X, values=V))
    X = X.astype("F")
    testing.assert_same(dg.matmul(A, X, values=V), reference.matmul_stack(A, X, values=V))
    testing.assert_same(
        dg.matmul(A, X, values=V, dtype="D"), reference.matmul_stack(A, X, values=V, dtype="D")
    )


def test_large_members_and_many_members():
    A = sparse("f4", shape=(1500, 1300))
    for count, columns in ((3, 40), (70, 2), (50, None)):
        V, X = operands(A, "f4", (count,), (), columns, "left")
        results = [dg.matmul(A, X, values=V, threads=threads) for threads in (1, 2, 3)]
        for b in (0, count - 1):
            testing.assert_same(results[0][b], A.with_data(V[b]) @ X)
        for other in results[1:]:
            testing.assert_same(other, results[0])


def test_memory_of_any_kind():
    A = sparse("f8")
    V, X = operands(A, "f8", (6,), (6,), 3, "left")
    wanted = reference.matmul_stack(A, X, values=V)
    frozen = V.copy()
    frozen.flags.writeable = False
    odd = np.zeros(X.nbytes + 1, np.uint8)[1:].view("f8").reshape(X.shape)
    odd[...] = X
    for values, dense in (
        (V[::-1].copy()[::-1], X),
        (frozen, odd),
        (np.asfortranarray(V), X),
        (V.tolist(), X),
    ):
        testing.assert_same(dg.matmul(A, dense, values=values), wanted)
    target = np.zeros(wanted.nbytes + 1, np.uint8)[1:].view("f8").reshape(wanted.shape)
    testing.assert_same(dg.matmul(A, X, values=V, out=target), wanted)


def test_the_structure_is_found_once_and_handed_on():
    A = sparse("f8")
    V, X = operands(A, "f8", (3,), (), 4, "right")
    dg.matmul(X, A, values=V)
    assert A._layouts.names() == {"structure:csc"}
    again = A.with_data(V[0])
    dg.matmul(X, again, values=V)
    assert again._layouts.get("structure:csc") is A._layouts.get("structure:csc")
    other = A.astype("f4")  # places are the same in any dtype
    testing.assert_same(dg.matmul(X, other, values=V), dg.matmul(X, A, values=V))
    assert other._layouts.get("structure:csc") is A._layouts.get("structure:csc")


@pytest.mark.parametrize(
    ("V", "X", "error", "message"),
    [
        (
            (3, 5),
            (36, 2),
            dg.FormatError,
            r"values has shape \(3, 5\), expected \(..., N\): a value for each",
        ),
        ("N", (35, 2), dg.ShapeError, "matmul: A has 36 columns but X has 35 rows"),
        (
            "3N",
            (4, 36, 2),
            dg.ShapeError,
            r"values has leading axes \(3,\) and the dense operand \(4,\), which do not",
        ),
    ],
)
def test_shapes_that_do_not_fit(V, X, error, message):
    A = sparse("f8")
    V = np.ones({"N": (A.nnz,), "3N": (3, A.nnz)}.get(V, V))
    with pytest.raises(error, match=message.replace("N", str(A.nnz)) if "N" in message else message):
        dg.matmul(A, np.ones(X), values=V)


def test_what_else_is_refused():
    A, X = sparse("f8"), np.ones((36, 2))
    V = np.ones((3, A.nnz))
    with pytest.raises(
        dg.FormatError, match="values= replaces the entries of one sparse operand beside a dense one"
    ):
        dg.matmul(A, A.T, values=V)
    with pytest.raises(
        dg.FormatError, match="values= replaces the entries of one sparse operand beside a dense one"
    ):
        dg.matmul(X, X.T, values=V)
    with pytest.raises(dg.UnsupportedError, match="kernel cannot be obeyed with values="):
        dg.matmul(A, X, values=V, kernel="csr_scatter")
    with pytest.raises(dg.UnsupportedError, match="values= is not taken with mask="):
        dg.matmul(X, X.T, values=V, mask=A)
    with pytest.raises(dg.FormatError, match="values has shape"):
        dg.matmul(A, X, values=A)
    for out, error, message in (
        ([], dg.DTypeError, "out must be a numpy.ndarray, got list"),
        (np.empty((3, 40, 3)), dg.ShapeError, r"out has shape \(3, 40, 3\), expected \(3, 40, 2\)"),
        (np.empty((3, 40, 2), "f4"), dg.DTypeError, "out has dtype float32, expected float64"),
        (np.broadcast_to(np.empty((40, 2)), (3, 40, 2)), dg.FormatError, "out is read-only"),
        (
            np.lib.stride_tricks.as_strided(np.empty((40, 2)), (3, 40, 2), (0, 16, 8)),
            dg.FormatError,
            "share memory",
        ),
        (V.reshape(-1)[:240].reshape(3, 40, 2), dg.FormatError, "out shares memory with an operand"),
    ):
        with pytest.raises(error, match=message):
            dg.matmul(A, X, values=V, out=out)


def test_memory_that_changed_is_noticed():
    data = np.ones(50)
    A = dg.CSR((data, np.arange(50), np.arange(51)), shape=(50, 50))
    data *= 2
    with pytest.raises(dg.StaleDataError):
        dg.matmul(A, np.ones(50), values=np.ones((2, 50)))
