"""Native product of two dense bfloat16 operands, two steps of the inner index in one instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ..registry import ORDER, Cost, Executable, Kernel
from . import gemm, model

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

FEATURE = "bf16"
# Multiply-adds of one step of these tiles, in those of the float32 tiles.
SPEED = 2.0


class GemmPairs(Kernel):
    """Register tiles over pairs along K by vdpbf16ps, whose sums are float32.

    The instruction rounds after each of its two products and takes subnormal numbers for zero, in operands
    and in sums. Each element is off by at most ``(K + 2) 2**-24`` times the sum of the magnitudes of its
    products, and ``(K + 2) 2**-125 (1 + max|A| + max|B|)`` for what was flushed, before it is rounded to the
    dtype of the result. That is not the stated order, so only `reproducible=False` admits it.
    """

    name = "gemm_pairs"
    epilogues = True
    summary = "dense × dense bfloat16 by the CPU's instruction for pairs; only if not reproducible"

    def refuse(self, problem: Problem) -> str | None:
        if problem.sparse_sides:
            return "wants two dense operands"
        if problem.left.dtype != "bfloat16" or problem.right.dtype != "bfloat16":
            return "wants bfloat16 on both sides"
        if problem.reproducible:
            return ORDER + "; flushes subnormal numbers"
        if FEATURE not in _core.cpu_info()["features"] or (problem.choice.isa or "avx512") != "avx512":
            return "wants AVX-512 with instructions for bfloat16"
        if problem.choice.arithmetic not in (None, FEATURE):
            return model.refuse_arithmetic(problem)
        if problem.output not in gemm.ROUNDED:
            return f"gives {', '.join(gemm.ROUNDED)}, not {problem.output}"
        return None if len(problem.fixed_spec.shape) == 2 else "wants a matrix that is kept"

    def exact(self, problem: Problem) -> bool:
        return False

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        m, k, n = problem.extents

        def seconds(threads: int) -> float:
            moved = 2 * (m * k + k * n) + 4 * m * n
            whole = gemm.gemm_seconds(problem, machine, isa, threads)
            return max(whole / SPEED, machine.read(moved, moved, threads))

        once, threads = model.best_threads(problem, machine, m * n, seconds)
        once += model.call_seconds(problem, machine, ())
        kept = problem.reuse is not None
        return gemm.packed_cost(problem, machine, once, threads, (2 * m * k, 2 * k * n), kept)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = gemm.as_matrix(problem, left if problem.fixed == "left" else right, widen=False)
        out = np.dtype(problem.output)
        if problem.reuse is None:
            return Executable(_core.pairs_product(isa, fixed, problem.fixed, out))
        on_left = problem.fixed == "left"
        return Executable(_core.packed_pairs(isa, fixed.T if on_left else fixed, out), transposed=on_left)
