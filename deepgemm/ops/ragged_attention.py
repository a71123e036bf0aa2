"""`ragged_attention`: softmax attention within the segments of ragged arrays, without padding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import accumulator
from ..errors import DTypeError, FormatError, ShapeError
from ..sparse.ragged import Ragged
from . import _request as request

__all__ = ["ragged_attention"]

Array = npt.NDArray[Any]
OP = "ragged_attention"
_STORED = ("float32", "float64", "float16", "bfloat16")
_UNLIMITED = 2**61  # more positions than any segment has, and sums of it with positions do not overflow


def ragged_attention(
    q: Ragged,
    k: Ragged,
    v: Ragged,
    causal: bool = False,
    scale: float | None = None,
    window: int | tuple[int | None, int | None] | None = None,
    *,
    threads: int | None = None,
    kernel: str | None = None,
) -> Ragged:
    """Return ``softmax(scale * q @ k.T) @ v`` within each segment, for each head.

    Parameters
    ----------
    q : Ragged, rows of shape (heads, d) or (d,)
        Queries, of float32, float64, float16 or bfloat16.
    k, v : Ragged, rows of shape (key heads, d) and (key heads, d_v), or (d,) and (d_v,)
        Keys and values, as many in each segment of `k` as of `v`, and of the dtype of `q`. There are a
        multiple of the key heads of query heads, so that each serves a group of neighbours (grouped-query and
        multi-query attention). A segment may have other numbers of queries than of keys.
    causal : bool
        Whether a query sees no key behind its own position. Positions count from the end: the last query of a
        segment stands at its last key, so queries of new tokens meet the keys of all.
    scale : float, optional
        What scores are multiplied by; ``1 / sqrt(d)`` by default.
    window : int or (int or None, int or None), optional
        How many keys before and after its own position a query sees (sliding-window attention); one number
        stands for both, None for no limit.
    threads : int, optional
        Use at most so many threads.
    kernel : str, optional
        Force an ISA ("avx2").

    Returns
    -------
    Ragged, rows of shape (heads, d_v) or (d_v,)
        The segments of `q`, without gaps; of its dtype. A query that sees no key gets 0.

    Raises
    ------
    ShapeError
        If numbers of segments, keys, heads or elements do not fit; the message names the segment.
    DTypeError
        If the dtypes differ or are no such floats.
    FormatError, ValueError
        If an operand is no Ragged, or an option makes no sense.

    Notes
    -----
    O(queries keys (d + d_v)) for each segment and head; keys that no query of a register tile sees cost
    nothing. Memory beside the result is linear in the longest segment, for each thread. All is computed in
    float32 (float64 for float64) in the order that `deepgemm.reference.ragged_attention` states, so results
    depend neither on ISA and threads nor on what else is in the batch. As in FlashAttention [1]_ scores are
    never all in memory, but those of a few queries are, so that each is computed once.

    References
    ----------
    .. [1] T. Dao et al., "FlashAttention: fast and memory-efficient exact attention with IO-awareness",
       NeurIPS (2022).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> q = dg.Ragged(np.zeros((3, 4)), [0, 1, 3])
    >>> v = dg.Ragged([[[5.0]], [[1.0], [3.0]]])
    >>> dg.ragged_attention(q, q, v, causal=True).to_list()
    [[[5.0]], [[1.0], [2.0]]]
    """
    wanted = request.one_kernel_options(OP, None, threads, kernel)
    for name, operand in (("q", q), ("k", k), ("v", v)):
        if not isinstance(operand, Ragged):
            raise FormatError(f"{OP}: {name} is a {type(operand).__name__}, expected a Ragged")
        operand._check_fresh()
    _check_dtypes(q, k, v)
    _check_shapes(q, k, v)
    before, after = _window(window)
    chain = accumulator(q.dtype, q.dtype)
    factor = _scale(scale, q.row_shape[-1], chain)
    segments = q._segments.packed()
    shape = (segments.total, *q.row_shape[:-1], v.row_shape[-1])
    out = np.empty((shape[0], q.row_shape[0] if q.ndim == 4 else 1, shape[-1]), q.dtype)
    offsets = segments.offsets.astype(np.int64, copy=False)
    if out.size:
        _core.attention(
            wanted.choice.isa,
            _rows(q),
            _rows(k),
            _rows(v),
            out,
            offsets,
            factor,
            before,
            0 if causal else after,
            request.thread_count(wanted),
        )
    return Ragged._trusted(out.reshape(shape), segments)


def _rows(operand: Ragged) -> tuple[Array, Array, Array | None]:
    values = operand.values
    if values.ndim == 2:
        values = values[:, None, :]
    return values, operand.offsets, operand.lengths if operand.has_gaps else None


def _check_dtypes(q: Ragged, k: Ragged, v: Ragged) -> None:
    if str(q.dtype) not in _STORED:
        raise DTypeError(f"{OP}: q has dtype {q.dtype}, expected one of: {', '.join(_STORED)}")
    for name, operand in (("k", k), ("v", v)):
        if operand.dtype != q.dtype:
            raise DTypeError(f"{OP}: {name} has dtype {operand.dtype}, but q has {q.dtype}")


def _check_shapes(q: Ragged, k: Ragged, v: Ragged) -> None:
    for name, operand in (("q", q), ("k", k), ("v", v)):
        if len(operand.row_shape) not in (1, 2) or 0 in operand.row_shape[:-1]:
            raise ShapeError(
                f"{OP}: {name} has rows of shape {operand.row_shape}, expected (heads, d) or (d,)"
            )
        if len(operand.row_shape) != len(q.row_shape):
            raise ShapeError(f"{OP}: q has rows of shape {q.row_shape}, but {name} has {operand.row_shape}")
        if len(operand) != len(q):
            raise ShapeError(f"{OP}: q has {len(q)} segments, but {name} has {len(operand)}")
    if k.row_shape[-1] != q.row_shape[-1]:
        raise ShapeError(f"{OP}: q has heads of {q.row_shape[-1]} elements, but k has {k.row_shape[-1]}")
    if k.row_shape[:-1] != v.row_shape[:-1]:
        raise ShapeError(f"{OP}: k has {k.row_shape[0]} heads, but v has {v.row_shape[0]}")
    if q.ndim == 4 and q.row_shape[0] % k.row_shape[0]:
        raise ShapeError(
            f"{OP}: q has {q.row_shape[0]} heads, which is no multiple of the {k.row_shape[0]} heads of k"
        )
    if not k._segments.same_lengths(v._segments):
        at = int((k.lengths != v.lengths).argmax())
        raise ShapeError(f"{OP}: segment {at} has {k.lengths[at]} keys but {v.lengths[at]} values")


def _window(window: Any) -> tuple[int, int]:
    """Return how many keys before and after its position a query sees."""
    sides = (window, window) if not isinstance(window, tuple | list) else tuple(window)
    if len(sides) != 2:
        raise FormatError(f"{OP}: window has {len(sides)} entries, expected 2: before and after")
    before, after = (
        _UNLIMITED if side is None else min(request.positive(OP, "window", side, 0), _UNLIMITED)
        for side in sides
    )
    return before, after


def _scale(scale: float | None, width: int, chain: np.dtype[Any]) -> float:
    """Return the factor of the scores, rounded to the dtype in which they are computed."""
    if scale is None:
        return float(chain.type(1 / math.sqrt(max(width, 1))))
    try:
        factor = float(scale)
    except (TypeError, ValueError):
        raise FormatError(f"{OP}: scale is {scale!r}, expected a number") from None
    if not math.isfinite(factor):
        raise FormatError(f"{OP}: scale is {scale!r}, expected a finite number")
    with np.errstate(over="ignore"):
        return float(chain.type(factor))
