"""Native product of compressed rows whose values stay in their narrow dtype, widened in the caches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import csr, gemm, model, operand
from .codes import stored_lines

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Dtypes of values, and those that stand for others only.
STORED = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8")
CODES = ("int4", "uint4")
# The largest magnitudes of integers, and the sums that float32 holds exactly in any order.
MAGNITUDES = {"int8": 128, "uint8": 255}
EXACT_FLOAT32 = 2**24
# Seconds to widen a value, an element of X, or to round one of Y: about a vector a nanosecond. More for a
# value with the scale of its column, which is looked up, and for one of two in a byte.
WIDEN_SECONDS = 0.1e-9
COLUMN_SECONDS = 0.3e-9
NIBBLE_SECONDS = 0.02e-9


class NarrowRows(Kernel):
    """The row-wise and vector kernels for float32 over a stretch of values at a time, widened in L1.

    Values cross the memory in the width in which they are stored; X is widened a panel at a time and Y
    rounded behind the rows that are done. Sums of 8-bit integers are exact in float32 while no row exceeds
    2**24. Values of a quantised operand are multiplied by their scales where they are widened.
    """

    name = "csr_narrow"
    summary = "compressed rows of narrow values × dense, a stretch of them at a time widened in the caches"
    stored: ClassVar[Collection[str]] = STORED
    codes = True

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        dtype = operand.spec(problem).dtype
        if dtype not in self.stored and not (problem.codes and dtype in CODES):
            return f"wants values of {', '.join(self.stored)}"
        if problem.stack:
            return "multiplies no stacks"
        dtypes = problem.left.dtype, problem.right.dtype
        if all(dtype in MAGNITUDES for dtype in dtypes) and not problem.codes:
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
        moved = form.nnz * (operand.stored_bytes(spec.dtype) + spec.index_bytes)
        elements = form.nnz + form.k * form.n + form.m * form.n
        decoding = form.nnz * decode_seconds(problem)

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
                streamed = form.nnz * (4 - operand.stored_bytes(spec.dtype))
                busy -= machine.read(streamed, streamed + moved, max(1, int(share)))
            return busy + (elements * WIDEN_SECONDS + decoding) / threads

        once, threads = model.best_threads(wide, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row", narrow=True)
        return Cost(once + model.call_seconds(wide, machine, ()), conversion, 0, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        part, scales = stored_lines(problem, left if stands_left else right)
        other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
        product = _core.narrow_rows(
            isa, part.indptr, part.indices, part.data, problem.normal.k, (1, 1), other, out, scales
        )
        return Executable(product, transposed=not stands_left)


def decode_seconds(problem: Problem) -> float:
    """Return the seconds that a value of a quantised operand takes beyond widening it."""
    spec = operand.spec(problem)
    if spec.scaling is None:
        return 0.0
    rows, columns = spec.scaling.block
    across = 1 if problem.normal.side == "left" else 0  # the axis of the columns of S
    by_column = spec.scaling.block[across] == 1 and spec.shape[across] > 1 and max(rows, columns) > 1
    return COLUMN_SECONDS * by_column + NIBBLE_SECONDS * (spec.dtype in CODES)
