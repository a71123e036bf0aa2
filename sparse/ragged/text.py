"""How ragged values show themselves: a line of text, and for notebooks a card with a picture of sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...markup import card, profile
from ..core import in_units
from ..thumbnail import spread

if TYPE_CHECKING:
    import numpy.typing as npt

    from .core import Stored
    from .matrix import RaggedMatrix

_STEPS = 80  # of the picture
_SAMPLE = 1 << 16  # sizes looked at for it


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


def matrix_text(array: RaggedMatrix) -> str:
    """Return the line that `repr` shows of matrices."""
    return (
        f"{type(array).__name__}(segments={len(array)}, elements={array.size}, dtype={array.dtype}, "
        f"shapes={_shapes(array)}, memory={in_units(array.nbytes)})"
    )


def matrix_html(array: RaggedMatrix) -> str:
    """Return the card that notebooks show of matrices."""
    facts = [
        ("segments", f"{len(array):,}"),
        ("elements", f"{array.size:,}"),
        ("shapes", _shapes(array)),
        ("memory", in_units(array.nbytes)),
    ]
    picture = ""
    if array.size:
        largest = int(array.rows.max()) * int(array.cols.max())
        picture = _area(np.diff(array.offsets), largest, "sizes", "matrices")
    return card(f"{type(array).__name__}, {array.dtype}", facts, picture)


def _range(array: Stored) -> str:
    if not len(array):
        return "none"
    least = array._segments.shortest
    return str(least) if least == array.max_length else f"{least} to {array.max_length}"


def _shapes(array: RaggedMatrix) -> str:
    if not len(array):
        return "none"
    shapes = [f"{f(array.rows)} × {f(array.cols)}" for f in (np.min, np.max)]
    return " to ".join(dict.fromkeys(shapes))


def _picture(array: Stored) -> str:
    return _area(array.lengths, array.max_length, "lengths", "segments") if array.total else ""


def _area(sizes: npt.NDArray[np.integer], largest: int, what: str, of: str) -> str:
    """Return sizes in descending order as an area, within the rectangle that a padded batch fills."""
    wasted = 1 - int(sizes.sum(dtype=np.int64)) / (len(sizes) * largest)
    seen = np.sort(sizes[spread(len(sizes), _SAMPLE)])[::-1]
    edges = np.linspace(0, len(seen), min(_STEPS, len(seen)) + 1).astype(np.int64)
    steps = np.add.reduceat(seen, edges[:-1], dtype=np.float64) / np.diff(edges)
    return profile(
        steps.tolist(),
        f"{what} of the {of}, largest first; the shaded rest, {wasted:.0%}, is what padding would add",
        f"{what}, largest first; padded, {wasted:.0%} would be waste",
        float(largest),
    )
