"""What is measured of an operand: density, row lengths, locality, block fill, zeros."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .report import Report, Table, count

if TYPE_CHECKING:
    from ..sparse.base import SparseArray

__all__ = ["Structure", "block_fill", "measure", "measure_dense"]

# Blocks looked at, besides those that rows of the same pattern suggest.
BLOCKS = ((2, 2), (3, 3), (4, 4), (8, 4), (8, 8), (16, 16))
# Entries go into blocks only if at least this share of the blocks' places are entries. Full blocks ran 1
# (2 × 2) to 3 times (16 × 16) as fast as single entries at N = 128; cost decides above it.
LEAST_FILL = 0.5
# Entries looked at for each shape, in whole block rows.
BLOCK_SAMPLE = 1 << 14
# Elements of a dense operand looked at when the caller asks for its structure.
DENSE_SAMPLE = 4096


@dataclass(frozen=True, repr=False)
class Structure:
    """What was measured of one operand.

    Attributes
    ----------
    nnz : int
        Stored entries; for a dense operand the elements that are not zero, estimated from the sample.
    density : float
        `nnz` over the number of elements.
    major : str
        Which lines the row figures below describe: "row" or, for CSC, "col"; "" for a dense operand.
    max_row, empty_rows : int
        Entries of the longest line, and how many lines have none.
    quantiles : tuple of int
        Line lengths at 0, 25, 50, 75, 90, 99 and 100 %.
    skew : float
        Standard deviation of the line lengths over their mean.
    bandwidth : int
        Largest distance of an entry from the diagonal.
    near : float
        Share of entries whose neighbour in the line before them lies within one cache line.
    window_fill : float
        Share of useful slots if lines were sorted by length in windows and padded in slices.
    sorted, canonical : bool
        Whether the indices of each line ascend, and whether they do so without duplicates.
    zero_share : float or None
        Share of exact zeros among the sampled elements of a dense operand; None if nothing was sampled.
    block_fill : tuple of ((int, int), float)
        For block shapes, the share of a block's elements that are entries, where a block has any.
    """

    nnz: int
    density: float
    major: str = ""
    max_row: int = 0
    empty_rows: int = 0
    quantiles: tuple[int, ...] = ()
    skew: float = 0.0
    bandwidth: int = 0
    near: float = 0.0
    window_fill: float = 1.0
    sorted: bool = True
    canonical: bool = True
    zero_share: float | None = None
    block_fill: tuple[tuple[tuple[int, int], float], ...] = ()

    def report(self) -> Report:
        """Return the figures as a readable table."""
        if not self.major:
            share = "not looked at" if self.zero_share is None else f"{self.zero_share:.1%}"
            return Report("structure of a dense operand", (("zeros among sampled elements", share),))
        lines = {"row": "rows", "col": "columns"}[self.major]
        facts = [
            ("entries", f"{count(self.nnz)} (density {self.density:.3g})"),
            (f"empty {lines}", count(self.empty_rows)),
            ("skew of lengths", f"{self.skew:.2f} (standard deviation over mean)"),
            ("bandwidth", count(self.bandwidth)),
            ("near neighbours", f"{self.near:.0%} of entries"),
            ("fill of slices", f"{self.window_fill:.0%}"),
            (
                "order",
                "canonical" if self.canonical else "sorted, with duplicates" if self.sorted else "unsorted",
            ),
        ]
        tables = []
        if self.quantiles:
            heads = tuple(
                f"{share}>" for share in ("least", "25 %", "median", "75 %", "90 %", "99 %", "most")
            )
            cells = tuple(map(count, self.quantiles))
            tables.append(Table((f"entries of {lines}", *heads), (("", *cells),)))
        if self.block_fill:
            rows = tuple((f"{r} × {c}", f"{fill:.0%}") for (r, c), fill in self.block_fill)
            fills = tuple(fill for _, fill in self.block_fill)
            tables.append(Table(("block", "fill>"), rows, fills, longest=1.0))
        return Report("structure of a sparse operand", tuple(facts), tuple(tables))

    def __repr__(self) -> str:
        return str(self.report())

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Structure:
        """Rebuild a structure from what `dataclasses.asdict` or JSON made of it."""
        values = dict(values)
        values["quantiles"] = tuple(values["quantiles"])
        values["block_fill"] = tuple((tuple(block), fill) for block, fill in values["block_fill"])
        return cls(**values)


def measure(array: SparseArray) -> Structure:
    """Return the structure of a sparse array from what its validation has already measured.

    COO and BSR arrays, which are validated without a pass over rows, are measured in O(nnz).
    """
    nnz = array.nnz
    m, n = array.shape
    density = nnz / (m * n) if m and n else 0.0
    seen = array._inspection
    if array.format not in ("csr", "csc") or seen is None:
        return _measure_uncompressed(array, nnz, density)
    lines = m if array.format == "csr" else n
    mean = nnz / lines if lines else 0.0
    variance = seen.row_sq_sum / lines - mean * mean if lines else 0.0
    return Structure(
        nnz,
        density,
        "row" if array.format == "csr" else "col",
        seen.max_row,
        seen.empty_rows,
        seen.quantiles,
        math.sqrt(variance) / mean if variance > 0 and mean else 0.0,
        seen.bandwidth,
        seen.near,
        seen.window_fill,
        seen.sorted,
        seen.canonical,
    )


def measure_dense(array: np.ndarray[Any, Any], samples: int = DENSE_SAMPLE) -> Structure:
    """Return the structure of a dense array from at most `samples` of its elements (0: none)."""
    elements = array.size
    if array.ndim == 2 and not (array.flags.aligned and all(s % array.itemsize == 0 for s in array.strides)):
        # The sampler steps in whole elements from aligned addresses: a grid of the others is copied out.
        rows, columns = (max(1, extent // 64) for extent in array.shape)
        array = array[::rows, ::columns].copy()
    share = float(_core.zero_share(array, samples)) if samples > 0 and array.size else None
    density = 1.0 - (share or 0.0)
    return Structure(round(elements * density), density, zero_share=share)


def block_fill(
    array: Any, sample: int = BLOCK_SAMPLE, least: float = 0.0
) -> tuple[tuple[tuple[int, int], float], ...]:
    """Return the share of entries in the touched blocks, for the shapes of blocks that the rows suggest.

    Those are `BLOCKS`, and where several rows in a row have one pattern, columns and squares of so many.

    Parameters
    ----------
    array : SparseArray
    sample : int
        Entries looked at for each shape, in block rows spread over the matrix.
    least : float
        Shapes whose smaller blocks are filled less than this are left out: theirs are filled no better.

    Notes
    -----
    O(sample) for each shape.
    """
    if array.format != "csr":
        array = array.tocsr()
    array = array.canonical()
    if array.nnz == 0:
        return ()
    indptr, indices = array.indptr, array.indices
    alike = _core.rows_alike(indptr, indices, sample)
    shapes = (
        BLOCKS if alike == 1 else (*BLOCKS, *(s for s in ((alike, 1), (alike, alike)) if s not in BLOCKS))
    )
    fills: dict[tuple[int, int], float] = {}
    for r, c in shapes:
        inner = (fill for (height, width), fill in fills.items() if r % height == 0 and c % width == 0)
        if least <= min(inner, default=1.0):
            fills[r, c] = _core.block_fill(indptr, indices, r, c, sample)
    return tuple(fills.items())


def _measure_uncompressed(array: Any, nnz: int, density: float) -> Structure:
    m = array.shape[0]
    if array.format == "coo":
        lengths = np.bincount(np.asarray(array.row), minlength=m) if nnz else np.zeros(m, dtype=np.int64)
    elif array.format == "bsr":
        height, width = array.blocksize
        lengths = np.repeat(np.diff(array.indptr) * width, height)
    else:
        lengths = np.diff(array.indptr)
    mean = nnz / m if m else 0.0
    longest = int(lengths.max()) if lengths.size else 0
    return Structure(
        nnz,
        density,
        "row",
        longest,
        int(np.count_nonzero(lengths == 0)),
        tuple(int(q) for q in np.quantile(lengths, (0, 0.25, 0.5, 0.75, 0.9, 0.99, 1))) if m else (),
        float(lengths.std() / mean) if mean else 0.0,
        canonical=array.has_canonical_format,
    )
