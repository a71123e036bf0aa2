"""Native product of slices of rows whose values stay in their narrow dtype with a vector."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import _core
from ..registry import Cost, Executable
from . import model, operand, sell
from .csr_narrow import WIDEN_SECONDS, NarrowRows
from .csr_tiled_narrow import STORED

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem


class NarrowSell(NarrowRows):
    """Slices that hold values as they are stored: an entry takes 3 or 4 bytes, not 6 or 8.

    The vector is widened before, and sums are rounded behind the product.
    """

    name = "sell_vector_narrow"
    summary = "rows in slices (a bought layout) of narrow values × vector, widened in registers"
    stored: ClassVar[Collection[str]] = STORED
    codes = False

    def refuse(self, problem: Problem) -> str | None:
        return super().refuse(problem) or sell.refuse_shape(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form, spec = problem.normal, operand.spec(problem)
        wide = replace(problem, accumulator="float32", output="float32")
        streamed = form.nnz * (STORED[spec.dtype] + sell.index_bytes(problem)) + form.m * 4
        lanes = form.nnz * sell.ENTRY_SECONDS[4] + form.m * sell.ROW_SECONDS[4]

        def seconds(threads: int) -> float:
            busy = model.spmv_seconds(wide, machine, isa, lanes, streamed, spec.structure.near, threads)
            return busy + (form.k + form.m) * WIDEN_SECONDS / threads

        once, threads = model.best_threads(wide, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row", "sell", narrow=True)
        once += model.call_seconds(wide, machine, ())
        return Cost(once, conversion, 4 * (form.k + form.m), nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        slices = operand.built(problem, left if stands_left else right, "sell", narrow=True)
        other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
        product = _core.sell_narrow_product(isa, slices.core, other, out)
        return Executable(product, transposed=not stands_left)
