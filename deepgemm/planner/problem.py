"""What the planner may know of one product: operands, dtypes, structure, reuse, account and limits."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from ..config import KernelChoice
from .structure import Structure

__all__ = ["NormalForm", "OperandSpec", "Problem", "Scaling", "Side", "dtype_name"]

Side = Literal["left", "right"]

ANY_KERNEL = KernelChoice()
"""The choice that leaves everything to the planner."""

_dtype_names: dict[np.dtype[Any], str] = {}


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return `dtype.name`, which NumPy computes anew (1 µs) each time."""
    name = _dtype_names.get(dtype)
    if name is None:
        name = _dtype_names[dtype] = dtype.name
    return name


class Scaling(NamedTuple):
    """How the values of a quantised operand are scaled.

    Attributes
    ----------
    block : tuple of int
        Rows and columns that share a scale.
    dtype : str
        Of the scales.
    zero_points, offsets : bool
        Whether there are any.
    """

    block: tuple[int, int]
    dtype: str
    zero_points: bool
    offsets: bool


@dataclass(frozen=True)
class OperandSpec:
    """One operand as the planner sees it.

    Attributes
    ----------
    format : str
        "dense", "csr", "csc", "coo", "bsr" or "quantized".
    shape : tuple of int
        One or two extents; a vector stays one-dimensional.
    dtype : str
        Name of the storage dtype.
    structure : Structure
        What was measured of it.
    index_bytes : int
        Bytes of one index; 0 for a dense operand.
    order : str
        Memory order of a dense operand: "C", "F" or "strided".
    layouts : tuple of str
        Layouts that it owns already: they cost nothing.
    donors : tuple of str
        Layouts of an array with the same structure, which only need new values.
    blocksize : tuple of int or None
        Rows and columns of the blocks of a BSR operand.
    scaling : Scaling or None
        Of a quantised operand, which is sparse or of the format "quantized".
    """

    format: str
    shape: tuple[int, ...]
    dtype: str
    structure: Structure
    index_bytes: int = 0
    order: str = "C"
    layouts: tuple[str, ...] = ()
    donors: tuple[str, ...] = ()
    blocksize: tuple[int, int] | None = None
    scaling: Scaling | None = None

    @property
    def sparse(self) -> bool:
        """Whether zeros of this operand are structural."""
        return self.format not in ("dense", "quantized")

    @property
    def whole(self) -> bool:
        """Whether this operand is quantised to whole numbers, so that sums of products are exact."""
        return self.scaling is not None and not self.scaling.offsets and "int" in self.dtype


class NormalForm(NamedTuple):
    """A product with one sparse operand, seen as Y = S X with S sparse.

    A sparse operand on the right is the transposed problem: Yᵀ = Bᵀ Xᵀ.

    Attributes
    ----------
    side : str
        Where the sparse operand stands in what the caller wrote.
    m, k, n : int
        S is m × k, X is k × n.
    stored : str
        Which lines of S are compressed as stored: "row", "col", or "" if a copy is needed to tell.
    nnz : int
        Entries of S.
    longest : int
        Entries of the longest row of S; estimated where only columns were measured.
    """

    side: Side
    m: int
    k: int
    n: int
    stored: str
    nnz: int
    longest: int


