"""What a notebook shows of a quantised matrix: its parts, and how often each value is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..dtypes import code_bits, code_limits, is_float
from ..markup import bars, card

if TYPE_CHECKING:
    from .quantized_storage import QuantizedStorage

_SAMPLE = 1 << 16  # values looked at
_BARS = 32


def html(matrix: QuantizedStorage, facts: list[tuple[str, str]]) -> str:
    """Return a card of the facts with a histogram of the stored values."""
    rows = [(name or "scales", value) for name, value in facts]
    return card("Quantized", rows, _histogram(matrix) if matrix.size else "")


def _histogram(matrix: QuantizedStorage) -> str:
    m, n = matrix.shape
    columns = min(n, _SAMPLE)
    step = max(1, m * columns // _SAMPLE)
    codes = matrix._codes(slice(0, m, step), slice(0, columns)).astype(np.float64)
    codes = codes[np.isfinite(codes)]  # float8 may hold others
    if is_float(matrix.dtype):  # its range spans many powers of two: only what is in use is shown
        high = float(np.abs(codes).max(initial=1.0))
        low, end, count = -high, high, _BARS
    else:
        low, high = code_limits(matrix.dtype)
        end, count = high + 1, min(_BARS, 1 << code_bits(matrix.dtype))
    heights, edges = np.histogram(codes, count, (low, end))
    total = max(len(codes), 1)
    titles = [
        f"{height / total:.2%} from {first:g}" for height, first in zip(heights, edges[:-1], strict=True)
    ]
    caption = f"how often each value is stored, from {low:g} to {high:g}"
    return bars(heights.tolist(), titles, caption, caption)
