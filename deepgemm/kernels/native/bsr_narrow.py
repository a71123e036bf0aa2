"""Native product of blocks whose values stay in their narrow dtype, widened in the caches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ..registry import Cost, Executable
from . import blocks, bsr, csr_narrow, model, operand
from .codes import stored_blocks

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem


class NarrowBlocks(csr_narrow.NarrowRows):
    """The block kernels for float32 over some rows of blocks at a time, widened in the caches.

    As `csr_narrow`, but each row of X is fetched once for all rows of a block.
    """

    name = "bsr_narrow"
    summary = "rows of narrow blocks × dense, some rows of them at a time widened in the caches"

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) == 1 and operand.spec(problem).format != "bsr":
            return f"wants blocks, this operand is {operand.spec(problem).format}"
        return super().refuse(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form, spec = problem.normal, operand.spec(problem)
        assert spec.blocksize is not None
        height, width = spec.blocksize if form.side == "left" else spec.blocksize[::-1]
        wide = replace(problem, accumulator="float32", output="float32")
        blocked = blocks.Form(height, width, form.nnz, 1.0, None)
        kernel = bsr.BlockVector() if form.n == 1 else bsr.BlockDense()
        narrower = form.nnz * (4 - operand.stored_bytes(spec.dtype))
        elements = form.nnz + form.k * form.n + form.m * form.n
        widening = elements * csr_narrow.WIDEN_SECONDS + form.nnz * csr_narrow.decode_seconds(problem)

        def seconds(threads: int) -> float:
            busy = kernel.seconds(wide, machine, isa, blocked, threads)
            # Values that stay in the caches count as read from there.
            return busy - machine.read(narrower, form.nnz * 4, threads) + widening / threads

        once, threads = model.best_threads(wide, machine, form.m // height, seconds)
        once += model.call_seconds(wide, machine, ())
        if form.side == "left":
            return Cost(once, threads=threads)
        nbytes = int(form.nnz * operand.stored_bytes(spec.dtype))
        held = "bsr.T" in spec.layouts
        conversion = 0.0 if held else form.nnz * blocks.MOVE_SECONDS + operand.LEAST_SECONDS
        return Cost(once, conversion, 0, nbytes, threads, "bsr.T")

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        part, size, scales = stored_blocks(problem, left if stands_left else right)
        other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
        product = _core.narrow_rows(
            isa, part.indptr, part.indices, part.data, problem.normal.k // size[1], size, other, out, scales
        )
        return Executable(product, transposed=not stands_left)
