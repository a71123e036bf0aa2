"""The products that the planner is judged by: real matrices of the data folder, and generated ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import available_memory, settings
from ..datasets import banded, blocks, interactions, power_law, pruned_weights, uniform
from ..matrices import list_matrices
from ..planner.report import size
from ..sparse import CSR, SparseArray

__all__ = ["COLUMNS", "DTYPES", "Case", "Source", "nothing_found", "sources"]

COLUMNS = (1, 8, 32, 128)
DTYPES = ("float32", "float64")
# Share of the free memory that operands and result of one case may take.
_MEMORY_SHARE = 0.25
# How many names a message lists.
_NAMES_SHOWN = 12


@dataclass(frozen=True)
class Source:
    """A matrix that is read or generated when its turn comes.

    Attributes
    ----------
    name : str
        Of the file, without its suffix, or of the generator.
    entries : int
        About how many there are.
    load : callable
        Returns the matrix.
    """

    name: str
    entries: int
    load: Callable[[], SparseArray]

    def cases(
        self, columns: Sequence[int] = COLUMNS, dtypes: Sequence[str] = DTYPES, right: bool = False
    ) -> Iterator[Case]:
        """Yield a product for each dtype and number of columns that fits into memory; see `Case`."""
        matrix = self.load()
        free = available_memory()
        for dtype in dtypes:
            A = matrix.astype(dtype)
            for count in columns:
                needed = A.nbytes + (A.shape[0] + A.shape[1]) * count * A.dtype.itemsize
                if free is None or needed <= free * _MEMORY_SHARE:
                    yield Case(self.name, A, count, right)


@dataclass(frozen=True)
class Case:
    """One product ``A @ X``, or ``X @ A`` if `right` holds, with a dense X.

    X has so many columns (rows), and is a vector if there is one.
    """

    source: str
    A: SparseArray
    columns: int
    right: bool = False

    @property
    def name(self) -> str:
        """Matrix, dtype and columns."""
        return f"{self.source} {self.A.dtype} N={self.columns}"

    def fresh(self) -> SparseArray:
        """Return the operand without layouts, plans or an account, as if it had just been made."""
        return self.A._trusted(self.A.shape, self.A._arrays, self.A._inspection)

    def operands(self, A: SparseArray, X: npt.NDArray[Any]) -> tuple[Any, Any]:
        """Return both operands in the order of the product."""
        return (X, A) if self.right else (A, X)

    def other(self) -> npt.NDArray[Any]:
        """Return X."""
        inner = self.A.shape[0 if self.right else 1]
        shape: tuple[int, ...] = (self.columns, inner) if self.right else (inner, self.columns)
        if self.columns == 1:
            shape = (inner,)
        return np.random.default_rng(0).standard_normal(shape).astype(self.A.dtype)

    def __str__(self) -> str:
        return f"{self.name} ({size(self.A.nbytes)})"


def sources(least: int = 20_000, match: Sequence[str] = ()) -> list[Source]:
    """Return real matrices (none if `DEEPGEMM_DATA_DIR` is not set) and generated ones.

    Parameters
    ----------
    least : int
        Only matrices of at least so many entries.
    match : sequence of str
        Only those whose name holds one of these; all if there are none.

    Examples
    --------
    >>> [source.name for source in sources(match=["weights 2"])]
    ['weights 2 %', 'weights 20 %']
    """
    found = [*_real(least), *_generated()]
    kept = [source for source in found if source.entries >= least]
    return [source for source in kept if not match or any(word in source.name for word in match)]


def nothing_found(least: int, match: Sequence[str]) -> str:
    """Return what to say where `sources` finds none: what was asked for, and what there is."""
    there = [source.name for source in sources(least)]
    text = f"no matrix of {least:,} entries or more"
    if match:
        text += f" has a name with {' or '.join(map(repr, match))}"
    if there:
        shown = ", ".join(there[:_NAMES_SHOWN])
        more = f" and {len(there) - _NAMES_SHOWN} more" if len(there) > _NAMES_SHOWN else ""
        text += f"; there are: {shown}{more}"
    if settings().data_dir is None:
        text += " (DEEPGEMM_DATA_DIR is not set: only generated matrices are looked at)"
    return text


def _real(least: int) -> list[Source]:
    try:
        matrices = list_matrices(min_nnz=least)
    except FileNotFoundError:
        return []
    return [Source(matrix.name, matrix.nnz, _reader(matrix)) for matrix in matrices]


def _reader(matrix: Any) -> Callable[[], SparseArray]:
    def load() -> SparseArray:
        read = matrix.load()
        return CSR(read if read.dtype.kind == "f" else read.astype(np.float64))

    return load


def _in_blocks(blocksize: tuple[int, int], density: float) -> list[Source]:
    """Return a matrix of full blocks as rows of entries, and as the rows of blocks that it is."""
    rows, columns = (2048 // extent * extent for extent in blocksize)
    entries = round(rows * columns * density)
    name = f"blocks {blocksize[0]}×{blocksize[1]} {density:.0%} as"

    def full() -> CSR:
        return blocks(rows, columns, density, blocksize=blocksize)

    return [
        Source(f"{name} csr", entries, full),
        Source(f"{name} bsr", entries, lambda: full().tobsr(blocksize)),
    ]


def _generated() -> list[Source]:
    """Return one matrix for each structure that decides which kernel is fast."""
    found = [
        Source(
            f"weights {share} %",
            2048 * 2048 * share // 100,
            partial(pruned_weights, 2048, 2048, share / 100),
        )
        for share in (2, 5, 10, 20, 30, 50)
    ]
    for blocksize, density in (
        ((16, 16), 0.1),
        ((16, 16), 0.5),
        ((4, 4), 0.2),
        ((1, 16), 0.2),
        ((3, 3), 0.02),
    ):
        found += _in_blocks(blocksize, density)
    found += [
        Source("uniform", 2_000_000, lambda: uniform(200_000, 100_000, 1e-4)),
        Source("interactions", 760_000, lambda: interactions(20_000, 10_000)),
        Source("power law", 760_000, lambda: power_law(100_000)),
        Source("band", 2_000_000, lambda: banded(100_000, 10)),
    ]
    return found
