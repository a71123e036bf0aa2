"""The sparse operand as native kernels read it: compressed lines of one dtype, converted at most once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ... import _core
from ...sparse import convert
from ...sparse.resort import lines_of, sorting

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...planner.machine import Machine
    from ...planner.problem import OperandSpec, Problem

    Array = npt.NDArray[Any]

Lines = Literal["row", "col"]

# Seconds per entry, one thread, beyond reading and writing it once: the scatter of a counting sort (0.5 to
# 4 ns, the more the farther its writes lie apart), slice building, and the scatter of single elements into
# a dense array.
SORT_SECONDS = 2e-9
SELL_SECONDS = 0.3e-9
TILE_SECONDS = 1e-9
DENSE_SECONDS = 1.5e-9
# Seconds per line of either kind (counters, offsets), and of any conversion at all (allocations, Python).
LINE_SECONDS = 1e-9
SELL_LINE_SECONDS = 5e-9  # sorted by length, and placed
LEAST_SECONDS = 10e-6


class Positions:
    """Where each value of a layout comes from in the canonical array of its owner.

    They take a third of the memory of a transposed layout, and of the time to build it, and only new
    values need them: they are found when somebody asks, and shared by all layouts of the structure.
    """

    __slots__ = ("_find", "_known")

    def __init__(self, find: Callable[[], Array]) -> None:
        self._find = find
        self._known: Array | None = None

    @property
    def nbytes(self) -> int:
        """Memory that they take so far, in bytes."""
        return 0 if self._known is None else self._known.nbytes

    def take(self, values: Array) -> Array:
        """Return values of the canonical owner in the order of the layout."""
        if self._known is None:
            self._known = self._find()
        return _core.gather(values.ravel(), self._known)


class Compressed(NamedTuple):
    """Lines of entries; a layout when it is a copy.

    Attributes
    ----------
    indptr, indices, data : numpy.ndarray
        As in CSR.
    positions : Positions or None
        Where each value comes from in the canonical array of the owner; None if in the same order.
    """

    indptr: Array
    indices: Array
    data: Array
    positions: Positions | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        parts = (self.indptr, self.indices, self.data, self.positions)
        return sum(part.nbytes for part in parts if part is not None)

    def refill(self, values: Array) -> Compressed:
        """Return the same lines for other values of the canonical owner."""
        data = values.ravel() if self.positions is None else self.positions.take(values)
        return Compressed(self.indptr, self.indices, data.astype(self.data.dtype, copy=False), self.positions)


class Values(NamedTuple):
    """The values alone, in another dtype; their structure is the owner's."""

    data: Array

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        return self.data.nbytes

    def refill(self, values: Array) -> Values:
        """Return other values in the same dtype."""
        return Values(values.astype(self.data.dtype))


class Built(NamedTuple):
    """A layout that the core holds: SELL slices, or tiles of rows and panels of columns.

    Attributes
    ----------
    core : _core.Sell or _core.Tiled
    positions : Positions or None
        As in `Compressed`.
    dtype : numpy.dtype
        Of the chain.
    """

    core: Any
    positions: Positions | None
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        core: int = self.core.nbytes
        return core + (0 if self.positions is None else self.positions.nbytes)

    def refill(self, values: Array) -> Built:
        """Return the same structure with other values of the canonical owner."""
        data = values.ravel() if self.positions is None else self.positions.take(values)
        filled = self.core.refill(np.ascontiguousarray(data, dtype=self.dtype))
        return Built(filled, self.positions, self.dtype)


class Dense(NamedTuple):
    """The operand with its zeros filled in."""

    array: Array
    places: tuple[Array, Array]

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        return self.array.nbytes + sum(place.nbytes for place in self.places)

    def refill(self, values: Array) -> Dense:
        """Return the dense array of other values at the same places."""
        array = np.zeros_like(self.array)
        array[self.places] = values.ravel()
        return Dense(array, self.places)


def storage(problem: Problem, lines: Lines) -> str:
    """Return the format of the operand itself that has S compressed by `lines`."""
    left = problem.normal.side == "left"
    return "csr" if (lines == "row") == left else "csc"


def stored_bytes(dtype: str) -> float:
    """Return the bytes of one stored value; two of 4 bits share one."""
    return 0.5 if dtype.endswith("int4") else np.dtype(dtype).itemsize


def spec(problem: Problem) -> OperandSpec:
    """Return the sparse operand."""
    return problem.left if problem.normal.side == "left" else problem.right


def layout_name(problem: Problem, lines: Lines, kind: str = "", narrow: bool = False) -> str | None:
    """Return the name of the layout that has S compressed by `lines` in the chain's dtype.

    With `narrow` values keep the dtype in which they are stored. None if the operand is that already. Names
    speak of the operand, not of S: "csc" is a copy by columns of what the user handed over,
    "values:float32" a copy of its values alone.
    """
    operand, wanted = spec(problem), storage(problem, lines)
    widened = "" if narrow or operand.dtype == problem.accumulator else f":{problem.accumulator}"
    if kind == "dense":
        return f"dense{widened}"
    if kind:
        return f"{kind}:{wanted}{widened}"
    if operand.format == wanted:
        return f"values{widened}" if widened else None
    return wanted + widened


