"""Products of sparse matrices that share one structure and have values of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core
from ..errors import DTypeError, FormatError, ShapeError, UnsupportedError
from ..rounding import rounded
from ..sparse.base import SparseArray
from ..sparse.core import Factor
from ..sparse.layouts import STRUCTURE
from ..sparse.resort import lines_of
from . import _request as request

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["weighted"]


class Structure(NamedTuple):
    """Lines of entries without values; a layout, which arrays with the same structure share."""

    indptr: Array
    indices: Array
    positions: Array

    @property
    def nbytes(self) -> int:
        """Memory of the copy, in bytes."""
        return sum(part.nbytes for part in self)

    def refill(self, values: Array) -> Structure:
        """Return the structure itself: there are no values in it."""
        return self


class _Request(NamedTuple):
    """A checked product: the array, its sets of values, the dense stack, and what is to come out."""

    op: str
    array: SparseArray
    sets: Array
    dense: Array
    on_left: bool
    batch: tuple[int, ...]
    chain: np.dtype[Any]
    output: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        rows, columns = self.array.shape
        if self.on_left:
            return (*self.batch, rows, self.dense.shape[-1])
        return (*self.batch, self.dense.shape[-2], columns)


def weighted(
    op: str,
    left: Any,
    right: Any,
    values: Any,
    out: Any,
    wanted: request.Options,
    multiply: Callable[[Any, Any], Any],
) -> Any:
    """Multiply with each set of `values` in the place of the sparse operand's own.

    Parameters
    ----------
    op : str
        Name of the operation, for messages.
    left, right : SparseArray or numpy.ndarray
        One of each, of which the dense one may be a vector or a stack.
    values : array_like
        Stack of entries: leading axes, then those of the sparse operand's `data`.
    out : numpy.ndarray or None
        Where the result goes.
    wanted : Options
    multiply : callable
        The product of one sparse array, for dtypes without native kernels.
    """
    on_left = isinstance(left, SparseArray)
    if on_left == isinstance(right, SparseArray):
        raise FormatError(f"{op}: values= replaces the entries of one sparse operand beside a dense one")
    array, dense = (left, right) if on_left else (right, left)
    array._check_fresh()
    sets = _sets(op, array, values)
    request.check_shapes(op, *_members(array, dense, on_left))
    vector = dense.ndim == 1
    if vector:
        dense = dense[:, None] if on_left else dense[None, :]
    left_dtype, right_dtype = (sets.dtype, dense.dtype) if on_left else (dense.dtype, sets.dtype)
    inner = array.shape[1 if on_left else 0]
    chain, output = request.output_dtype(op, left_dtype, right_dtype, inner, wanted.dtype)
    asked = _Request(op, array, sets, dense, on_left, _batch(op, array, sets, dense), chain, output)
    squeezed = (-1 if on_left else -2) if vector else None
    target = _target(asked, out, squeezed)
    native_chain = chain.char in "fdFD"
    if native_chain and (wanted.choice.algorithm is not None or wanted.choice.arithmetic is not None):
        raise UnsupportedError(
            f"{op}: {wanted.choice.argument} cannot be obeyed with values=, which has one kernel for "
            "vectors and one for matrices"
        )
    if native_chain:
        result = np.empty(asked.shape, chain) if target is None or chain != output else target
        if not _has_element_strides(result):
            result = np.empty(asked.shape, chain)
        _run(asked, result, wanted)
        result = rounded(result, output)
    else:
        result = _one_by_one(asked, multiply)
    if target is None:
        return result if squeezed is None else result.squeeze(squeezed)
    if result is not target:
        np.copyto(target, result)
    return out


def _sets(op: str, array: SparseArray, values: Any) -> Array:
    sets: Any = request.operand(op, "values", values, stacks=True)
    own = array.data.shape
    if isinstance(sets, Factor) or sets.shape[max(sets.ndim - len(own), 0) :] != own:
        expected = ", ".join(map(str, ("...", *own)))
        raise FormatError(
            f"{op}: values has shape {sets.shape}, expected ({expected}): a value for each stored entry"
        )
    return np.asarray(sets)


def _members(array: SparseArray, dense: Array, on_left: bool) -> tuple[Any, Any]:
    """Return the operands with one matrix in place of a stack, for checks of their shapes."""
    member = dense if dense.ndim <= 2 else np.broadcast_to(np.zeros((), dense.dtype), dense.shape[-2:])
    return (array, member) if on_left else (member, array)


def _batch(op: str, array: SparseArray, sets: Array, dense: Array) -> tuple[int, ...]:
    ours, theirs = sets.shape[: sets.ndim - array.data.ndim], dense.shape[:-2]
    try:
        return np.broadcast_shapes(ours, theirs)
    except ValueError:
        raise ShapeError(
            f"{op}: values has leading axes {ours} and the dense operand {theirs}, which do not broadcast"
        ) from None


def _target(asked: _Request, out: Any, squeezed: int | None) -> Array | None:
    """Return `out` with all axes of the product, checked; None without it."""
    if out is None:
        return None
    op = asked.op
    if not isinstance(out, np.ndarray):
        raise DTypeError(f"{op}: out must be a numpy.ndarray, got {type(out).__name__}")
    shape = asked.shape
    if squeezed is not None:
        shape = shape[:-1] if squeezed == -1 else (*shape[:-2], shape[-1])
    if out.shape != shape:
        raise ShapeError(f"{op}: out has shape {out.shape}, expected {shape}")
    if out.dtype != asked.output:
        raise DTypeError(f"{op}: out has dtype {out.dtype}, expected {asked.output}")
    if not out.flags.writeable:
        raise FormatError(f"{op}: out is read-only")
    if out.size and any(s == 0 and n > 1 for s, n in zip(out.strides, out.shape, strict=True)):
        raise FormatError(f"{op}: out has elements that share memory (stride 0)")
    for other in (asked.sets, asked.dense, *asked.array._arrays):
        if np.may_share_memory(out, other):
            raise FormatError(f"{op}: out shares memory with an operand; pass a separate array")
    return out if squeezed is None else np.expand_dims(out, squeezed)


def _run(asked: _Request, result: Array, wanted: request.Options) -> None:
    """Write the products in the dtype of the chain."""
    array = asked.array
    base, sets = array.canonical(), asked.sets
    lead = sets.shape[: sets.ndim - array.data.ndim]
    if base is not array:
        merged = [array._merge.apply(asked.op, one) for one in sets.reshape(-1, *array.data.shape)]
        sets = np.stack(merged).reshape(*lead, *base.data.shape) if merged else np.empty((*lead, base.nnz))
    sets = np.ascontiguousarray(sets, dtype=asked.chain).reshape(*lead, 1, base.nnz)
    dense = asked.dense.astype(asked.chain, copy=False)
    if not _has_element_strides(dense):
        dense = dense.copy()
    indptr, indices, positions = _lines(array, base, "csr" if asked.on_left else "csc")
    _core.csr_values(
        wanted.choice.isa,
        indptr,
        indices,
        positions,
        np.broadcast_to(sets, (*asked.batch, *sets.shape[-2:])),
        np.broadcast_to(dense, (*asked.batch, *dense.shape[-2:])),
        result,
        array.shape[1 if asked.on_left else 0],
        asked.on_left,
        request.thread_count(wanted),
    )


def _lines(array: SparseArray, base: Any, wanted: str) -> tuple[Array, Array, Array | None]:
    """Return the rows (or columns) of the canonical array and where their values come from."""
    if base.format == wanted:
        return base.indptr, base.indices, None
    cache = array._layouts
    name = f"{STRUCTURE}{wanted}"
    donor = cache.donor(name)
    made: Structure = cache.get_or_build(
        name, lambda: donor if isinstance(donor, Structure) else Structure(*lines_of(base, wanted))
    )
    return made


def _one_by_one(asked: _Request, multiply: Callable[[Any, Any], Any]) -> Array:
    """Return the products of dtypes that only SciPy multiplies."""
    sets = np.broadcast_to(asked.sets, (*asked.batch, *asked.array.data.shape))
    dense = np.broadcast_to(asked.dense, (*asked.batch, *asked.dense.shape[-2:]))
    result = np.empty(asked.shape, asked.output)
    for place in np.ndindex(*asked.batch):
        one, member = asked.array.with_data(sets[place]), dense[place]
        result[place] = multiply(one, member) if asked.on_left else multiply(member, one)
    return result


def _has_element_strides(array: Array) -> bool:
    return array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides)
