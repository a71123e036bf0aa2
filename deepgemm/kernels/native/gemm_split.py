"""Native product of two dense operands with few results and a long inner index: in an order of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ..registry import ORDER, Cost, Executable, Kernel
from . import gemm, model

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

DTYPES = ("float32", "float64")
# With more results there are chains enough for all lanes and threads; with a shorter inner index the chains
# are over before threads have met.
MOST_RESULTS = gemm.FEW_RESULTS
LEAST_INNER = gemm.LONG_INNER
# Share of the FMA peak where lanes are full.
EFFICIENCY = 0.6
# What adding up the pieces costs each call, besides.
COMBINE_SECONDS = 1e-6
# From so many adjacent columns on lanes run along them, and those beyond the last one idle.
LEAST_LANES = 8
PIECE = 2048  # csrc/core/gemm_split.cpp


class GemmSplit(Kernel):
    """The inner index is cut into pieces of 2,048, which threads share and whose sums are added in order.

    Where lanes run along 8 or more columns (or rows) that are adjacent in memory a piece is one chain for
    each element; otherwise it is summed as the product of two vectors is, in 16 interleaved chains. The
    order depends on shape and layout alone, never on threads or ISA, but it is not the stated one, so that
    only `reproducible=False` admits it.
    """

    name = "gemm_split"
    summary = (
        "dense × dense with few results and a long inner index, cut into pieces; only if not reproducible"
    )

    def refuse(self, problem: Problem) -> str | None:
        if problem.sparse_sides:
            return "wants two dense operands"
        if problem.reproducible:
            return ORDER
        if problem.accumulator not in DTYPES:
            return f"serves {' and '.join(DTYPES)}; this product accumulates in {problem.accumulator}"
        m, k, n = problem.extents
        if m * n > MOST_RESULTS:
            return f"wants up to {MOST_RESULTS} results, this product has {m * n:,}"
        if k < LEAST_INNER:
            return f"wants an inner index of at least {LEAST_INNER:,}, this one is {k:,}"
        return model.refuse_arithmetic(problem)

    def exact(self, problem: Problem) -> bool:
        return False

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        m, k, n = problem.extents
        moved = (m + n) * k * problem.itemsize
        rate = machine.flop_rate(isa, problem.accumulator) * EFFICIENCY
        lanes = max(1, machine.vector_bytes(isa) // problem.itemsize)
        wide = max(m, n)
        if wide >= LEAST_LANES:
            rate *= wide / (-(-wide // lanes) * lanes)

        def seconds(threads: int) -> float:
            return max(2.0 * m * k * n / rate / threads, machine.read(moved, moved, threads))

        once, threads = model.best_threads(problem, machine, -(-k // PIECE), seconds)
        once += COMBINE_SECONDS + model.call_seconds(problem, machine)
        return Cost(once, 0.0, -(-k // PIECE) * m * n * problem.itemsize, 0, threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = gemm.as_matrix(problem, left if problem.fixed == "left" else right)
        return Executable(_core.gemm_split_product(isa, fixed, problem.fixed))