@dataclass(frozen=True)
class Problem:
    """Everything that a decision depends on, besides the machine.

    Attributes
    ----------
    left, right : OperandSpec
        The operands in the order of the product.
    accumulator, output : str
        Names of the dtypes of the chain and of the result.
    fixed : str
        The operand that is kept: "left" or "right".
    reuse : int or None
        How many more times the caller says that it will multiply by the fixed operand; None if it
        did not say, and the account decides.
    threads : int
        How many threads may be used.
    reproducible : bool
        Whether the stated order of rounding is demanded.
    choice : KernelChoice
        What is forced.
    spent : tuple of (str, float)
        The account: for layouts of the fixed operand, the seconds lost so far by not having them.
    measured : tuple of (str, float)
        For kernels that have run this problem often enough, their fastest time in seconds.
    layout_limit : int
        Bytes that all layouts of the process may take together.
    op : str
        Name of the operation.
    stack : tuple of int
        The whole shape of the operand that comes anew, if it has axes before the last two. Its
        specification then is that of one matrix, or, where `folded`, of all of them side by side.
    epilogue : str
        What is done to each element before it is stored, in words; empty for nothing.
    mask : OperandSpec or None
        The entries at which the product is wanted, if not everywhere.
    kept_stack : tuple of int
        The whole shape of the operand that is kept, if it is a stack of matrices too, or a vector beside a
        stack. Both specifications then are those of one matrix.
    """

    left: OperandSpec
    right: OperandSpec
    accumulator: str
    output: str
    fixed: Side
    reuse: int | None = None
    threads: int = 1
    reproducible: bool = True
    choice: KernelChoice = ANY_KERNEL
    spent: tuple[tuple[str, float], ...] = ()
    measured: tuple[tuple[str, float], ...] = ()
    layout_limit: int = 2**63 - 1
    op: str = "matmul"
    stack: tuple[int, ...] = ()
    epilogue: str = ""
    mask: OperandSpec | None = None
    kept_stack: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # Derived values are looked up dozens of times for each plan, so they are computed once, beside
        # the fields: they take no part in equality, hashing or JSON.
        left, right = self.left, self.right
        sides: tuple[Side, ...] = ()
        quantized: tuple[Side, ...] = ()
        named: tuple[tuple[Side, OperandSpec], ...] = (("left", left), ("right", right))
        for side, spec in named:
            if spec.format == "quantized":
                quantized = (*quantized, side)
            elif spec.format != "dense":
                sides = (*sides, side)
        m, k = left.shape if len(left.shape) == 2 else (1, *left.shape)
        extents = m, k, right.shape[1] if len(right.shape) == 2 else 1
        fixed, other = (left, right) if self.fixed == "left" else (right, left)
        casts: tuple[str, ...] = () if other.dtype == self.accumulator else ("other",)
        if self.output != self.accumulator:
            casts = (*casts, "output")
        self.__dict__.update(
            sparse_sides=sides,
            quantized_sides=quantized,
            extents=extents,
            normal=_normal(self, sides[0], extents) if len(sides) == 1 else None,
            fixed_spec=fixed,
            other_spec=other,
            itemsize=np.dtype(self.accumulator).itemsize,
            output_shape=_output_shape(self),
            members=_members(self, other.shape),
            casts=casts,
            codes=any(spec.sparse and spec.scaling is not None for spec in (left, right)),
            _timeless=replace(self, spent=(), measured=()) if self.spent or self.measured else None,
        )

    if TYPE_CHECKING:
        sparse_sides: ClassVar[tuple[Side, ...]]
        """The sides on which a sparse operand stands."""
        quantized_sides: ClassVar[tuple[Side, ...]]
        """The sides on which a quantised operand stands."""
        extents: ClassVar[tuple[int, int, int]]
        """Rows, inner length and columns of the product; a missing extent counts as one."""
        normal: ClassVar[NormalForm]
        """The product as Y = S X; None unless exactly one operand is sparse."""
        fixed_spec: ClassVar[OperandSpec]
        """The operand that is kept."""
        other_spec: ClassVar[OperandSpec]
        """The operand that comes anew with each call."""
        itemsize: ClassVar[int]
        """Bytes of one element in the dtype of the chain."""
        output_shape: ClassVar[tuple[int, ...]]
        """Shape of the result; vectors lose their extent, leading axes stay."""
        members: ClassVar[int]
        """How many products of this kind one call consists of: the size of a stack that is not folded."""
        casts: ClassVar[tuple[str, ...]]
        """Which parts of a call change dtype: "other" and "output"."""
        codes: ClassVar[bool]
        """Whether a sparse operand is quantised."""
        _timeless: ClassVar[Problem | None]

    @property
    def folded(self) -> bool:
        """Whether the matrices of a stack are multiplied side by side, as one."""
        return bool(self.stack) and not self.kept_stack and self.other_spec.shape != self.stack[-2:]

    @property
    def timeless(self) -> Problem:
        """The problem with an empty account: all that predictions depend on."""
        return self._timeless or self

    def at(self, spent: tuple[tuple[str, float], ...], measured: tuple[tuple[str, float], ...]) -> Problem:
        """Return the problem at another state of its account; `replace` would derive everything anew."""
        later = copy(self)
        later.__dict__.update(spent=spent, measured=measured)
        later.__dict__["_timeless"] = self.timeless if spent or measured else None
        return later

    def spent_on(self, layout: str) -> float:
        """Seconds lost so far for want of `layout`."""
        return sum(seconds for name, seconds in self.spent if name == layout)

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Problem:
        """Rebuild a problem from what `to_dict` or JSON made of it."""
        values = dict(values)
        for side in ("left", "right", "mask"):
            if values.get(side) is None:
                continue
            spec = dict(values[side])
            spec["structure"] = Structure.from_dict(spec["structure"])
            for name in ("shape", "layouts", "donors"):
                spec[name] = tuple(spec[name])
            if spec["blocksize"] is not None:
                spec["blocksize"] = tuple(spec["blocksize"])
            if spec.get("scaling") is not None:
                block, *rest = spec["scaling"]
                spec["scaling"] = Scaling(tuple(block), *rest)
            values[side] = OperandSpec(**spec)
        values["choice"] = KernelChoice(**values["choice"])
        for name in ("spent", "measured"):
            values[name] = tuple((key, seconds) for key, seconds in values[name])
        for name in ("stack", "kept_stack"):
            values[name] = tuple(values[name])
        return cls(**values)


def _members(problem: Problem, other_shape: tuple[int, ...]) -> int:
    stack, kept = problem.stack, problem.kept_stack
    if kept:
        return math.prod(np.broadcast_shapes(kept[:-2], stack[:-2]))
    return math.prod(stack[:-2]) if stack and other_shape == stack[-2:] else 1


def _output_shape(problem: Problem) -> tuple[int, ...]:
    left, right, stack = problem.left, problem.right, problem.stack
    if problem.kept_stack:
        sides = problem.kept_stack, stack
        a, b = sides if problem.fixed == "left" else sides[::-1]
        return (*np.broadcast_shapes(a[:-2], b[:-2]), *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))
    if not stack:
        return (*left.shape[:-1], *right.shape[1:])
    if problem.fixed == "left":
        return (*stack[:-2], left.shape[0], stack[-1])
    return (*stack[:-1], right.shape[1])


def _normal(problem: Problem, side: Side, extents: tuple[int, int, int]) -> NormalForm:
    spec = problem.left if side == "left" else problem.right
    m, k, n = extents
    if side == "right":
        m, n = n, m
    stored = ""
    if spec.format == "csr":
        stored = "row" if side == "left" else "col"
    elif spec.format == "csc":
        stored = "col" if side == "left" else "row"
    nnz = spec.structure.nnz
    longest = spec.structure.max_row if stored == "row" else min(k, -(-nnz // max(m, 1)))
    return NormalForm(side, m, k, n, stored, nnz, longest)
