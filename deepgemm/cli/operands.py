"""The operands that the commands work on: arguments that describe them, and the arrays themselves."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import available_memory
from ..dtypes import bfloat16, float8_e4m3fn, float8_e5m2, is_inexact
from ..planner.report import size
from ..sparse import SparseArray
from .console import CommandError

__all__ = [
    "DTYPES",
    "add_columns",
    "add_dtype",
    "add_threads",
    "as_dtype",
    "check_memory",
    "dense",
    "positive",
    "shape_text",
]

DTYPES: dict[str, np.dtype[Any]] = {
    dtype.name: dtype
    for dtype in (
        np.dtype(np.float32),
        np.dtype(np.float64),
        np.dtype(np.float16),
        bfloat16,
        float8_e4m3fn,
        float8_e5m2,
        np.dtype(np.int8),
        np.dtype(np.uint8),
        np.dtype(np.int16),
        np.dtype(np.int32),
        np.dtype(np.int64),
        np.dtype(np.complex64),
        np.dtype(np.complex128),
    )
}


def positive(text: str) -> int:
    """Read an integer of at least 1, for argparse."""
    return _at_least(1, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return value


def add_columns(parser: argparse.ArgumentParser, default: int) -> None:
    """Add ``--columns``."""
    parser.add_argument(
        "--columns",
        type=positive,
        default=default,
        metavar="N",
        help="columns of the dense operand; 1 stands for a vector (default: %(default)s)",
    )


def add_dtype(parser: argparse.ArgumentParser, default: str | None, note: str) -> None:
    """Add ``--dtype``."""
    note = f"{note}; one of: {', '.join(DTYPES)}"
    parser.add_argument("--dtype", choices=tuple(DTYPES), default=default, metavar="DTYPE", help=note)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads``."""
    note = "threads to use (default: see deepgemm info)"
    parser.add_argument("--threads", type=positive, metavar="N", help=note)


def as_dtype(A: SparseArray, name: str | None) -> SparseArray:
    """Return `A` in the dtype of that name; without a name integers become float64, and floats stay."""
    wanted = DTYPES[name] if name is not None else A.dtype if is_inexact(A.dtype) else np.dtype(np.float64)
    if wanted == A.dtype:
        return A
    if A.dtype.kind == "c" and wanted.kind != "c":
        raise ValueError(f"--dtype is {wanted} but the matrix is complex, expected complex64 or complex128")
    with np.errstate(all="ignore"):  # values beyond a narrow dtype's range become inf, as the user asked
        return A.astype(wanted)


def dense(rows: int, columns: int, dtype: np.dtype[Any], seed: int = 0) -> npt.NDArray[Any]:
    """Return a dense operand of small random values: a vector if there is one column.

    Raises
    ------
    CommandError
        If it would not fit into the memory that is free.
    """
    # The values are drawn in double precision, and some systems hand out memory that they do not have.
    parts = 2 if dtype.kind == "c" else 1
    check_memory(rows * columns * (dtype.itemsize + 8 * parts), f"a dense operand of {rows:,} × {columns:,}")
    rng = np.random.default_rng(seed)
    shape = (rows,) if columns == 1 else (rows, columns)
    if dtype.kind in "iub":
        return rng.integers(0, 8, shape).astype(dtype)
    if dtype == np.float32:
        return rng.standard_normal(shape, dtype=np.float32)
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype.kind == "c" else values).astype(dtype)


def check_memory(needed: int, what: str) -> None:
    """Refuse what takes more bytes than are free."""
    free = available_memory()
    if free is not None and needed > free:
        raise CommandError(f"not enough memory: {what} takes {size(needed)}, {size(free)} are free")


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as people write it.

    Examples
    --------
    >>> shape_text((3, 4)), shape_text((3,))
    ('3 × 4', '3')
    """
    return " × ".join(f"{extent:,}" for extent in shape)
