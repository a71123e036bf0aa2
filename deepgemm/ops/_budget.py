"""How much memory the result of a sparse product may take, and the refusal where it needs more."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ..config import available_memory, parse_bytes
from ..errors import MemoryBudgetError
from ..planner.report import count, size

if TYPE_CHECKING:
    from ..sparse.base import SparseArray
    from .estimate import Estimate

# A result that is certainly smaller is made without asking the system for its memory (50 us).
SMALL_BYTES = 1 << 26
# Share of the memory that the system calls available which a result may take.
SHARE = 0.9
ENTRY_BYTES = 24  # of the widest entry: complex128 with an index of int64


def budget_of(op: str, value: Any) -> int | None:
    """Return what the caller granted, in bytes."""
    if value is None:
        return None
    if isinstance(value, str):
        granted = parse_bytes(f"{op}: memory_budget", value)
    else:
        try:
            granted = operator.index(value)
        except TypeError:
            raise ValueError(
                f'{op}: memory_budget is {value!r}, expected bytes as a whole number or a text such as "4GiB"'
            ) from None
    if granted < 1:
        raise ValueError(f"{op}: memory_budget is {value!r}, expected at least 1 byte")
    return granted


def limit_for(left: SparseArray, right: SparseArray, granted: int | None, most: int | None = None) -> int:
    """Return the bytes that the entries of `left @ right` may take; 0 where no look is needed.

    `most` bounds the entries of a row.
    """
    if granted is None:
        row = right.shape[1] if most is None else min(most, right.shape[1])
        places = min(left.shape[0], left.nnz) * row
        if min(places, left.nnz * row) * ENTRY_BYTES <= SMALL_BYTES:
            return 0
        free = available_memory()
        return 0 if free is None else max(1, int(free * SHARE))
    # One index for each row is part of the result.
    return max(1, granted - 8 * (left.shape[0] + 1))


def refuse(op: str, limit: int, granted: int | None, predict: Callable[[], Estimate]) -> NoReturn:
    """Raise for a product whose entries do not fit."""
    found = predict()
    have = f"memory_budget is {size(granted)}" if granted is not None else f"{size(limit)} are available"
    low, high = found.nbytes_range
    shape = " × ".join(map(count, found.shape))
    raise MemoryBudgetError(
        f"{op}: the product, {shape}, would have about {count(found.nnz)} entries, {size(found.nbytes)} "
        f"({size(low)} to {size(high)}), but {have}; matmul_to_disk writes it to a file, "
        "matmul_topk keeps the largest of each row",
        found.nnz,
        found.nbytes,
        granted if granted is not None else limit,
    )


def refuse_dense(op: str, shape: tuple[int, int], nbytes: int, granted: int | None) -> None:
    """Raise if a dense result does not fit."""
    limit = granted
    if limit is None:
        free = available_memory() if nbytes > SMALL_BYTES else None
        limit = None if free is None else int(free * SHARE)
    if limit is not None and nbytes > limit:
        have = f"memory_budget is {size(limit)}" if granted is not None else f"{size(limit)} are available"
        places = shape[0] * shape[1]
        raise MemoryBudgetError(
            f"{op}: a dense result of {' × '.join(map(count, shape))} takes {size(nbytes)}, but {have}",
            places,
            nbytes,
            limit,
        )
