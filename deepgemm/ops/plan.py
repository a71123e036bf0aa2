"""`plan`: decide once how to multiply by an operand, and keep the decision."""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt

from ..errors import UnsupportedError
from ..planner import machine as machines
from ..planner.account import FOR_GOOD
from ..planner.decision import decide
from ..planner.plan import Plan, build
from ..planner.problem import Side
from ..planner.structure import Structure
from ..sparse.base import SparseArray
from ..sparse.core import Factor
from ..sparse.quantized import Quantized
from ..sparse.quantized_sparse import QuantizedSparse
from . import _kernels as _kernels
from . import _request as request
from . import _specs as specs
from . import batch
from ._dense import check_stacks
from ._epilogue import ending_of, epilogue_of
from ._sparse_product import limit_plan
from .matmul import dense_fixed

__all__ = ["plan"]


def plan(
    A: Any,
    B: Any,
    *,
    fixed: str | None = None,
    reuse: int | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
    reproducible: bool = True,
    alpha: float | None = None,
    beta: float | None = None,
    scale: Any = None,
    bias: Any = None,
    activation: str | None = None,
) -> Plan:
    """Choose the kernel for a product and prepare it.

    Parameters
    ----------
    A, B : sparse array, Quantized, QuantizedSparse or array_like
        The operands, as for `matmul`; no stacks beside a quantised dense one. Of the one that is not fixed
        only shape, dtype and order matter.
    fixed : {"left", "right"}, optional
        The operand to keep. By default the sparse or quantised one; of two such the left; the matrix beside
        a stack. Two dense operands need it when `reuse` is given.
    reuse : int, optional
        How many products will follow. Layouts that pay for themselves within so many are built now;
        without it the plan uses what exists.
    dtype, threads, kernel, reproducible
        As for `matmul`.
    alpha, scale, bias, activation
        What follows each product whose result is dense, as for `matmul`. The plan keeps its own copy.
    beta : float, optional
        Factor of the C that calls bring, where they name none. To be given where kernels round to a dtype
        narrower than the accumulator, and C is to be added before.

    Returns
    -------
    Plan
        `p(other)`, `p(other, out=Y)` and `p(other, C=C, beta=b)` multiply; `p.explain()` tells why the kernel
        was chosen.

    Raises
    ------
    ShapeError, DTypeError, UnsupportedError
        As for `matmul`.
    ValueError
        If `fixed`, `reuse`, `threads` or `kernel` is not one of its choices.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> A = dg.CSR(np.diag([1.0, 2.0, 3.0]))
    >>> p = dg.plan(A, np.ones(3), reuse=1000)
    >>> p(np.array([1.0, 1.0, 2.0]))
    array([1., 2., 6.])
    >>> p.problem.reuse
    1000
    >>> q = dg.plan(np.ones((2, 3)), np.eye(3), fixed="right", reuse=1000, bias=[0.0, -1.0, -2.0])
    >>> q(np.ones((2, 3)))
    array([[ 1.,  0., -1.],
           [ 1.,  0., -1.]])
    >>> q(np.ones((2, 3)), C=[[10.0], [20.0]], beta=2)
    array([[21., 20., 19.],
           [41., 40., 39.]])
    """
    epilogue = epilogue_of("plan", alpha, beta, None, scale, bias, activation, awaits=True)
    env = request.current_settings()
    wanted = request.options("plan", dtype, threads, kernel, reproducible, env)
    if fixed not in (None, "left", "right"):
        raise ValueError(f"plan: fixed is {fixed!r}, expected 'left' or 'right'")
    if reuse is not None:
        reuse = request.positive("plan", "reuse", reuse, least=0)
    left = request.operand("plan", "A", A, stacks=True)
    right = request.operand("plan", "B" if isinstance(B, Factor) else "X", B, stacks=True)
    if fixed is None and reuse is not None and not isinstance(left, Factor) and not isinstance(right, Factor):
        raise ValueError("plan: fixed must be 'left' or 'right' when reuse is given for two dense operands")
    whole = left, right
    left, right, stack, kept_stack, fixed = _without_stack(left, right, fixed)
    request.check_shapes("plan", left, right)
    request.refuse_pairs("plan", left, right)
    for array in (left, right):
        if isinstance(array, Factor):
            array._check_fresh()
    if (
        isinstance(left, Factor)
        and isinstance(right, Factor)
        and isinstance(left, Quantized) != isinstance(right, Quantized)
    ):
        raise UnsupportedError(
            "plan: a sparse operand with a quantised one has no plan; plan a dense with a quantised one, "
            "two quantised ones, two sparse ones, or the sparse one with dequantize()"
        )
    machine = machines.current(env.cache_dir)
    side, structures = _fixed_side(left, right, fixed, reuse, machine, wanted)
    if reuse is not None and stack and stack[-2:] == (right if side == "left" else left).shape:
        reuse *= math.prod(stack[:-2])
    if epilogue is not None and isinstance(left, SparseArray) and isinstance(right, SparseArray):
        raise UnsupportedError(
            f"plan: {epilogue} follows dense results; that of two sparse operands is sparse"
        )
    problem = request.problem_of(
        "matmul",
        left,
        right,
        side,
        wanted,
        env,
        reuse=reuse,
        structures=structures,
        stack=stack,
        kept_stack=kept_stack,
        epilogue="" if epilogue is None else str(epilogue),
    )
    ending = ending_of(problem, epilogue)
    if kept_stack:
        left, right = whole
    made = build(decide(problem, machine), left, right, FOR_GOOD, wanted.threads, env, ending)
    return limit_plan(made, env)


