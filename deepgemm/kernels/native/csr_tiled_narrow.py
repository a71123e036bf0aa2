"""Native product of tiles whose values stay in their narrow dtype, widened when they are multiplied."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import _core
from ..registry import Cost, Executable
from . import csr_tiled, model, operand
from .csr_narrow import WIDEN_SECONDS, NarrowRows

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# Bytes of a value, by its dtype.
STORED = {"float16": 2, "bfloat16": 2, "int8": 1}
# What is widened of X at once where a panel of all columns of S is, and the rows of that.
SHARED_BYTES = 64 << 20
LEAST_ROW_BYTES = 32


def row_bytes(problem: Problem) -> tuple[int, bool]:
    """Return the bytes of a row of widened columns of X, and whether threads share what is widened."""
    form = problem.normal
    width = csr_tiled.panel_columns(form.m, form.k, form.nnz)
    shared = width > csr_tiled.USEFUL_PANEL or width >= form.k
    most = SHARED_BYTES // max(form.k, 1) if shared else csr_tiled.COPIED_PASS_BYTES
    return max(LEAST_ROW_BYTES, min(4 * form.n, most, csr_tiled.COPIED_PASS_BYTES)), shared


class NarrowTiles(NarrowRows):
    """Tiles of rows and columns that hold values as they are stored: an entry takes 3 or 4 bytes, not 6.

    Four values are widened by one conversion, X is widened into the panels that tiles read, and rows of Y
    are rounded while they are in the caches.
    """

    name = "csr_tiled_narrow"
    summary = "tiles of rows and columns (a bought layout) of narrow values × dense, widened in registers"
    stored: ClassVar[Collection[str]] = STORED
    codes = False

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form, value_bytes = problem.normal, STORED[operand.spec(problem).dtype]
        widened, shared = row_bytes(problem)
        wide = replace(problem, accumulator="float32", output="float32")

        def seconds(threads: int) -> float:
            busy = csr_tiled.tile_seconds(wide, machine, isa, threads, (value_bytes, widened))
            # Each thread widens the panels of X that it reads, unless all read the same.
            elements = form.k * form.n * (1 if shared else threads) + form.m * form.n
            return busy + elements * WIDEN_SECONDS / threads

        once, threads = model.best_threads(wide, machine, form.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row", "tiled", narrow=True)
        once += model.call_seconds(wide, machine, ())
        workspace = form.k * widened if shared else 0
        return Cost(once, conversion, workspace, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        tiles = operand.built(problem, left if stands_left else right, "tiled", narrow=True)
        other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
        product = _core.tiled_narrow_product(isa, tiles.core, other, out)
        return Executable(product, transposed=not stands_left)
