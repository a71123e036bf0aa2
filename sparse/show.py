"""What a notebook shows of a sparse array: what it is, what is kept of it, and where its entries lie."""

from __future__ import annotations

from typing import Any

from ..markup import card
from .core import Operand, in_units
from .thumbnail import in_percent, thumbnail


def html(array: Operand) -> str:
    """Return a card with a thumbnail. Takes milliseconds, however many entries there are."""
    return card(f"{type(array).__name__}, {array.dtype}", _facts(array), thumbnail(array))


def _facts(array: Any) -> list[tuple[str, str]]:
    rows, columns = array.shape
    found = [
        ("shape", f"{rows:,} × {columns:,}"),
        ("entries", f"{array.nnz:,} ({in_percent(array.density)} of all places)"),
    ]
    if array.format == "bsr":
        height, width = array.blocksize
        found.append(("blocks", f"{len(array.indices):,} of {height} × {width}"))
    seen = array._inspection
    if seen is not None:
        order = "sorted, with duplicates" if seen.sorted else "unsorted"
        found.append(("order", "sorted, without duplicates" if seen.canonical else order))
    index = array._arrays[1].dtype
    found.append(("memory", f"{in_units(array.nbytes)}, indices of {index}"))
    layouts = [f"{name} ({in_units(layout.nbytes)})" for name, layout in sorted(array._layouts.items())]
    if layouts:
        found.append(("layouts held", ", ".join(layouts)))
    return found
