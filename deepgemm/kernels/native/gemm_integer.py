"""Native product of two dense operands of 8-bit integers: exact, in 32 bits where they hold the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import gemm, model

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

STORED = ("int8", "uint8")
# Multiply-adds of one step of these tiles, in those of the float32 tiles: with vpdpbusd, and with the
# six instructions that do its work where it is missing.
VNNI_SPEED = 4.0
PLAIN_SPEED = 4.0 / 6.0


def flop_rate(machine: Machine, isa: str) -> float:
    """Return the operations of a second on large operands, one thread."""
    speed = VNNI_SPEED if has_vnni(isa) else PLAIN_SPEED
    return machine.flop_rate(isa, "float32") * gemm.EFFICIENCY * speed


def has_vnni(isa: str) -> bool:
    """Whether kernels for an ISA multiply four 8-bit elements in one instruction here."""
    return isa == "avx512" and "vnni" in _core.cpu_info()["features"]


class GemmIntegers(Kernel):
    """Register tiles over groups of four elements along K.

    Signed elements of the left operand are raised by 128 and unsigned ones of the right one lowered by it
    while they are packed, because the instruction multiplies unsigned by signed bytes; sums along K put
    that right. Integer sums that wrap on the way are exact in the end, so results do not depend on it.
    """

    name = "gemm_integers"
    stacks = True
    summary = "dense × dense of 8-bit integers, exact, in register tiles"

    def refuse(self, problem: Problem) -> str | None:
        if problem.sparse_sides:
            return "wants two dense operands"
        if problem.left.dtype not in STORED or problem.right.dtype not in STORED:
            return f"wants {' or '.join(STORED)} on both sides"
        if problem.output not in ("int32", "int64"):
            return f"gives int32 or int64, not {problem.output}"
        if len(problem.fixed_spec.shape) != 2 and not problem.kept_stack:
            return "wants a matrix that is kept"
        choice = problem.choice
        if choice.arithmetic == "vnni" and has_vnni(choice.isa or ""):
            return None
        return model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        m, k, n = problem.extents
        rate = flop_rate(machine, isa)

        def seconds(threads: int) -> float:
            arithmetic = 2.0 * m * k * n / rate
            return max(arithmetic / threads, machine.read(m * k + k * n + 8 * m * n, m * k + k * n, threads))

        once, threads = model.best_threads(problem, machine, m * n, seconds)
        once += model.call_seconds(problem, machine, ())
        kept = problem.reuse is not None
        return gemm.packed_cost(problem, machine, once, threads, (m * k, k * n), kept)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        if problem.kept_stack:
            return gemm.stacked(problem, left if problem.fixed == "left" else right, isa)
        fixed = gemm.as_matrix(problem, left if problem.fixed == "left" else right, widen=False)
        other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
        if problem.reuse is None:
            return Executable(_core.gemm_product(isa, fixed, problem.fixed, False, other, out))
        on_left = problem.fixed == "left"
        packed = _core.pack_integers(isa, fixed.T if on_left else fixed)
        return Executable(_core.packed_integers(packed, other, out), transposed=on_left)
