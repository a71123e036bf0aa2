"""Stacks of dense matrices: every member is the product that `matmul` states, however they are multiplied."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
BATCHES = [(1,), (2,), (5,), (2, 3), (40,), (0,), (2, 0)]
COLUMNS = (0, 1, 3, 8, 16, 33)
LAYOUTS = ("C", "F", "strided", "swapped", "reversed", "misaligned", "broadcast")


pytestmark = pytest.mark.usefixtures("three_threads")


def sparse(dtype, format="csr", shape=(60, 52)):
    array = dg.CSR(testing.random_values("A", shape, dtype, zeros=0.8))
    return array.tobsr((4, 4)) if format == "bsr" else array.asformat(format)


def laid_out(X, layout):
    """The same stack with other strides."""
    if layout == "strided":
        wide = np.zeros((*X.shape[:-1], 2 * X.shape[-1]), X.dtype)
        wide[..., ::2] = X
        return wide[..., ::2]
    if layout == "swapped":  # matrices inside, the stack's axes last in memory
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(X, (-2, -1), (0, 1))), (0, 1), (-2, -1))
    if layout == "reversed":
        return np.ascontiguousarray(X[::-1])[::-1]
    if layout == "misaligned":
        memory = np.zeros(X.nbytes + 1, np.uint8)
        view = memory[1:].view(X.dtype).reshape(X.shape)
        view[...] = X
        return view
    if layout == "broadcast":
        return np.broadcast_to(X[:1], X.shape)
    return np.asarray(X, order=layout)


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_stacks_of_every_shape_and_layout(side, format, dtype):
    A = sparse(dtype, format)
    for batch, columns in itertools.product(BATCHES, COLUMNS):
        draw = random.Random(f"{side} {format} {dtype} {batch} {columns}")
        shape = (*batch, 52, columns) if side == "left" else (*batch, columns, 60)
        X = laid_out(testing.random_values("X", shape, dtype), draw.choice(LAYOUTS))
        pair = (A, X) if side == "left" else (X, A)
        wanted = reference.matmul_stack(*pair)
        context = f"{batch}, {columns} columns"
        testing.assert_same(pair[0] @ pair[1], wanted, context)
        testing.assert_same(pair[0] @ pair[1], wanted, context + ", again")
        out = laid_out(np.full(wanted.shape, np.nan, dtype), draw.choice(LAYOUTS[:-1]))
        reuse, threads = draw.choice((None, 100)), draw.choice((1, 2, 3))
        plan = dg.plan(*pair, reuse=reuse, threads=threads)
        assert plan(X, out=out) is out
        testing.assert_same(out, wanted, context + f", {reuse=}, {threads=}")


@pytest.mark.parametrize("kernel", ["csr_rowwise", "csr_scatter", "gemm_packed"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_every_kernel_on_every_isa(side, isa, kernel):
    A = sparse("f4")
    for columns, threads in itertools.product((1, 5, 40), (1, 2, 3)):
        shape = (7, 52, columns) if side == "left" else (7, columns, 60)
        for special in (False, True):
            X = testing.random_values("X", shape, "f4")
            X = testing.with_nonfinite(X) if special else X
            pair = (A, X) if side == "left" else (X, A)
            plan = dg.plan(*pair, kernel=f"{kernel}@{isa}", threads=threads)
            testing.assert_same(plan(X), reference.matmul_stack(*pair), f"{columns} columns")
            turned = laid_out(X, "swapped")  # a plan serves other strides than it was made for
            testing.assert_same(plan(turned), reference.matmul_stack(*pair), f"{columns} columns, swapped")


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "float16", dg.bfloat16], ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_dtypes_that_are_cast_or_left_to_scipy(side, dtype):
    A = sparse(dtype)
    for batch, columns in (((3,), 2), ((2, 2), 40), ((0,), 3), ((3,), 0)):
        shape = (*batch, 52, columns) if side == "left" else (*batch, columns, 60)
        X = testing.random_values("X", shape, dtype)
        pair = (A, X) if side == "left" else (X, A)
        wanted = reference.matmul_stack(*pair)
        testing.assert_same(dg.matmul(*pair), wanted)
        out = np.empty_like(wanted)
        assert dg.matmul(*pair, out=out) is out
        testing.assert_same(out, wanted)


def test_large_members_and_many_members_are_shared_by_threads():
    A = sparse("f4", shape=(1500, 1300))
    for shape in ((3, 1300, 70), (300, 1300, 2), (130, 1300, 17)):
        X = testing.random_values("X", shape, "f4")
        results = [dg.matmul(A, X, threads=threads) for threads in (1, 2, 3)]
        for b in (0, shape[0] // 2, shape[0] - 1):
            testing.assert_same(results[0][b], dg.matmul(A, np.ascontiguousarray(X[b])))
        for other in results[1:]:
            testing.assert_same(other, results[0])
    small = sparse("f8")
    X = testing.random_values("X", (500, 52, 16), "f8")
    testing.assert_same(small @ X, reference.matmul_stack(small, X))


def test_a_member_alone_is_what_the_account_counts():
    A = sparse("f8", "csc")
    X = testing.random_values("X", (6, 52, 40), "f8")
    plan = dg.plan(A, X)
    for _ in range(3):
        plan(X)
    calls, _, fastest, _ = plan._account
    assert calls == 18
    assert fastest < 1.0


def test_explain_tells_how_a_stack_is_multiplied():
    A = sparse("f4")
    narrow, wide = np.ones((8, 52, 3), "f4"), np.ones((8, 52, 40), "f4")
    assert "8 × 52 × 3, multiplied side by side as one matrix" in str(dg.plan(A, narrow).explain())
    assert "8 × 52 × 40, multiplied one after the other" in str(dg.plan(A, wide).explain())
    plan = dg.plan(A, wide, reuse=10)
    assert plan.problem.reuse == 80
    from deepgemm.planner.decision import replay

    assert replay(plan.to_json()).problem == plan.problem


def test_scipy_operands_and_lists():
    A = sparse("f8")
    X = testing.random_values("X", (2, 52, 3), "f8")
    testing.assert_same(dg.matmul(A.to_scipy(), X), reference.matmul_stack(A, X))
    testing.assert_same(dg.matmul(A, X.tolist()), reference.matmul_stack(A, X))
    frozen = X.copy()
    frozen.flags.writeable = False
    testing.assert_same(A @ frozen, reference.matmul_stack(A, X))


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ("A", (3, 51, 2), "matmul: A has 52 columns but X has 51 rows"),
        ((3, 2, 52), "A", "matmul: A has 52 columns but B has 60 rows"),
    ],
)
def test_shapes_that_do_not_fit(left, right, message):
    left, right = (sparse("f8") if shape == "A" else np.ones(shape) for shape in (left, right))
    with pytest.raises(dg.ShapeError, match=message):
        dg.matmul(left, right)
    with pytest.raises(dg.ShapeError, match=message.replace("matmul", "plan")):
        dg.plan(left, right)


def test_out_of_stacks_is_checked():
    A, X = sparse("f8"), np.ones((3, 52, 2))
    plan = dg.plan(A, X)
    with pytest.raises(dg.ShapeError, match=r"out has shape \(3, 60, 3\), expected \(3, 60, 2\)"):
        plan(X, out=np.empty((3, 60, 3)))
    with pytest.raises(dg.ShapeError, match=r"this plan expects X of shape \(3, 52, 2\), got \(4, 52, 2\)"):
        plan(np.ones((4, 52, 2)))
    with pytest.raises(dg.FormatError, match="out has elements that share memory"):
        plan(X, out=np.lib.stride_tricks.as_strided(np.empty((60, 2)), (3, 60, 2), (0, 16, 8)))
    square = sparse("f8", shape=(52, 52))
    with pytest.raises(dg.FormatError, match="out shares memory with X"):
        dg.matmul(square, X, out=X)
