"""How a ragged array shows itself: a line of text, and for notebooks a card with a picture of its lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...markup import card, profile
from ..core import in_units
from ..thumbnail import spread

if TYPE_CHECKING:
    from .core import Stored

_STEPS = 80  # of the picture
_SAMPLE = 1 << 16  # lengths looked at for it


def text(array: Stored) -> str:
    """Return the line that `repr` shows."""
    rows = f", row_shape={array.row_shape}" if array.row_shape else ""
    gaps = ", gaps=True" if array.has_gaps else ""
    return (
        f"{type(array).__name__}(segments={len(array)}, rows={array.total}{rows}, dtype={array.dtype}, "
        f"lengths={_range(array)}{gaps}, memory={in_units(array.nbytes)})"
    )


def html(array: Stored) -> str:
    """Return the card that notebooks show."""
    facts = [
        ("segments", f"{len(array):,}"),
        ("rows", f"{array.total:,}"),
        ("shape of a row", str(array.row_shape) if array.row_shape else "one number"),
        ("lengths", _range(array)),
        ("memory", in_units(array.nbytes)),
    ]
    return card(f"{type(array).__name__}, {array.dtype}", facts, _picture(array))


def _range(array: Stored) -> str:
    if not len(array):
        return "none"
    least = array._segments.shortest
    return str(least) if least == array.max_length else f"{least} to {array.max_length}"


def _picture(array: Stored) -> str:
    """Return the lengths in descending order as an area, within the rectangle that a padded batch fills."""
    if not array.total:
        return ""
    lengths = np.sort(array.lengths[spread(len(array), _SAMPLE)])[::-1]
    edges = np.linspace(0, len(lengths), min(_STEPS, len(lengths)) + 1).astype(np.int64)
    steps = np.add.reduceat(lengths, edges[:-1], dtype=np.float64) / np.diff(edges)
    wasted = 1 - array.total / (len(array) * array.max_length)
    return profile(
        steps.tolist(),
        f"lengths of the segments, longest first; the shaded rest, {wasted:.0%}, is what padding would add",
        f"lengths, longest first; padded, {wasted:.0%} would be waste",
        float(array.max_length),
    )
