"""Bags of ids in the forms in which they come: ragged, compressed rows, indices with offsets, lists."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import is_float
from ..errors import DTypeError, FormatError, ShapeError, UnsupportedError
from ..rounding import rounded
from ..sparse.csr import CSR
from ..sparse.ragged import Ragged
from ..sparse.ragged.dialects import segments_from
from ..sparse.ragged.segments import Segments
from ..sparse.validate import index_array, plain_array
from . import _request as request

Array = npt.NDArray[Any]

MODES = ("sum", "mean", "max")
OUT_OF_RANGE = ("raise", "zero", "clip")
_IDS = frozenset((np.dtype(np.int32), np.dtype(np.int64)))


class Bags(NamedTuple):
    """Bag i is the ids of segment i; `weights` has one number for each id, or is None for ones."""

    ids: Array
    segments: Segments
    weights: Any = None

    def bag_of(self, position: int) -> tuple[int, int]:
        """Return the bag of a position among the ids, and the position within it."""
        bag = int(np.searchsorted(self.segments.offsets, position, side="right")) - 1
        return bag, position - int(self.segments.offsets[bag])


def chosen(op: str, name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return one of the choices, or refuse what is none."""
    if isinstance(value, str) and value in choices:
        return value
    raise ValueError(f"{op}: {name} is {value!r}, expected one of: {', '.join(choices)}")


def read(op: str, name: str, bags: Any, include_last_offset: bool) -> Bags:
    """Return bags of any form, sharing memory where ids and offsets are int32 or int64.

    Raises
    ------
    DTypeError, FormatError, ShapeError
        If they are no bags of ids; the message names the bag as a segment.
    """
    if isinstance(bags, Ragged):
        bags._check_fresh()
        return Bags(_ids_of(op, name, bags), bags._segments)
    owner = f"{op}: {name}"
    if isinstance(bags, tuple):
        return _from_indices(owner, bags, include_last_offset)
    if isinstance(bags, list):
        ragged = Ragged(bags)
        return Bags(_ids_of(op, name, ragged), ragged._segments)
    if hasattr(bags, "tocsr"):
        rows = request.sparse_operand(op, name, bags)
        rows = rows if isinstance(rows, CSR) else rows.tocsr()
        rows._check_fresh()
        return Bags(rows.indices, Segments(rows.indptr), rows.data)
    array = plain_array(op, name, bags)
    if array.ndim != 2:
        raise FormatError(
            f"{owner} has {array.ndim} dimensions, expected a Ragged, a CSR, (indices, offsets), "
            "a list of lists, or a matrix of ids"
        )
    ids = index_array(op, name, array.reshape(-1), False)
    return Bags(ids, Segments(np.arange(len(array) + 1, dtype=np.int64) * array.shape[1]))


def _ids_of(op: str, name: str, ragged: Ragged) -> Array:
    """Return the ids of ragged bags, as int32 or int64."""
    ids = ragged.values
    if ids.dtype in _IDS and ids.ndim == 1:
        return ids
    owner = f"{op}: {name}"
    if ragged.row_shape:
        raise ShapeError(f"{owner} have rows of shape {ragged.row_shape}, expected one id in each")
    return index_array(owner, "ids", ids, False)


def _from_indices(owner: str, parts: tuple[Any, ...], include_last_offset: bool) -> Bags:
    if len(parts) != 2:
        raise FormatError(f"{owner} is a tuple of {len(parts)}, expected (indices, offsets)")
    ids = index_array(owner, "indices", parts[0], False)
    offsets, starts = (parts[1], None) if include_last_offset else (None, parts[1])
    return Bags(ids, segments_from(owner, len(ids), offsets, None, None, starts, False))


def with_weights(op: str, name: str, bags: Bags, weights: Any, chain: np.dtype[Any], mode: str) -> Bags:
    """Return bags with weights in the chain's dtype: those given, else those that came with the bags.

    Raises
    ------
    DTypeError, ShapeError, UnsupportedError
        If the weights are no real numbers, do not match the ids, or the mode has none.
    """
    if weights is None and bags.weights is None:
        return bags
    if weights is None:
        given = bags.weights
    elif isinstance(weights, Ragged) or _is_list_of_bags(weights):
        bags, given = _matched(op, name, bags, Ragged(weights))
    else:
        given = _flat(bags, plain_array(op, name, weights))
    if not (given.dtype.kind in "iub" or is_float(given.dtype)):
        raise DTypeError(f"{op}: {name} has dtype {given.dtype}, expected real numbers")
    if given.shape != bags.ids.shape:
        raise ShapeError(f"{op}: {name} has shape {given.shape}, expected {bags.ids.shape}: one for each id")
    if mode == "max":
        if weights is None and bool((given == 1).all()):
            return bags._replace(weights=None)
        raise UnsupportedError(f"{op}: {name} are given, but mode 'max' takes rows as they are")
    made = given if given.dtype == chain else rounded(given, chain)
    return bags._replace(weights=np.ascontiguousarray(made))


def _is_list_of_bags(weights: Any) -> bool:
    """Whether there is a list for each bag, rather than a number for each id."""
    return isinstance(weights, list) and bool(weights) and hasattr(weights[0], "__len__")


def _flat(bags: Bags, weights: Array) -> Array:
    """Return weights one after the other, if they are a matrix with a row for each bag that fits it."""
    if weights.ndim != 2 or len(weights) != len(bags.segments):
        return weights
    return weights.reshape(-1) if bool((bags.segments.lengths == weights.shape[1]).all()) else weights


def _matched(op: str, name: str, bags: Bags, weights: Ragged) -> tuple[Bags, Array]:
    """Return ids and weights at the same positions."""
    weights._check_fresh()
    if len(weights) != len(bags.segments):
        raise ShapeError(f"{op}: {name} has {len(weights)} bags, expected {len(bags.segments)}")
    differ = np.flatnonzero(weights.lengths != bags.segments.lengths)
    if len(differ):
        at = int(differ[0])
        raise ShapeError(
            f"{op}: bag {at} has {bags.segments.lengths[at]} ids, but {weights.lengths[at]} of the {name}"
        )
    if not (weights.has_gaps or bags.segments.has_gaps):
        return bags, weights.values
    packed = Bags(bags.ids[bags.segments.rows()], bags.segments.packed(), bags.weights)
    return packed, weights.packed().values


def core_part(bags: Bags) -> tuple[Array, Array, Array | None, Any]:
    """Return ids, offsets, lengths and weights as the core takes them."""
    segments = bags.segments
    return bags.ids, segments.offsets, segments.lengths if segments.has_gaps else None, bags.weights


def padding_row(op: str, padding_idx: Any, rows: int) -> int:
    """Return the row that `padding_idx` means, -1 for none."""
    if padding_idx is None:
        return -1
    try:
        row = int(padding_idx.__index__())
    except AttributeError:
        raise DTypeError(f"{op}: padding_idx is {padding_idx!r}, expected an integer or None") from None
    if not -rows <= row < rows:
        raise IndexError(f"{op}: padding_idx is {row}, but the table has {rows} rows")
    return row % rows


def refuse_id(op: str, where: str, bags: Bags, position: int, rows: int) -> None:
    """Raise for the id at a position, which is no row of the table."""
    bag, place = bags.bag_of(position)
    raise IndexError(
        f"{op}: {where}bag {bag} has id {int(bags.ids[position])} at position {place}, "
        f"but the table has {rows} rows"
    )
