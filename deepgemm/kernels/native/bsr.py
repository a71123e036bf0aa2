"""Native products of blocks of rows and columns: with a dense matrix from either side, and with a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ...planner.structure import LEAST_FILL
from ..registry import Cost, Executable, Kernel
from . import blocks, csr, model, operand

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import Problem

# The tile of csrc/kernels/bsr-inl.h: vectors of columns, and the most rows that they allow.
TILE_VECTORS = 4
TILE_ROWS = 8
# Share of the FMA peak of a tile that waits for neither loads nor latency.
EFFICIENCY = 0.8
# Chains that hide the latency of FMA: 4 cycles, two a cycle.
CHAINS = 8
# Seconds of set-up for each block in each pass, and for each tile of a block row, whose end is mispredicted.
BLOCK_SECONDS = 1.5e-9
ROW_SECONDS = 12e-9
# A scattered tile is loaded and stored for each block.
SCATTER_SECONDS = 4e-9
# Seconds per element of a product with a vector, and how many more a single row of a block costs than one
# of many; that falls with the square of the height, because low blocks run side by side as well.
ELEMENT_SECONDS = 0.2e-9
LOW_BLOCK = 2.3
VECTOR_BLOCK_SECONDS = 0.35e-9
# Vectors of at least so many rows are turned in registers, a square at a time, if half of its columns exist;
# seconds for each 4 bytes of a square (16 x 16 float32: 42 to 56 GFLOP/s on two cores, scalars 18 to 23), and
# for the end of each of two block rows side by side.
TURNED_ROWS = 8
TURNED_SECONDS = 0.075e-9
VECTOR_ROW_SECONDS = 6e-9


def best_form(problem: Problem, turn: bool) -> blocks.Form | None:
    """Return how the operand comes in blocks, or with `turn` its transpose; None if it fills none.

    Of several sizes the one of least work: r rows of a tile wait for one load of X in r + 1.
    """
    spec = operand.spec(problem)
    if spec.blocksize is not None:
        return blocks.form(problem, spec.blocksize, 1.0, turn)
    found = [
        blocks.form(problem, size, fill, turn)
        for size, fill in spec.structure.block_fill
        if fill >= LEAST_FILL and spec.shape[0] % size[0] == 0 and spec.shape[1] % size[1] == 0
    ]
    if not found:
        return None
    return min(found, key=lambda form: form.stored * (1 + 1 / min(form.height, TILE_ROWS) + 1 / form.width))


def tile_seconds(problem: Problem, machine: Machine, isa: str, form: blocks.Form, threads: float) -> float:
    """Return the seconds of all blocks of S passing by tiles of Y, without the call.

    Each step of a tile loads `rows` entries and `vectors` of X for their product in multiply-adds.
    Rows of X are fetched for each block, and S is streamed for each pass over its columns.
    """
    normal = problem.normal
    vector_bytes = machine.vector_bytes(isa)
    wide = model.vectors(normal.n, problem, vector_bytes)
    passes = -(-wide // TILE_VECTORS)
    across = wide / passes
    turns = -(-form.height // TILE_ROWS)
    rows = form.height / turns
    loads = min(1.0, rows * across / (rows + across))
    efficiency = EFFICIENCY * loads * min(1.0, 4 * rows * across / CHAINS)
    if problem.accumulator.startswith("complex"):
        efficiency = min(efficiency, csr.COMPLEX_EFFICIENCY)
    lanes = max(1, wide * vector_bytes // problem.itemsize)
    rate = machine.flop_rate(isa, problem.accumulator) * efficiency
    count = form.stored / (form.height * form.width)
    arithmetic = form.stored * lanes * model.flops(problem) / rate
    arithmetic += passes * turns * (count * BLOCK_SECONDS + normal.m / form.height * ROW_SECONDS)
    whole = max(1, int(threads))
    x_bytes, y_bytes = (extent * normal.n * problem.itemsize for extent in (normal.k, normal.m))
    fetched = machine.read(turns * count * form.width * normal.n * problem.itemsize, x_bytes, whole)
    streamed = passes * form.stored * problem.itemsize
    footprint = streamed + x_bytes + y_bytes
    return max(arithmetic / threads, fetched) + machine.read(streamed + 2 * y_bytes, footprint, whole)


class _BlockKernel(Kernel):
    """What the kernels on blocks have in common."""

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        spec = operand.spec(problem)
        if spec.format not in ("bsr", "csr"):
            return f"wants blocks, this operand is {spec.format}"
        if self.form(problem) is None:
            if not spec.structure.block_fill:
                return "how far entries fill blocks was not measured (it is once that pays)"
            (height, width), fill = max(spec.structure.block_fill, key=lambda found: found[1])
            return f"entries fill {fill:.0%} of the touched {height} × {width} blocks, or these do not fit"
        return model.refuse_dtype(problem) or model.refuse_arithmetic(problem)

    def form(self, problem: Problem) -> blocks.Form | None:
        """Return the blocks of S that this kernel reads."""
        return best_form(problem, problem.normal.side == "right")

    def crosses(self, problem: Problem) -> bool:
        return operand.spec(problem).format == "csr"

    def seconds(self, problem: Problem, machine: Machine, isa: str, form: blocks.Form, threads: int) -> float:
        """Return the seconds of the kernel alone on so many threads."""
        return tile_seconds(problem, machine, isa, form, model.balance(problem.normal, threads))

    def most_tasks(self, problem: Problem, form: blocks.Form, vector_bytes: int) -> int:
        """Return into how many parts the result can be cut."""
        return problem.normal.m // form.height

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form, normal = self.form(problem), problem.normal
        assert form is not None

        def seconds(threads: int) -> float:
            return self.seconds(problem, machine, isa, form, threads)

        tasks = self.most_tasks(problem, form, machine.vector_bytes(isa))
        once, threads = model.best_threads(problem, machine, tasks, seconds)
        once += model.call_seconds(problem, machine)
        if self.crosses(problem):
            other = normal.k * normal.n * problem.itemsize
            once += machine.read(other, other, threads)
        conversion, nbytes = blocks.conversion(problem, machine, form)
        return Cost(once, conversion, 0, nbytes, threads, form.layout)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        form, on_left = self.form(problem), problem.normal.side == "left"
        assert form is not None
        array = left if on_left else right
        indptr, indices, data = blocks.blocks_of(problem, array, form)
        # What is scattered is stored as the transpose of S.
        extent, step = self.inner(problem, form)
        product = _core.bsr_product(self.name, isa, indptr, indices, data, extent // step, on_left)
        fallback = csr.fallback_of(problem, array, isa) if self.crosses(problem) else None
        return Executable(product, fallback, transposed=not on_left)

    def inner(self, problem: Problem, form: blocks.Form) -> tuple[int, int]:
        """Return the columns of what is stored, and those of a block."""
        return problem.normal.k, form.width


class BlockDense(_BlockKernel):
    """Tiles of Y stay in registers while the blocks of a block row pass by.

    A CSR operand whose entries fill blocks is put into them once; while the other operand is finite the
    zeros that this adds change nothing, and otherwise a kernel on single entries runs.
    """

    name = "bsr_dense"
    summary = "rows of blocks × dense in register tiles; also for CSR that fills blocks (a bought layout)"
    codes = True


class BlockScatter(_BlockKernel):
    """Blocks of an operand on the right, in the order of its rows, are added to tiles of Y.

    Threads split the rows of the dense operand, because two threads must not add to one chain.
    """

    name = "bsr_scatter"
    summary = "dense × rows of blocks without converting; threads split the rows of the result"
    codes = True

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) == 1:
            if operand.spec(problem).format != "bsr":
                return f"wants blocks, this operand is {operand.spec(problem).format}"
            if problem.normal.side == "left":
                return "wants the blocks on the right"
        return super().refuse(problem)

    def form(self, problem: Problem) -> blocks.Form | None:
        return best_form(problem, turn=False)

    def seconds(self, problem: Problem, machine: Machine, isa: str, form: blocks.Form, threads: int) -> float:
        # Seen as S the blocks stand the other way round.
        turned = form._replace(height=form.width, width=form.height)
        busy = tile_seconds(problem, machine, isa, turned, threads)
        wide = model.vectors(problem.normal.n, problem, machine.vector_bytes(isa))
        tiles = form.stored / form.height / min(form.width, TILE_ROWS)
        return busy + tiles / form.width * wide * SCATTER_SECONDS / threads

    def most_tasks(self, problem: Problem, form: blocks.Form, vector_bytes: int) -> int:
        return model.vectors(problem.normal.n, problem, vector_bytes)

    def inner(self, problem: Problem, form: blocks.Form) -> tuple[int, int]:
        return problem.normal.m, form.width


class BlockVector(_BlockKernel):
    """One chain for each row of a block row, several side by side."""

    name = "bsr_vector"
    summary = "rows of blocks × vector; also for CSR that fills blocks (a bought layout)"
    codes = True

    def refuse(self, problem: Problem) -> str | None:
        reason = super().refuse(problem)
        if reason is None and problem.normal.n != 1:
            return f"wants a vector, this operand has {problem.normal.n} columns"
        if reason is None and problem.accumulator.startswith("complex"):
            return "chains of vectors are real; bsr_dense serves complex ones"
        return reason

    def seconds(self, problem: Problem, machine: Machine, isa: str, form: blocks.Form, threads: int) -> float:
        normal = problem.normal
        count = form.stored / (form.height * form.width)
        chains = count * (self.block_seconds(problem, machine, isa, form) + VECTOR_BLOCK_SECONDS)
        chains += normal.m / form.height * VECTOR_ROW_SECONDS
        streamed = form.stored * problem.itemsize
        return model.spmv_seconds(problem, machine, isa, chains, streamed, 1.0, threads)

    @staticmethod
    def block_seconds(problem: Problem, machine: Machine, isa: str, form: blocks.Form) -> float:
        """Return the seconds of the entries of one block, with everything in L1."""
        lanes, left, seconds = machine.vector_bytes(isa) // problem.itemsize, form.height, 0.0
        while lanes >= TURNED_ROWS:  # whole vectors, then halves
            if 2 * form.width >= lanes:
                squares = left // lanes * -(-form.width // lanes)
                seconds += squares * lanes * lanes * problem.itemsize / 4 * TURNED_SECONDS
                left %= lanes
            lanes //= 2
        if left:
            seconds += left * form.width * ELEMENT_SECONDS * (1 + LOW_BLOCK / left**2)
        return seconds
