"""What a notebook shows of a quantised matrix: its parts, and how often each value is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import code_bits, code_limits, is_float
from ..markup import bars, card
from .core import in_units
from .thumbnail import thumbnail

if TYPE_CHECKING:
    import numpy.typing as npt

    from .quantized_sparse import QuantizedSparse
    from .quantized_storage import QuantizedStorage

    Array = npt.NDArray[Any]

_SAMPLE = 1 << 16  # values looked at
_BARS = 32


def html(matrix: QuantizedStorage, facts: list[tuple[str, str]]) -> str:
    """Return a card of the facts with a histogram of the stored values."""
    return card("Quantized", _named(facts), _histogram(_sampled(matrix), matrix.dtype) if matrix.size else "")


def sparse_html(matrix: QuantizedSparse, facts: list[tuple[str, str]]) -> str:
    """Return a card of the facts with where the entries lie, and a histogram of their stored values."""
    layouts = [f"{name} ({in_units(layout.nbytes)})" for name, layout in sorted(matrix._layouts.items())]
    rows = [("format", facts[0][1]), *_named(facts[1:])]
    if layouts:
        rows.append(("layouts held", ", ".join(layouts)))
    if not matrix.nnz:
        return card("QuantizedSparse", rows)
    values = matrix.values
    sample = values.ravel()[:: max(1, values.size // _SAMPLE)]
    picture = thumbnail(matrix._with_values(values)) + _histogram(sample, matrix.dtype)
    return card("QuantizedSparse", rows, picture)


def _named(facts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name or "scales", value) for name, value in facts]


def _sampled(matrix: QuantizedStorage) -> Array:
    m, n = matrix.shape
    columns = min(n, _SAMPLE)
    step = max(1, m * columns // _SAMPLE)
    return matrix._codes(slice(0, m, step), slice(0, columns))


def _histogram(sample: Array, dtype: np.dtype[Any]) -> str:
    codes = sample.astype(np.float64)
    codes = codes[np.isfinite(codes)]  # float8 may hold others
    if is_float(dtype):  # its range spans many powers of two: only what is in use is shown
        high = float(np.abs(codes).max(initial=1.0))
        low, end, count = -high, high, _BARS
    else:
        low, high = code_limits(dtype)
        end, count = high + 1, min(_BARS, 1 << code_bits(dtype))
    heights, edges = np.histogram(codes, count, (low, end))
    total = max(len(codes), 1)
    titles = [
        f"{height / total:.2%} from {first:g}" for height, first in zip(heights, edges[:-1], strict=True)
    ]
    caption = f"how often each value is stored, from {low:g} to {high:g}"
    return bars(heights.tolist(), titles, caption, caption)
