"""`matmul_to_disk`: a product of two sparse matrices that need not fit into memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..config import available_memory
from ..errors import MemoryBudgetError, UnsupportedError
from ..kernels import registry
from ..planner.report import count, size
from ..rounding import rounded
from ..sparse.csr import CSR
from ..sparse.mapped import CSRWriter, open_matrix
from . import _budget as budget
from . import _kernels as _kernels
from . import _request as request
from .estimate import predict

__all__ = ["matmul_to_disk"]

# Memory for a tile of rows where the caller does not say, and the share of what is available it may be.
TILE_BYTES = 1 << 28
TILE_SHARE = 0.25


def matmul_to_disk(
    A: Any,
    B: Any,
    path: str | os.PathLike[str],
    *,
    memory_budget: int | str | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CSR:
    """Write `A @ B`, for two sparse operands, to a folder, and return it as a memory-mapped CSR.

    The product is made in tiles of rows, each as many as fit the budget, so it may be far larger than memory.
    Entries are those of `matmul(A, B)`, bit for bit.

    Parameters
    ----------
    A, B : sparse array
        Of shape (m, k) and (k, n); arrays and matrices of SciPy are used without a copy.
    path : path-like
        The folder to make: three NumPy files and a description. It appears when all is written, and after an
        error nothing is left. `open_matrix(path)` opens it again.
    memory_budget : int or str, optional
        Bytes that a tile may take: 4000000000 or "4GiB". By default 256 MiB, or a quarter of what is
        available.
    dtype : dtype_like, optional
        Dtype of the entries.
    threads : int, optional
        Use at most so many threads.
    overwrite : bool, optional
        Replace what is at `path`.
    progress : callable, optional
        Called as `progress(done, total)` after each tile; the units are those of the work ahead.

    Returns
    -------
    CSR
        Of shape (m, n), canonical, read-only, over the mapped files.

    Raises
    ------
    ShapeError
        If the inner extents differ.
    FileExistsError
        If there is something at `path`, without `overwrite`.
    MemoryBudgetError
        If one row of the product may take more than the budget, or the disk has too little room for what the
        product holds at least.
    UnsupportedError
        If an operand is dense, or the product has no native kernel (integers).

    Notes
    -----
    O(multiply-adds), and each entry is written once (indices twice if there are more than int32 counts).

    Examples
    --------
    >>> import os, tempfile
    >>> import deepgemm as dg
    >>> A = dg.CSR([[1.0, 2.0], [0.0, 3.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     C = dg.matmul_to_disk(A, A, os.path.join(folder, "C"), memory_budget="1MiB")
    ...     C.toarray()
    array([[1., 8.],
           [0., 9.]])
    """
    op = "matmul_to_disk"
    env = request.current_settings()
    wanted = request.options(op, dtype, threads, None, True, env)
    left, right = request.sparse_operand(op, "A", A), request.sparse_operand(op, "B", B)
    request.check_shapes(op, left, right)
    chain, output = request.output_dtype(op, left.dtype, right.dtype, right.shape[0], wanted.dtype)
    if chain.char not in "fdFD":
        raise UnsupportedError(
            f"{op}: the product of {left.dtype} and {right.dtype} is accumulated in {chain}, which has no "
            "native kernel; use .astype() on an operand"
        )
    left._check_fresh()
    right._check_fresh()
    granted = budget.budget_of(op, memory_budget) or _default_budget()
    kernel: Any = registry.find("matmul", "csr_csr")
    a, b = kernel.rows(left, right, chain)
    entry = a[1].itemsize + chain.itemsize + (0 if output == chain else output.itemsize)
    room = _core.csr_csr_row_bounds(a, b, right.shape[1]) * entry + a[0].itemsize
    heaviest = int(room.max(initial=0))
    if heaviest > granted:
        raise MemoryBudgetError(
            f"{op}: row {int(room.argmax())} of the product may take {size(heaviest)}, but memory_budget is "
            f"{size(granted)}",
            heaviest // entry,
            heaviest,
            granted,
        )
    _check_disk(op, Path(path), predict(left, right, env), output.itemsize + a[1].itemsize)
    total, done = int(room.sum()), 0
    with CSRWriter(path, right.shape[1], output, overwrite) as writer:
        for begin, end in _tiles(room, granted):
            tile = (a[0][begin : end + 1], a[1], a[2])
            indptr, indices, data = _core.csr_csr(
                wanted.choice.isa, tile, b, right.shape[1], request.thread_count(wanted)
            )
            writer.append(indptr, indices, rounded(data, output))
            done += int(room[begin:end].sum())
            if progress is not None:
                progress(done, total)
    return open_matrix(path)


def _default_budget() -> int:
    free = available_memory()
    return TILE_BYTES if free is None else max(1, min(TILE_BYTES, int(free * TILE_SHARE)))


def _tiles(room: npt.NDArray[Any], most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that take `most` bytes together at most, and all rows in order."""
    before = np.concatenate([[0], np.cumsum(room, dtype=np.int64)])
    begin = 0
    while begin < room.size:
        end = int(np.searchsorted(before, before[begin] + most, side="right")) - 1
        yield begin, end
        begin = end


def _check_disk(op: str, path: Path, found: Any, entry: int) -> None:
    """Raise if the file system has no room for the least that the product can hold."""
    try:
        free = shutil.disk_usage(path.absolute().parent).free
    except OSError as error:
        raise FileNotFoundError(f"{op}: {path.absolute().parent} is not there: {error}") from None
    least = found.nnz_range[0] * entry
    if least > free:
        raise MemoryBudgetError(
            f"{op}: the product has at least {count(found.nnz_range[0])} entries, {size(least)}, but "
            f"{path.absolute().parent} has {size(free)} free",
            found.nnz_range[0],
            least,
            free,
        )