def _without_stack(
    left: Any, right: Any, fixed: Any
) -> tuple[Any, Any, tuple[int, ...], tuple[int, ...], Any]:
    """Return the operands with what kernels will meet in place of stacks, and how these are multiplied.

    That is the shape of the stack that comes anew, that of one that is kept, and the operand to keep, which
    for two dense ones is the one that is none, if the caller does not say.
    """
    if isinstance(left, SparseArray | QuantizedSparse) and right.ndim > 2:
        return left, batch.shown(right, "left", request.arithmetic_dtype(left)), right.shape, (), fixed
    if isinstance(right, SparseArray | QuantizedSparse) and left.ndim > 2:
        return batch.shown(left, "right", request.arithmetic_dtype(right)), right, left.shape, (), fixed
    if max(left.ndim, right.ndim) <= 2:
        return left, right, (), (), fixed
    batch.refuse_stacks("plan", left, right)
    check_stacks("plan", left, right)
    side: Side = fixed or ("left" if left.ndim <= 2 else "right")
    kept, other = (left, right) if side == "left" else (right, left)
    one = batch.member(kept)
    if kept.ndim == 2:
        kept_stack, seen = (), batch.shown_dense(other, side)
    else:
        kept_stack, seen = kept.shape, batch.member(other)
    pair = (one, seen) if side == "left" else (seen, one)
    return *pair, other.shape, kept_stack, side


def _fixed_side(
    left: Any,
    right: Any,
    fixed: Any,
    reuse: int | None,
    machine: machines.Machine,
    wanted: request.Options,
) -> tuple[Side, tuple[Structure, Structure]]:
    """Return the operand to keep, and what was seen of dense operands in choosing it."""
    seen = (specs.NOT_LOOKED_AT, specs.NOT_LOOKED_AT)
    left_ours, right_ours = isinstance(left, Factor), isinstance(right, Factor)
    if left_ours != right_ours:
        side: Side = "left" if left_ours else "right"
        if fixed not in (None, side):
            kind = "quantised" if isinstance(left if left_ours else right, Quantized) else "sparse"
            raise UnsupportedError(
                f"plan: fixed={fixed!r} names a dense operand, but a plan keeps the {kind} one; "
                f"use matmul for ever new {kind} operands"
            )
        return side, seen
    if left_ours:
        return fixed or "left", seen
    if fixed == "left":
        return "left", (specs.zero_structure(left, right, "left", machine, wanted.choice), seen[1])
    if fixed == "right":
        return "right", (seen[0], specs.zero_structure(right, left, "right", machine, wanted.choice))
    both = (
        specs.zero_structure(left, right, "left", machine, wanted.choice),
        specs.zero_structure(right, left, "right", machine, wanted.choice),
    )
    return dense_fixed(left, right, both), both
