"""`embedding_bag`: rows of a table, picked by bags of ids and summed, averaged or maximised."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import bfloat16, canonical, is_float
from ..errors import DTypeError, ShapeError
from ..rounding import rounded
from ..sparse.quantized import Quantized
from ..sparse.ragged import Ragged
from . import _bags, _tables
from . import _request as request

__all__ = ["embedding_bag"]

Array = npt.NDArray[Any]

_SINGLE = _tables.SINGLE
# What kernels write themselves where the chain is float32; other dtypes are reached by one more pass.
_WRITTEN = frozenset((_SINGLE, np.dtype(np.float16), bfloat16))


def embedding_bag(
    table: Any,
    bags: Any,
    mode: str = "sum",
    weights: Any = None,
    padding_idx: Any = None,
    out_of_range: str = "raise",
    *,
    include_last_offset: bool = False,
    dtype: npt.DTypeLike | None = None,
) -> Array:
    """Join the rows of a table that each bag of ids names, without gathering them.

    Parameters
    ----------
    table : array_like or Quantized, shape (m, n), or list of them
        Rows of float32, float64, float16 or bfloat16; or of int8, uint8, int4, uint4, int2 or uint2 with a
        scale for each row or one for all, as `quantize(..., axis=0)` and `quantize_table` make them. Tables
        are read where they lie, read-only and memory-mapped ones too; only one whose rows are not
        contiguous (Fortran order), aligned or native is copied. A list of tables takes a list of as
        many bags, all with the same number of them, and puts the results side by side.
    bags : Ragged, CSR, (indices, offsets), list of lists, or array_like of int of shape (bags, ids)
        The ids of each bag, int32 or int64 (others are converted). `offsets` are the starts of bags, as in
        PyTorch. The rows of a CSR, of any class, are bags of their column ids, and its entries their
        weights, unless `weights` are given.
    mode : {"sum", "mean", "max"}
        How rows are joined. The mean divides by the number of ids, whatever their weights.
    weights : array_like or Ragged, optional
        One real number for each id (a list of them, or None, for each of several tables): in one row, as
        bags of their own, or beside a matrix of ids in a matrix, as PyTorch's `per_sample_weights`. They are
        rounded to the chain's dtype: float64 for float64 tables, else float32. Not with "max".
    padding_idx : int, optional
        Ids of this row are left out and not counted; -1 is the last row, as in PyTorch. One for all tables,
        or a list.
    out_of_range : {"raise", "zero", "clip"}
        What becomes of an id that is no row: an error; a row of zeros, which counts; the nearest row.
    include_last_offset : bool, optional
        `offsets` have one entry more: where the last bag ends.
    dtype : dtype_like, optional
        Floating dtype of the result: by default that of the table, or float32 where it is quantised; several
        tables that differ give float32.

    Returns
    -------
    numpy.ndarray, shape (bags, n)
        In C order. A bag without ids, or with nothing but padding, gives zeros in each mode.

    Raises
    ------
    IndexError
        If an id is out of range; the message names the bag, the position and the id. Or if `padding_idx` is.
    ShapeError, DTypeError, FormatError
        If tables, bags and weights are malformed, or do not fit together.
    ValueError
        If there is no such mode or treatment of ids out of range.
    UnsupportedError
        If there are weights for "max", or a quantised table is not scaled by rows.

    See Also
    --------
    embedding_bag_grad : the gradient with respect to the table.
    optim : steps of optimisers, in place.

    Notes
    -----
    O(ids n), and one read of each row named. With ``acc = fma(weight, row, acc)`` in the order of the ids,
    the mean divided once, then one rounding: a sum is what `CSR @ table` gives, bit for bit, where the ids
    of each bag ascend and none comes twice (a CSR of them is sorted, and adds up the weights of duplicates,
    before it is multiplied). Rows are dequantised in registers. Every id is compared with the number of rows
    before it is used. Threads split the bags by their ids, and the columns of a bag that is much longer than
    the others; a call with many tables is one job.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> table = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    >>> dg.embedding_bag(table, dg.Ragged([[0, 2], [], [1]]))
    array([[6., 8.],
           [0., 0.],
           [3., 4.]], dtype=float32)
    >>> dg.embedding_bag(table, ([0, 2, 1], [0, 2]), mode="mean")
    array([[3., 4.],
           [3., 4.]], dtype=float32)
    >>> dg.embedding_bag([table, dg.quantize(table, "int8", axis=0)], [[[0], [1]], [[2], [2]]]).shape
    (2, 4)
    >>> dg.embedding_bag(table, [[0], [1, 3]])
    Traceback (most recent call last):
    IndexError: embedding_bag: bag 1 has id 3 at position 1, but the table has 3 rows
    """
    op = "embedding_bag"
    _bags.chosen(op, "mode", mode, _bags.MODES)
    _bags.chosen(op, "out_of_range", out_of_range, _bags.OUT_OF_RANGE)
    plain = weights is None and padding_idx is None and dtype is None
    if plain and type(bags) is Ragged and not isinstance(table, list | tuple):
        return _of_ragged(op, table, bags, mode, out_of_range)
    if _is_list_of_tables(table):
        each = _each(op, table, bags, weights, padding_idx)
        features = [_feature(op, f"[{n}]", mode, include_last_offset, *one) for n, one in enumerate(each)]
    else:
        features = [_feature(op, "", mode, include_last_offset, table, bags, weights, padding_idx)]
    chain, output = _dtypes(op, features, dtype)
    written = output if output == chain or (chain is _SINGLE and output in _WRITTEN) else chain
    result = np.empty(_shape(op, features), written)
    parts = [feature.part for feature in features]
    isa = request.one_kernel_options(op, None, None, None).choice.isa
    outcome = _core.bags(mode, isa, parts, out_of_range, result)
    if not isinstance(outcome, str):
        number, position = outcome
        found, read, at, _ = features[number]
        _bags.refuse_id(op, f"bags{at}: " if at else "", read, position, found.shape[0])
    return result if written == output else rounded(result, output)


def _of_ragged(op: str, table: Any, bags: Ragged, mode: str, out_of_range: str) -> Array:
    """Do what most calls ask for: after a gather has filled the caches, each line of Python costs twice."""
    found = _tables.read(op, "table", table)
    read = _bags.read(op, "bags", bags, False)
    result = np.empty((len(read.segments.offsets) - 1, found.shape[1]), found.output)
    isa = request.one_kernel_options(op, None, None, None).choice.isa
    part = (found.parts, *_bags.core_part(read), -1)
    outcome = _core.bags(mode, isa, [part], out_of_range, result)
    if not isinstance(outcome, str):
        _bags.refuse_id(op, "", read, outcome[1], found.shape[0])
    return result


class _Feature(NamedTuple):
    """One table with its bags: which one of several, as messages say it, and what the core takes."""

    table: _tables.Table
    bags: _bags.Bags
    at: str
    part: tuple[Any, ...]


def _feature(
    op: str, at: str, mode: str, include_last_offset: bool, table: Any, ids: Any, weights: Any, padding: Any
) -> _Feature:
    names = (f"table{at}", f"bags{at}", f"weights{at}") if at else ("table", "bags", "weights")
    found = _tables.read(op, names[0], table)
    read = _bags.read(op, names[1], ids, include_last_offset)
    read = _bags.with_weights(op, names[2], read, weights, found.chain, mode)
    row = _bags.padding_row(op, padding, found.shape[0])
    return _Feature(found, read, at, (found.parts, *_bags.core_part(read), row))


def _shape(op: str, features: list[_Feature]) -> tuple[int, int]:
    """Return the shape of the result: rows of all tables side by side."""
    count, columns = len(features[0].bags.segments), 0
    for feature in features:
        if len(feature.bags.segments) != count:
            raise ShapeError(
                f"{op}: bags{feature.at} has {len(feature.bags.segments)} bags, but bags[0] has {count}"
            )
        columns += feature.table.shape[1]
    return count, columns


def _is_list_of_tables(table: Any) -> bool:
    return isinstance(table, list | tuple) and all(
        isinstance(one, Quantized) or getattr(one, "ndim", 0) == 2 for one in table
    )


def _each(op: str, tables: Any, bags: Any, weights: Any, padding_idx: Any) -> list[tuple[Any, ...]]:
    """Return table, bags, weights and padding of each feature."""
    if not tables:
        raise ShapeError(f"{op}: table is an empty list, expected at least one table")
    columns = [("bags", bags), ("weights", weights), ("padding_idx", padding_idx)]
    spread = []
    for name, values in columns:
        if values is None or (name == "padding_idx" and not isinstance(values, list | tuple)):
            values = [values] * len(tables)
        if not isinstance(values, list | tuple):
            raise ShapeError(f"{op}: {name} is no list, but there are {len(tables)} tables")
        if len(values) != len(tables):
            raise ShapeError(f"{op}: {name} has {len(values)} entries, but there are {len(tables)} tables")
        spread.append(values)
    return list(zip(tables, *spread, strict=True))


def _dtypes(
    op: str, features: list[_Feature], dtype: npt.DTypeLike | None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtypes of the chains and of the result."""
    first = features[0].table
    chain, output, alike = first.chain, first.output, True
    for feature in features:
        found = feature.table
        if found.chain is not chain:
            raise DTypeError(
                f"{op}: table{feature.at} is summed in {found.chain}, but table[0] in {chain}: "
                "float64 tables go with float64 ones only"
            )
        alike = alike and found.output is output
    if dtype is None:
        return chain, output if alike else chain
    output = canonical(dtype, f"{op}: dtype")
    if not is_float(output):
        raise DTypeError(f"{op}: dtype is {output}, expected a real floating dtype")
    return chain, output
