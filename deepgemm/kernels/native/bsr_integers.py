"""Native product of blocks of 8-bit integers with a dense matrix of them: exact, four steps at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ... import _core
from ..registry import Cost, Executable, Kernel
from . import blocks, bsr, gemm_integer, model, operand

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...planner.machine import Machine
    from ...planner.problem import Problem

    Array = npt.NDArray[Any]

STORED = {"int8": 128, "uint8": 255}  # the largest magnitudes
MOST_SUM = 2**31 - 1
GROUP = 4  # elements along k that one instruction multiplies
# Columns of a panel of X, which is brought into groups in each call, and seconds for an element of it.
PANEL_COLUMNS = 64
PACK_SECONDS = 0.06e-9
# Instructions that do the work of one where there is no VNNI.
PLAIN_STEPS = 6.0


class Groups(NamedTuple):
    """Blocks whose rows are filled up with zeros to whole groups, or the transposes of blocks.

    Attributes
    ----------
    indptr, indices, data : numpy.ndarray
        As in BSR.
    order : numpy.ndarray or None
        Where each transposed block comes from in the canonical owner; None if they are not transposed.
    """

    indptr: Array
    indices: Array
    data: Array
    order: Array | None

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        parts = (self.data,) if self.order is None else (self.indptr, self.indices, self.data, self.order)
        return sum(part.nbytes for part in parts)

    def refill(self, values: Array) -> Groups:
        """Return the same blocks for other values of the canonical owner."""
        if self.order is not None:
            values = values[self.order].transpose(0, 2, 1)
        data = np.zeros(self.data.shape, self.data.dtype)
        data[:, :, : values.shape[2]] = values
        return self._replace(data=data)


class BlockIntegers(Kernel):
    """Tiles of Y over groups of four elements along K, as in the product of two dense operands.

    The instruction multiplies unsigned by signed bytes. Where both operands are signed or both unsigned, X is
    raised or lowered by 128 while it is brought into groups, and sums begin with what that leaves out.
    """

    name = "bsr_integers"
    summary = "rows of blocks × dense of 8-bit integers, exact, in register tiles"

    def refuse(self, problem: Problem) -> str | None:
        if len(problem.sparse_sides) != 1:
            return "wants one sparse operand" if not problem.sparse_sides else "wants a dense operand"
        spec, form = operand.spec(problem), problem.normal
        if spec.format != "bsr":
            return f"wants blocks, this operand is {spec.format}"
        dtypes = problem.left.dtype, problem.right.dtype
        if not all(dtype in STORED for dtype in dtypes):
            return f"wants {' or '.join(STORED)} on both sides"
        if problem.output not in ("int32", "int64"):
            return f"gives int32 or int64, not {problem.output}"
        if problem.stack:
            return "multiplies no stacks"
        longest = spec.structure.max_row if form.side == "left" else form.k
        if longest * STORED[dtypes[0]] * STORED[dtypes[1]] > MOST_SUM:
            return f"sums of {longest:,} products may exceed 32 bits"
        return model.refuse_arithmetic(problem)

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        form = problem.normal
        height, width = _blocksize(problem)
        groups = -(-width // GROUP)
        # A group is one element of 32 bits.
        words = blocks.Form(height, groups, form.nnz // width * groups, 1.0, None)
        wide = replace(problem, accumulator="float32", output="float32")
        steps = 1.0 if gemm_integer.has_vnni(isa) else PLAIN_STEPS

        def seconds(threads: int) -> float:
            share = model.balance(form, threads)
            return (
                bsr.tile_seconds(wide, machine, isa, words, share) * steps
                + form.k * form.n * PACK_SECONDS / threads
            )

        once, threads = model.best_threads(wide, machine, form.m // height, seconds)
        once += model.call_seconds(wide, machine, ())
        name, nbytes = _layout(problem), 0
        workspace = form.k * min(form.n, PANEL_COLUMNS)
        if name is None:
            return Cost(once, 0.0, workspace, 0, threads)
        nbytes = form.nnz // width * groups * GROUP
        held = name in operand.spec(problem).layouts
        conversion = 0.0 if held else nbytes * blocks.MOVE_SECONDS + operand.LEAST_SECONDS
        return Cost(once, conversion, workspace, nbytes, threads, name)

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        stands_left = problem.normal.side == "left"
        array = (left if stands_left else right).canonical()
        name, width = _layout(problem), _blocksize(problem)[1]
        parts = Groups(array.indptr, array.indices, array.data, None)
        if name is not None:
            parts = array._layouts.get_or_build(name, lambda: _grouped(array, not stands_left))
        other, out = np.dtype(problem.other_spec.dtype), np.dtype(problem.output)
        product = _core.bsr_integers(
            isa, parts.indptr, parts.indices, parts.data, problem.normal.k // width, width, other, out
        )
        return Executable(product, transposed=not stands_left)


def _blocksize(problem: Problem) -> tuple[int, int]:
    """Return rows and columns of the blocks of S."""
    size = operand.spec(problem).blocksize
    assert size is not None
    return size if problem.normal.side == "left" else (size[1], size[0])


def _layout(problem: Problem) -> str | None:
    """Return the name of the layout that is read, None for the operand itself."""
    if problem.normal.side == "right":
        return "bsr.T:groups"
    return "bsr:groups" if _blocksize(problem)[1] % GROUP else None


def _grouped(array: Any, turn: bool) -> Groups:
    """Bring canonical blocks, or their transposes, into whole groups."""
    height, width = array.blocksize
    indptr, indices, order = array.indptr, array.indices, None
    if turn:
        indptr, indices, order = _core.transpose(indptr, indices, array.shape[1] // width)
        height, width = width, height
    like = np.empty((len(indices), height, -(-width // GROUP) * GROUP), array.data.dtype)
    return Groups(indptr, indices, like, order).refill(array.data)
