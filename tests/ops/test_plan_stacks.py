"""Plans of dense stacks: what `matmul` does in one call, with the kernel chosen and operands kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

ISAS = _core.cpu_info()["usable"]
DTYPES = [
    ("float32", "float32", None),
    ("float64", "float64", None),
    ("complex64", "complex64", None),
    ("float16", "float16", None),
    (dtypes.bfloat16, "int8", "float32"),
    ("float32", "float64", None),
    ("int8", "uint8", None),
    ("int32", "int16", None),
]
# Leading axes of the left and of the right operand.
BATCHES = [((3,), ()), ((), (3,)), ((2, 3), (2, 3)), ((2, 1), (3,)), ((0,), ()), ((1,), (4,)), ((3,), (1, 1))]
EXTENTS = [(4, 5, 6), (1, 7, 33), (30, 20, 40), (5, 0, 3)]

pytestmark = pytest.mark.usefixtures("three_threads")


def operands(batches, extents, left, right):
    (first, second), (m, k, n) = batches, extents
    A = testing.random_values(f"A{batches}", (*first, m, k), left)
    return A, testing.random_values(f"B{batches}", (*second, k, n), right)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("left", "right", "output"), DTYPES, ids=lambda value: str(value)[:12])
def test_every_batch(left, right, output, side):
    for batches, extents, reuse in itertools.product(BATCHES, EXTENTS, (None, 9)):
        A, B = operands(batches, extents, left, right)
        wanted = reference.matmul_stack(A, B, dtype=output)
        threads = 1 + sum(extents) % 3
        plan = dg.plan(A, B, fixed=side, reuse=reuse, dtype=output, threads=threads)
        other = B if side == "left" else A
        testing.assert_same(plan(other), wanted, f"{batches} {extents} {plan}")
        turned = np.asfortranarray(other)
        out = np.asfortranarray(np.empty_like(wanted))
        assert plan(turned, out=out) is out
        testing.assert_same(out, wanted, f"{batches} {extents} out {plan}")


@pytest.mark.parametrize("isa", ISAS)
def test_isas(isa):
    for batches, side in itertools.product(BATCHES, ("left", "right")):
        A, B = operands(batches, (9, 20, 37), "float32", "float32")
        plan = dg.plan(A, B, fixed=side, reuse=5, kernel=f"gemm_packed@{isa}")
        assert plan.isa == isa
        testing.assert_same(plan(B if side == "left" else A), reference.matmul_stack(A, B))


def test_vectors_beside_stacks():
    A = testing.random_values("A", (3, 4, 5), "float32")
    x, y = testing.random_values("x", (5,), "float32"), testing.random_values("y", (4,), "float32")
    for pair in ((A, x), (y, A)):
        wanted = reference.matmul_stack(*pair)
        for side, other in (("left", pair[1]), ("right", pair[0])):
            testing.assert_same(dg.plan(*pair, fixed=side)(other), wanted, f"{side}")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_follows(dtype, side):
    for batches in (((3,), ()), ((), (3,)), ((2, 1), (3,))):
        A, B = operands(batches, (6, 9, 20), dtype, dtype)
        chain = reference.matmul_stack(A, B, dtype="float32")
        C = testing.random_values("C", chain.shape, "float32")
        given = {"scale": C[..., :1], "bias": np.arange(20), "activation": "silu"}
        plan = dg.plan(A, B, fixed=side, beta=0.5, **given)
        other = B if side == "left" else A
        testing.assert_same(plan(other), reference.epilogue(chain, **given, dtype=dtype))
        wanted = reference.epilogue(chain, C=C, beta=0.5, **given, dtype=dtype)
        testing.assert_same(plan(other, C=C), wanted, f"{batches} {plan}")


def test_the_matrix_beside_a_stack_is_kept():
    A, W = np.ones((4, 3, 5), "f4"), np.ones((5, 2), "f4")
    plan = dg.plan(A, W)
    assert plan.problem.fixed == "right"
    assert plan.problem.folded
    assert "4 × 3 × 5, multiplied side by side as one matrix" in str(plan.explain())
    from deepgemm.planner.decision import replay

    kept = dg.plan(A, np.ones((4, 5, 2), "f4"), fixed="right")
    assert "stack kept" in str(kept.explain())
    assert "dense_as_csr" in str(kept.explain())
    assert replay(kept.to_json()).problem == kept.problem


def test_a_plan_keeps_its_own_copy():
    A, B = operands(((3,), (3,)), (4, 5, 6), "f4", "f4")
    wanted = reference.matmul_stack(A, B)
    plan = dg.plan(A, B, fixed="right", reuse=3)
    testing.assert_same(plan(A), wanted)
    B[:] = np.nan
    with pytest.raises(dg.StaleDataError, match="memory of X was changed"):
        plan(A)


def test_bad_stacks():
    A, B = np.ones((3, 4, 5), "f4"), np.ones((2, 5, 6), "f4")
    with pytest.raises(dg.ShapeError, match=r"plan: the leading axes of A, \(3,\), and of X, \(2,\), do not"):
        dg.plan(A, B, fixed="right")
    with pytest.raises(dg.ShapeError, match="plan: A has 5 columns but X has 4 rows"):
        dg.plan(A, np.ones((4, 2)), fixed="right")
    with pytest.raises(ValueError, match="plan: fixed must be 'left' or 'right' when reuse is given"):
        dg.plan(A, B[:1], reuse=3)
    with pytest.raises(dg.UnsupportedError, match="wants one matrix that is kept, not a stack"):
        dg.plan(A, B[:1], fixed="right", kernel="dense_as_csr")
    plan = dg.plan(A, B[:1], fixed="right")
    with pytest.raises(dg.ShapeError, match=r"expects A of shape \(3, 4, 5\), got \(4, 5\)"):
        plan(A[0])
    with pytest.raises(dg.ShapeError, match=r"out has shape \(3, 4\), expected \(3, 4, 6\)"):
        plan(A, out=np.empty((3, 4), "f4"))
    Q = dg.quantize(np.ones((5, 6), "f4"), "int8")
    with pytest.raises(dg.UnsupportedError, match="expected 1 or 2 beside a quantised operand"):
        dg.plan(A, Q)
