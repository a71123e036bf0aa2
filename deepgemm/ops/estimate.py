"""`estimate`: what a sparse product will hold, need and take, before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..config import Settings
from ..kernels import registry
from ..planner import machine as machines
from ..planner.report import Report, count, seconds, size
from ..sparse.base import SparseArray
from . import _kernels as _kernels
from . import _request as request

__all__ = ["Estimate", "estimate"]

# Rows multiplied to see how many multiply-adds meet in one entry, and the share of all work they may be.
SAMPLED_ROWS = 256
SAMPLE_SHARE = 0.01
LEAST_SAMPLE = 1 << 14  # multiply-adds that may be sampled however small the product is

MOST_SAMPLE = 1 << 22  # and that may be however large it is: about 10 ms

# How far off a predicted time may be either way where the entries are known.
MODEL_FACTOR = 4.0

Interval = tuple[int, int]


@dataclass(frozen=True, repr=False)
class Estimate:
    """What is known of a product of two sparse matrices before it is made.

    Attributes
    ----------
    shape : tuple of int
        Of the product.
    multiplies : int
        Multiply-adds; exact.
    nnz, nbytes : int
        Predicted entries of the product, and the bytes of its three arrays.
    seconds : float
        Predicted time on this machine.
    nnz_range, nbytes_range, seconds_range : tuple
        Least and most. Those of entries and bytes are certain; those of time are the predictions for them,
        less and more a factor of four for what the model does not know.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> dg.estimate(dg.CSR(np.ones((2, 3))), dg.CSR(np.ones((3, 4)))).nnz
    8
    """

    shape: tuple[int, int]
    multiplies: int
    nnz: int
    nbytes: int
    seconds: float
    nnz_range: Interval
    nbytes_range: Interval
    seconds_range: tuple[float, float]

    def report(self) -> Report:
        """Return the figures as a readable table."""

        def between(value: str, low: str, high: str) -> str:
            return f"{value} ({low} to {high})"

        return Report(
            "estimate of a sparse product",
            (
                ("shape", " × ".join(map(count, self.shape))),
                ("multiply-adds", count(self.multiplies)),
                ("entries", between(count(self.nnz), *map(count, self.nnz_range))),
                ("memory", between(size(self.nbytes), *map(size, self.nbytes_range))),
                ("time", between(seconds(self.seconds), *map(seconds, self.seconds_range))),
            ),
            (),
        )

    def __repr__(self) -> str:
        return str(self.report())

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()


def estimate(A: Any, B: Any) -> Estimate:
    """Predict entries, memory and time of `A @ B` for two sparse operands, without making it.

    Parameters
    ----------
    A, B : sparse array
        Of shape (m, k) and (k, n).

    Returns
    -------
    Estimate
        With a readable `repr` and HTML.

    Raises
    ------
    ShapeError
        If the inner extents differ.
    UnsupportedError
        If an operand is dense.

    Notes
    -----
    A row of the product has at least as many entries as the longest row of B that it meets, and at most as
    many as it has multiply-adds, or columns: the sums of both are the certain bounds. In between, a sample
    of rows tells how many multiply-adds share an entry. O(entries of A) and about a hundredth of the product.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> A = dg.CSR(np.eye(100))
    >>> found = dg.estimate(A, A)
    >>> found.nnz, found.nnz_range, found.multiplies, found.nbytes
    (100, (100, 100), 100, 1604)
    """
    op = "estimate"
    env = request.current_settings()
    left, right = request.sparse_operand(op, "A", A), request.sparse_operand(op, "B", B)
    request.check_shapes(op, left, right)
    left._check_fresh()
    right._check_fresh()
    return predict(left, right, env)


def predict(left: SparseArray, right: SparseArray, env: Settings) -> Estimate:
    """Return the estimate of a product whose operands were checked."""
    problem = request.problem_of("matmul", left, right, "left", request.default_options(env), env)
    kernel: Any = registry.find("matmul", "csr_csr")
    a, b = kernel.structures(left, right)
    work, least, most = _core.csr_csr_bounds(a, b, right.shape[1])
    likely = min(max(round(work * _entries_for_each(a, b, right.shape[1], work)), least), most)
    machine = machines.current(env.cache_dir)
    shape = (left.shape[0], right.shape[1])

    def nbytes(nnz: int) -> int:
        width = 8 if nnz > np.iinfo(np.int32).max else a[1].itemsize
        return nnz * (np.dtype(problem.output).itemsize + width) + (shape[0] + 1) * width

    def time(nnz: int) -> float:
        taken: float = kernel.seconds(problem, machine, work, nnz)
        return taken

    return Estimate(
        shape,
        work,
        likely,
        nbytes(likely),
        time(likely),
        (least, most),
        (nbytes(least), nbytes(most)),
        (time(least) / MODEL_FACTOR, time(most) * MODEL_FACTOR),
    )


def _entries_for_each(a: Any, b: Any, columns: int, work: int) -> float:
    """Return the entries that one multiply-add leaves, from a sample of rows."""
    indptr, indices, zeros = a
    rows = indptr.size - 1
    if not work:
        return 0.0
    allowed = min(max(work * SAMPLE_SHARE, LEAST_SAMPLE), MOST_SAMPLE)
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLED_ROWS)).astype(np.int64))
    # Spread over the matrix even if cut short: the order is shuffled, always in the same way.
    parts: list[Any] = []
    steps = 0
    for row in np.random.default_rng(0).permutation(chosen):
        part = indices[indptr[row] : indptr[row + 1]]
        own = int((b[0][part + 1].astype(np.int64) - b[0][part]).sum())
        if own and (not steps or steps + own <= allowed):
            steps += own
            parts.append(part)
    if not steps:
        return 1.0
    start = np.cumsum([0, *(part.size for part in parts)]).astype(indptr.dtype)
    sample = start, np.concatenate(parts), np.zeros(int(start[-1]), zeros.dtype)
    entries: int = _core.csr_csr(None, sample, b, columns, 1)[1].size
    return entries / steps
