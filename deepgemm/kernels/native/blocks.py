"""The sparse operand as block-sparse kernels read it: itself, its transpose, or compressed rows in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ... import _core
from .operand import LEAST_SECONDS, Values, spec

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...planner.machine import Machine
    from ...planner.problem import Problem

    Array = npt.NDArray[Any]

# Seconds per stored element to move blocks, per entry to find its place in its block, and per entry to find
# that in the transpose of its block.
MOVE_SECONDS = 1e-9
FIND_SECONDS = 1.5e-9
TURN_SECONDS = 8e-9
# Bytes that tell the place of one entry in its block, for refilling.
PLACE_BYTES = 8


class Form(NamedTuple):
    """How the blocks of S come about.

    Attributes
    ----------
    height, width : int
        Rows and columns of a block of S.
    stored : int
        Elements of all blocks.
    fill : float
        Share of them that are entries; 1 for blocks that the user handed over.
    layout : str or None
        Name of the copy that is read; None for the operand itself.
    """

    height: int
    width: int
    stored: int
    fill: float
    layout: str | None


class Transposed(NamedTuple):
    """The transpose of a BSR operand, block by block.

    Attributes
    ----------
    indptr, indices, data : numpy.ndarray
        As in BSR.
    order : numpy.ndarray
        Where each block stands in the canonical array of the owner.
    """

    indptr: Array
    indices: Array
    data: Array
    order: Array

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        return sum(part.nbytes for part in self)

    def refill(self, values: Array) -> Transposed:
        """Return the same blocks for other values of the canonical owner."""
        return self._replace(data=_turned(values, self.order, self.data.dtype))


class Filled(NamedTuple):
    """Entries of a CSR operand put into blocks, whose other places are zeros.

    Attributes
    ----------
    indptr, indices, data : numpy.ndarray
        As in BSR.
    places : numpy.ndarray
        Where each entry of the canonical owner goes in the flat `data`.
    """

    indptr: Array
    indices: Array
    data: Array
    places: Array

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        return sum(part.nbytes for part in self)

    def refill(self, values: Array) -> Filled:
        """Return the same blocks for other values of the canonical owner."""
        data = np.zeros(self.data.shape, self.data.dtype)
        _core.scatter_values(values.astype(data.dtype, copy=False), self.places, data.reshape(-1))
        return self._replace(data=data)


def form(problem: Problem, blocksize: tuple[int, int], fill: float, turn: bool) -> Form:
    """Return how S, or its transpose if `turn` holds, comes in blocks of the operand's `blocksize`."""
    operand = spec(problem)
    widened = "" if operand.dtype == problem.accumulator else f":{problem.accumulator}"
    height, width = blocksize
    stored = round(operand.structure.nnz / fill)
    if operand.format == "csr":
        layout: str | None = f"bsr:{height}x{width}{'.T' if turn else ''}{widened}"
    elif turn:
        layout = f"bsr.T{widened}"
    else:
        layout = f"values{widened}" if widened else None
    return Form(*((width, height) if turn else (height, width)), stored, fill, layout)


def conversion(problem: Problem, machine: Machine, blocks: Form) -> tuple[float, int]:
    """Return the seconds that the layout still costs, and the bytes that it takes."""
    operand = spec(problem)
    if blocks.layout is None:
        return 0.0, 0
    nbytes = blocks.stored * problem.itemsize
    if operand.format == "csr":
        nbytes += operand.structure.nnz * PLACE_BYTES
    if blocks.layout in operand.layouts:
        return 0.0, nbytes
    seconds = machine.read(2 * nbytes, 2 * nbytes) + blocks.stored * MOVE_SECONDS + LEAST_SECONDS
    if operand.format == "csr" and blocks.layout not in operand.donors:
        turned = TURN_SECONDS if ".T" in blocks.layout else 0.0
        seconds += operand.structure.nnz * (FIND_SECONDS + turned)
    return seconds, nbytes


def blocks_of(problem: Problem, array: Any, blocks: Form) -> tuple[Array, Array, Array]:
    """Return indptr, indices and blocks as a form says, from a layout that is built if missing."""
    base = array.canonical()
    if blocks.layout is None:
        return base.indptr, base.indices, base.data
    cache, dtype = array._layouts, np.dtype(problem.accumulator)
    donor = cache.donor(blocks.layout)
    turn = ".T" in blocks.layout

    def build() -> Values | Transposed | Filled:
        if donor is not None:
            made: Values | Transposed | Filled = donor.refill(base.data)
            return made
        if base.format == "csr":
            size = (blocks.width, blocks.height) if turn else (blocks.height, blocks.width)
            return _fill(base, size, turn, dtype)
        return transpose(base, dtype) if turn else Values(base.data.astype(dtype))

    layout = cache.get_or_build(blocks.layout, build)
    if isinstance(layout, Values):
        return base.indptr, base.indices, layout.data
    return layout.indptr, layout.indices, layout.data


def _turned(data: Array, order: Array, dtype: np.dtype[Any]) -> Array:
    return np.ascontiguousarray(data[order].transpose(0, 2, 1), dtype=dtype)


def transpose(base: Any, dtype: np.dtype[Any]) -> Transposed:
    """Transpose a canonical BSR array: each block, and the places of the blocks."""
    indptr, indices, order = _core.transpose(base.indptr, base.indices, base.shape[1] // base.blocksize[1])
    return Transposed(indptr, indices, _turned(base.data, order, dtype), order)


def _fill(base: Any, blocksize: tuple[int, int], turn: bool, dtype: np.dtype[Any]) -> Filled:
    """Put the entries of a canonical CSR array into blocks, or into the transposes of those blocks."""
    height, width = blocksize
    indptr, indices, places = _core.blocks_of_rows(base.indptr, base.indices, height, width)
    shape = (indices.size, height, width)
    if turn:
        indptr, indices, order = _core.transpose(indptr, indices, base.shape[1] // width)
        moved = np.empty_like(order)
        moved[order] = np.arange(order.size, dtype=order.dtype)
        block, inside = np.divmod(places, height * width)
        row, column = np.divmod(inside, width)
        places = moved[block].astype(np.int64) * (height * width) + column * height + row
        shape = (indices.size, width, height)
    # Never filled itself: `refill` knows the shape and the dtype from it.
    like = np.empty(shape, dtype=dtype)
    return Filled(indptr, indices, like, places).refill(base.data)
