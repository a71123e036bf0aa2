"""Native products of two dense operands, two steps of the inner index in one instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import _core
from ..registry import ORDER, Cost, Executable, Kernel
from . import gemm, model

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem


class PairedGemm(Kernel):
    """Base of the products of 16-bit numbers that round in an order of their own.

    Attributes
    ----------
    stored : str
        Dtype of both operands.
    speed : float
        Multiply-adds of one step of these tiles, in those of the float32 tiles.
    unlike : str
        What a result owes to the instruction, for the refusal of a reproducible product.
    """

    stored: ClassVar[str]
    speed: ClassVar[float]
    unlike: ClassVar[str]
    epilogues = True

    def refuse(self, problem: Problem) -> str | None:
        if problem.sparse_sides:
            return "wants two dense operands"
        if problem.left.dtype != self.stored or problem.right.dtype != self.stored:
            return f"wants {self.stored} on both sides"
        if problem.reproducible:
            return f"{self.unlike}, and {ORDER}"
        isa = problem.choice.isa or "avx512"
        if self.feature not in _core.cpu_info()["features"] or isa != "avx512":
            return f"wants AVX-512 with instructions for {self.stored}"
        if not _core.has_pairs(isa, np.dtype(self.stored)):
            return f"this build's assembler had no instructions for {self.stored}"
        if problem.choice.arithmetic not in (None, self.feature):
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
            return max(whole / self.speed, machine.read(moved, moved, threads))

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


class GemmPairs(PairedGemm):
    """Register tiles over pairs along K by vdpbf16ps, whose sums are float32.

    The instruction rounds after each of its two products and takes subnormal numbers for zero, in operands
    and in sums. Each element is off by at most ``(K + 2) 2**-24`` times the sum of the magnitudes of its
    products, and ``(K + 2) 2**-125 (1 + max|A| + max|B|)`` for what was flushed, before it is rounded to the
    dtype of the result. That is not the stated order, so only `reproducible=False` admits it.
    """

    name = "gemm_pairs"
    stored, feature, speed = "bfloat16", "bf16", 2.0
    unlike = "flushes subnormal numbers"
    summary = "dense × dense bfloat16 by the CPU's instruction for pairs; only if not reproducible"
