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
MOST_RESULTS = 511
LEAST_INNER = 16385
# Share of the FMA peak: with few rows and columns most operands of an FMA are loaded for it alone.
EFFICIENCY = 0.3
# What adding up the pieces costs each call, besides.
COMBINE_SECONDS = 2e-6
PIECE = 4096  # csrc/core/gemm_split.cpp


class GemmSplit(Kernel):
    """The inner index is cut into pieces of 4,096, which threads share and whose sums are added in order.

    With 16 rows or columns a piece is one chain for each element, otherwise it is summed as the product of
    two vectors is, in 16 interleaved chains. The order depends on the shape alone, never on threads or ISA,
    but it is not the stated one, so that only `reproducible=False` admits it.
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

        def seconds(threads: int) -> float:
            return max(2.0 * m * k * n / rate / threads, machine.read(moved, moved, threads))

        once, threads = model.best_threads(problem, machine, -(-k // PIECE), seconds)
        once += COMBINE_SECONDS + model.call_seconds(problem, machine)
        return Cost(once, 0.0, -(-k // PIECE) * m * n * problem.itemsize, 0, threads)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        fixed = gemm.as_matrix(problem, left if problem.fixed == "left" else right)
        return Executable(_core.gemm_split_product(isa, fixed, problem.fixed))
