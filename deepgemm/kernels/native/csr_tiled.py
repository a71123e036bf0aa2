"""Native product of tiles of rows and columns, the rows of each in order of length, with a dense matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# How csrc/core/tiled.cpp chooses panels, csrc/core/panels.h the columns of copied ones, and
# csrc/kernels/passes-inl.h those of others.
ROW_ENTRIES = 20
PANEL_STEP, LEAST_PANEL, USEFUL_PANEL = 32, 128, 2048
MOST_COLUMNS = 2**32
SHORT_COLUMNS = 65536  # of a panel whose columns take 16 bits
COPIED_PASS_BYTES = 256
PASS_VECTORS = 8
# Share of the FMA peak that passes reach on operands in L1 or L2: each FMA also loads a vector of X.
EFFICIENCY = 0.65
# Seconds for each entry in each pass, and for each row of each tile (accumulators come and go).
ENTRY_SECONDS = 0.08e-9
ROW_SECONDS = 2e-9
# Seconds for each entry of a product with a vector, which fills one lane.
VECTOR_ENTRY_SECONDS = 0.4e-9


def panel_columns(rows: int, columns: int, nnz: int) -> int:
    """Return how many columns of S one tile has."""
    width = columns // max(nnz // max(rows, 1) // ROW_ENTRIES, 1)
    width = max(-(-width // PANEL_STEP) * PANEL_STEP, LEAST_PANEL)
    return width if width <= USEFUL_PANEL else columns


def tile_seconds(
    problem: Problem, machine: Machine, isa: str, threads: int, narrow: tuple[int, int] | None = None
) -> float:
    """Return the seconds of all tiles, without the call.

    `narrow` says how many bytes a value and a row of widened columns of X take, where values are stored
    narrower than the chain; columns of S then always take 16 bits.

    FMAs on whole registers against rows of X that lie where one panel of them fits; S is streamed once for
    each pass over its columns, and the rows of Y come and go once for each tile.
    """
    form, size = problem.normal, problem.itemsize
    width = panel_columns(form.m, form.k, form.nnz)
    if narrow:
        width = min(width, SHORT_COLUMNS)
    panels = -(-form.k // max(width, 1))
    vector_bytes = machine.vector_bytes(isa)
    # One panel of all columns reads X where it stands, more of them read copies.
    pass_bytes = COPIED_PASS_BYTES if panels > 1 else PASS_VECTORS * vector_bytes
    value_bytes = size
    if narrow:
        value_bytes, pass_bytes = narrow
    passes = max(-(-form.n * size // pass_bytes), model.panels(problem))
    rows = min(form.m * panels, form.m + form.nnz) * ROW_SECONDS
    x_bytes, y_bytes = form.k * form.n * size, form.m * form.n * size
    streamed = passes * form.nnz * (value_bytes + (2 if width <= SHORT_COLUMNS else 4))
    if form.n == 1:
        lane = form.nnz * VECTOR_ENTRY_SECONDS + rows
        near = operand.spec(problem).structure.near
        return model.spmv_seconds(problem, machine, isa, lane, streamed + y_bytes, near, threads)
    lanes = model.vectors(form.n, problem, vector_bytes) * vector_bytes // size
    rate = machine.flop_rate(isa, problem.accumulator) * EFFICIENCY
    busy = form.nnz * lanes * model.flops(problem) / rate + passes * (form.nnz * ENTRY_SECONDS + rows)
    # Threads share the columns where they cannot share the rows.
    shared = form.n * size >= threads * model.LINE
    share = float(threads) if shared else model.balance(form, threads)
    whole = max(1, int(share))
    near_bytes = min(width, form.k) * min(form.n * size, pass_bytes)
    fetched = machine.read(form.nnz * form.n * size, near_bytes, whole)
    moved = machine.read(streamed + 2 * y_bytes, streamed + x_bytes + y_bytes, whole)
    return max(busy / share, fetched, passes * form.longest * model.CHAIN_SECONDS) + moved


class Tiled(Kernel):
    """Tiles whose rows of X stay near, with rows of one length side by side.

    The accumulators of a row begin with what the panels before left in Y, so every chain stays in order.
    """

    name = "csr_tiled"
    summary = (
        "tiles of rows and columns (a bought layout) × dense, rows of X near and ends of loops predicted"
    )
    codes = True

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        if problem.accumulator.startswith("complex"):
            return "tiles hold real values only"
        if problem.normal.k > MOST_COLUMNS:
            return "more than 2**32 columns"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        def seconds(threads: int) -> float:
            return tile_seconds(problem, machine, isa, threads)

        once, threads = model.best_threads(problem, machine, problem.normal.m, seconds)
        name, conversion, nbytes = operand.conversion(problem, machine, "row", "tiled")
        return Cost(once + model.call_seconds(problem, machine), conversion, 0, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        tiles = operand.built(problem, left if stands_left else right, "tiled")
        return Executable(_core.tiled_product(isa, tiles.core), transposed=not stands_left)
