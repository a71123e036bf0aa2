"""Gradients of embedding bags and the steps of optimisers, in the order in which they are stated to round."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..fma import fma_unchecked
from ..rounding import rounded
from .bags import embedding_bag
from .lanes import dot
from .operands import Array


def embedding_bag_grad(
    grad: npt.ArrayLike,
    ids: Any,
    offsets: Any,
    num_rows: int,
    lengths: Any = None,
    *,
    mode: str = "sum",
    weights: npt.ArrayLike | None = None,
    padding_idx: int | None = None,
    out_of_range: str = "zero",
) -> tuple[Array, Array]:
    """Return the rows that bags name, ascending, and the gradient of each.

    It is the sum of an embedding bag whose table is `grad`, over the bags that name the row, in ascending
    order of positions: ``acc = fma(weight, grad[bag], acc)`` from +0, where a mean divides ``grad[bag]`` by
    the number of ids in the bag first, and rounds.

    Parameters
    ----------
    grad : array_like, shape (bags, n)
        Gradient of the result, float32 or float64.
    ids, offsets, lengths, mode, weights, padding_idx, out_of_range
        As for `embedding_bag`, "max" apart. What stands for a row of zeros has no gradient.
    num_rows : int
        Rows of the table.

    Returns
    -------
    rows : numpy.ndarray of int64, shape (named,)
    values : numpy.ndarray, shape (named, n)

    Examples
    --------
    >>> rows, values = embedding_bag_grad([[1.0], [10.0]], [4, 2, 4], [0, 2, 3], 5)
    >>> rows.tolist(), values.tolist()
    ([2, 4], [[1.0], [11.0]])
    """
    gradient = np.asarray(grad)
    ids, where = np.asarray(ids, np.int64), np.asarray(offsets, np.int64)
    counts = np.diff(where) if lengths is None else np.asarray(lengths, np.int64)
    bags = np.repeat(np.arange(len(counts)), counts)
    places = np.concatenate([np.arange(a, a + n) for a, n in zip(where, counts, strict=False)]).astype(int)
    picks = np.clip(ids, 0, num_rows - 1) if out_of_range == "clip" else ids
    padding = None if padding_idx is None else padding_idx % num_rows
    real = picks[places] != padding
    if mode == "mean":
        members = np.bincount(bags[real], minlength=len(counts))
        gradient = gradient / np.maximum(members, 1)[:, None].astype(gradient.dtype)
    kept = real & (picks[places] >= 0) & (picks[places] < num_rows)
    places, bags = places[kept], bags[kept]
    order = np.argsort(picks[places], kind="stable")
    rows, first = np.unique(picks[places[order]], return_index=True)
    factors = None if weights is None else np.asarray(weights)[places[order]]
    ends = np.append(first, len(order))
    return rows, embedding_bag(gradient, bags[order], ends, weights=factors)


def sgd(table: npt.ArrayLike, rows: Array, values: Array, lr: float) -> Array:
    """Return the table after ``row = fma(-lr, g, row)`` for each row and its gradient.

    `lr` and a narrow table's rows are in the gradient's dtype; each row is rounded once to the table's.

    Examples
    --------
    >>> sgd(np.ones((2, 1), "f4"), np.array([1]), np.array([[2.0]], "f4"), 0.25).tolist()
    [[1.0], [0.5]]
    """
    return _descended(table, rows, values, values.dtype.type(lr))


def adagrad(
    table: npt.ArrayLike, state: npt.ArrayLike, rows: Array, values: Array, lr: float, eps: float
) -> tuple[Array, Array]:
    """Return table and state after ``s = fma(g, g, s)`` and ``row = fma(-lr, g / (sqrt(s) + eps), row)``.

    Each operation rounds, in the gradient's dtype.

    Examples
    --------
    >>> g = np.array([[2.0]], "f4")
    >>> table, state = np.ones((1, 1), "f4"), np.zeros((1, 1), "f4")
    >>> [x.tolist() for x in adagrad(table, state, np.array([0]), g, 0.5, 0.0)]
    [[[0.5]], [[4.0]]]
    """
    squares = np.array(state)
    with np.errstate(all="ignore"):
        squares[rows] = fma_unchecked(values, values, squares[rows])
        direction = values / (np.sqrt(squares[rows]) + values.dtype.type(eps))
    return _descended(table, rows, direction, values.dtype.type(lr)), squares


def rowwise_adagrad(
    table: npt.ArrayLike, state: npt.ArrayLike, rows: Array, values: Array, lr: float, eps: float
) -> tuple[Array, Array]:
    """Return table and state after ``s += dot(g, g) / n`` and ``row = fma(-(lr / (sqrt(s) + eps)), g, row)``.

    One number of state for each row of n elements; `dot` is in its stated order. Each operation rounds, in
    the gradient's dtype.

    Examples
    --------
    >>> g = np.array([[2.0, 0.0]], "f4")
    >>> rowwise_adagrad(np.ones((1, 2), "f4"), np.zeros(1, "f4"), np.array([0]), g, 1.0, 0.0)[1].tolist()
    [2.0]
    """
    real = values.dtype.type
    squares = np.array(state)
    with np.errstate(all="ignore"):
        sums = np.array([dot(one, one) for one in values], values.dtype)
        squares[rows] = squares[rows] + sums / real(values.shape[1])
        factors = real(lr) / (np.sqrt(squares[rows]) + real(eps))
    return _descended(table, rows, values, factors[:, None]), squares


def _descended(table: npt.ArrayLike, rows: Array, direction: Array, factor: Any) -> Array:
    result = np.array(table)
    with np.errstate(all="ignore"):
        down = np.broadcast_to(-factor, direction.shape).astype(direction.dtype)
        stepped = fma_unchecked(down, direction, result[rows].astype(direction.dtype))
    result[rows] = rounded(stepped, result.dtype)
    return result
