"""How a ragged array shows itself: a line of text, and for notebooks a table with a histogram of lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core import in_units

if TYPE_CHECKING:
    from .core import Stored

_BARS = 16  # of the histogram
_HEIGHT = 48  # pixels of its highest bar


def text(array: Stored) -> str:
    """Return the line that `repr` shows."""
    rows = f", row_shape={array.row_shape}" if array.row_shape else ""
    gaps = ", gaps=True" if array.has_gaps else ""
    return (
        f"{type(array).__name__}(segments={len(array)}, rows={array.total}{rows}, dtype={array.dtype}, "
        f"lengths={_range(array)}{gaps}, memory={in_units(array.nbytes)})"
    )


def html(array: Stored) -> str:
    """Return the table that notebooks show."""
    padded = len(array) * array.max_length
    used = f"{array.total / padded:.0%} of a padded batch" if padded else "nothing to pad"
    facts = [
        ("segments", f"{len(array):,}"),
        ("rows", f"{array.total:,} ({used})"),
        ("shape of a row", str(array.row_shape) if array.row_shape else "one number"),
        ("dtype", str(array.dtype)),
        ("lengths", _range(array)),
        ("memory", in_units(array.nbytes)),
    ]
    lines = "".join(
        f"<tr><td style='padding:1px 8px;opacity:.7'>{name}</td>"
        f"<td style='text-align:left;padding:1px 8px'>{value}</td></tr>"
        for name, value in facts
    )
    return (
        f"<div><b>{type(array).__name__}</b><div style='display:flex;align-items:flex-end'>"
        f"<table>{lines}</table>{_histogram(array)}</div></div>"
    )


def _range(array: Stored) -> str:
    if not len(array):
        return "none"
    least = array._segments.shortest
    return str(least) if least == array.max_length else f"{least} to {array.max_length}"


def _histogram(array: Stored) -> str:
    """Return bars that count segments by length, as inline SVG."""
    if not len(array) or array.max_length == 0:
        return ""
    bins = min(_BARS, array.max_length + 1)
    counts, edges = np.histogram(array.lengths, bins=bins, range=(0, array.max_length + 1))
    width = 8
    bars = "".join(
        f"<rect x='{number * width}' y='{_HEIGHT - height}' width='{width - 1}' height='{height}' "
        "fill='#89b'>"
        f"<title>{count} of length {int(np.ceil(low))} to {int(np.ceil(high)) - 1}</title></rect>"
        for number, (count, low, high) in enumerate(zip(counts, edges[:-1], edges[1:], strict=True))
        for height in [round(_HEIGHT * count / counts.max())]
    )
    return f"<svg width='{bins * width}' height='{_HEIGHT}' style='margin:0 8px 4px'>{bars}</svg>"
