"""Native product of compressed rows whose values stay in their narrow dtype, widened in the caches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import csr, gemm, model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Bytes of a value, by its dtype.
STORED = {"float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int8": 1, "uint8": 1}
# The largest magnitudes of integers, and the sums that float32 holds exactly in any order.
MAGNITUDES = {"int8": 128, "uint8": 255}
EXACT_FLOAT32 = 2**24
# Seconds to widen a value, an element of X, or to round one of Y: about a vector a nanosecond.
WIDEN_SECONDS = 0.1e-9


class NarrowRows(Kernel):
    """The row-wise and vector kernels for float32 over a stretch of values at a time, widened in L1.

    Values cross the memory in the width in which they are stored; X is widened a panel at a time and Y
    rounded behind the rows that are done. Sums of 8-bit integers are exact in float32 while no row exceeds
    2**24.
    """

    name = "csr_narrow"
    summary = "compressed rows of narrow values × dense, a stretch of them at a time widened in the caches"
    stored: ClassVar[dict[str, int]] = STORED

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        if operand.spec(problem).dtype not in self.stored:
            return f"wants values of {', '.join(self.stored)}"
        if problem.stack:
            return "multiplies no stacks"
        dtypes = problem.left.dtype, problem.right.dtype
        if all(dtype in MAGNITUDES for dtype in dtypes):
            return self._refuse_integers(problem, dtypes)
        if problem.accumulator != "float32":
            return f"widens to float32; this product accumulates in {problem.accumulator}"
        other = problem.right.dtype if problem.normal.side == "left" else problem.left.dtype
        if other not in gemm.STORED or problem.output not in gemm.ROUNDED:
            return f"gives {', '.join(gemm.ROUNDED)} from {', '.join(gemm.STORED)}"
        return model.refuse_arithmetic(problem)

    def _refuse_integers(self, problem: Problem, dtypes: tuple[str, str]) -> str | None:
        if problem.output not in ("int32", "int64"):
            return f"gives int32 or int64 from integers, not {problem.output}"
        form = problem.normal
        longest = form.longest if form.stored == "row" else form.k
        if longest * MAGNITUDES[dtypes[0]] * MAGNITUDES[dtypes[1]] > EXACT_FLOAT32:
            return f"sums of {longest:,} products of integers may exceed what float32 holds exactly"
        return model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form, spec = problem.normal, operand.spec(problem)
        wide = replace(problem, accumulator="float32", output="float32")
        moved = form.nnz * (STORED[spec.dtype] + spec.index_bytes)
        elements = form.nnz + form.k * form.n + form.m * form.n

        def seconds(threads: int) -> float:
            share = model.balance(form, threads)
            if form.n == 1:
                chains = form.nnz * csr.VECTOR_ENTRY_SECONDS + form.m * csr.VECTOR_ROW_SECONDS
                near = spec.structure.near
                busy = model.spmv_seconds(wide, machine, isa, chains, moved, near, threads)
            else:
                # Values that stay in L1 count as read from there; the stored ones stream by.
                busy = csr.spmm_seconds(
                    wide, machine, isa, form.nnz, spec.index_bytes, csr.ROWWISE_EFFICIENCY, share
                )
                streamed = form.nnz * (4 - STORED[spec.dtype])
                busy -= machine.read(streamed, streamed + moved, max(1, int(share)))
            return busy + elements * WIDEN_SECONDS / threads

        once, threads = model.best_threads(wide, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row", narrow=True)
        return Cost(once + model.call_seconds(wide, machine, ()), conversion, 0, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        part = operand.compressed(problem, left if stands_left else right, "row", narrow=True)
        other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
        product = _core.narrow_rows(isa, part.indptr, part.indices, part.data, problem.normal.k, other, out)
        return Executable(product, transposed=not stands_left)