def conversion(
    problem: Problem, machine: Machine, lines: Lines, kind: str = "", narrow: bool = False
) -> tuple[str | None, float, int]:
    """Return the name of a layout, the seconds that it still costs, and the bytes that it takes.

    A missing layout reads the operand, writes the copy, and pays for the disorder of its writes; with
    a donor only values are written. SELL and tiles of lines that are not stored need those lines first.
    """
    operand, name = spec(problem), layout_name(problem, lines, kind, narrow)
    if name is None:
        return None, 0.0, 0
    nnz = problem.normal.nnz
    itemsize = stored_bytes(operand.dtype) if narrow else problem.itemsize
    if kind == "dense":
        nbytes = problem.normal.m * problem.normal.k * problem.itemsize
    else:
        nbytes = int(nnz * (itemsize + max(operand.index_bytes, 4)))
    if name.startswith("values"):
        nbytes = nnz * problem.itemsize
    if name in operand.layouts:
        return name, 0.0, nbytes
    copy = machine.read(2 * nbytes, 2 * nbytes)
    if name in operand.donors:
        return name, copy + LEAST_SECONDS, nbytes
    per_entry = {"": SORT_SECONDS, "sell": SELL_SECONDS, "tiled": TILE_SECONDS, "dense": DENSE_SECONDS}[kind]
    if name.startswith("values"):
        per_entry = 0.0
    form = problem.normal
    seconds = copy + nnz * per_entry + (form.m + form.k) * LINE_SECONDS + LEAST_SECONDS
    if kind == "sell":
        seconds += form.m * SELL_LINE_SECONDS
    if kind in ("sell", "tiled"):
        seconds += conversion(problem, machine, lines, narrow=narrow)[1]
    return name, seconds, nbytes


def compressed(problem: Problem, array: Any, lines: Lines, narrow: bool = False) -> Compressed:
    """Return the lines of S, from the operand itself or from a layout that is built if missing."""
    base = array.canonical()
    wanted = storage(problem, lines)
    dtype = base.dtype if narrow else np.dtype(problem.accumulator)
    name = layout_name(problem, lines, narrow=narrow)
    if name is None:
        return Compressed(base.indptr, base.indices, base.data)
    cache = array._layouts
    donor = cache.donor(name)
    if base.format == wanted:
        widen = donor.refill if isinstance(donor, Values) else lambda data: Values(data.astype(dtype))
        values: Values = cache.get_or_build(name, lambda: widen(base.data))
        return Compressed(base.indptr, base.indices, values.data)
    refill = donor.refill if isinstance(donor, Compressed) else None
    made: Compressed = cache.get_or_build(
        name, lambda: refill(base.data) if refill else _compress(base, wanted, dtype)
    )
    return made


def built(problem: Problem, array: Any, kind: Literal["sell", "tiled"], narrow: bool = False) -> Built:
    """Return S as the core lays it out, built if missing; with `narrow` values keep their dtype."""
    name = layout_name(problem, "row", kind, narrow)
    assert name is not None
    donor = array._layouts.donor(name)
    build_core: Any = _core.sell_build if kind == "sell" else _core.tiled_build

    def build() -> Built:
        if isinstance(donor, Built):
            return donor.refill(array.canonical().data)
        lines = _decoded(problem, array) if problem.codes else compressed(problem, array, "row", narrow)
        core = build_core(lines.indptr, lines.indices, lines.data, problem.normal.k)
        return Built(core, lines.positions, lines.data.dtype)

    made: Built = array._layouts.get_or_build(name, build)
    return made


def _decoded(problem: Problem, array: Any) -> Compressed:
    """Return the rows of a quantised S in the chain's dtype, without keeping this copy of all values."""
    dtype, wanted = np.dtype(problem.accumulator), storage(problem, "row")
    if array.format != wanted:
        return _compress(array, wanted, dtype)
    return Compressed(array.indptr, array.indices, array.data.astype(dtype, copy=False))


def dense(problem: Problem, array: Any) -> Array:
    """Return the operand itself (not S) with its zeros filled in, built if missing."""
    name = layout_name(problem, "row", "dense")
    assert name is not None
    base = array.canonical()
    donor = array._layouts.donor(name)

    def build() -> Dense:
        if isinstance(donor, Dense):
            return donor.refill(base.data)
        filled = np.zeros(base.shape, dtype=problem.accumulator)
        lines = convert.expand(base.indptr)
        places = (lines, base.indices) if base.format == "csr" else (base.indices, lines)
        filled[places] = base.data
        return Dense(filled, places)

    made: Dense = array._layouts.get_or_build(name, build)
    return made.array


def _compress(base: Any, wanted: str, dtype: np.dtype[Any]) -> Compressed:
    """Compress a canonical array by the lines that it does not store."""
    if base.format == "bsr":
        indptr, indices, places = lines_of(base, wanted)
        positions = Positions(lambda: places)
        data = positions.take(base.data)
    else:
        # What is found again when positions are asked for; it must not keep the owner alive.
        sort, first, second, extent = sorting(base, wanted)
        positions = Positions(lambda: sort(first, second, extent)[2])
        indptr, indices, data = sort(first, second, extent, base.data)
    return Compressed(indptr, indices, data.astype(dtype, copy=False), positions)
