"""The first products of a small operand: they run before anything is planned, because thinking costs more."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from ..config import Settings
from ..planner.problem import Side
from ..sparse.compressed import CompressedEntries
from ..sparse.core import Factor
from . import _request as request
from . import _specs as specs

__all__ = ["Opening", "opening"]

# A plan of an operand never seen takes 100 to 150 µs of Python, a product of so many multiply-adds (elements
# of the result counted as one each) 5 to 10 µs on one thread, scattered up to 50, of which other threads or
# kernels without a conversion would save little. Who multiplies once by each of many small matrices should
# not pay for plans.
MOST_WORK = 1 << 14
_DTYPES = "fdFD"


class Opening(_core.Runner):
    """The kernel that needs no conversion, on one thread, until products have taken as long as a plan takes.

    Attributes
    ----------
    kernel : str
        Name of the kernel that runs.
    """

    __slots__ = ("kernel",)

    kernel: str


def opening(owner: Factor, fixed: Side, other: Any, wanted: request.Options, env: Settings) -> Opening | None:
    """Return what runs the first products of `owner` with operands like `other`, or None to plan at once.

    All kernels give the same result, so only time is at stake; it is rented like a layout, and a plan is made
    once so much was spent without one. What the caller asked for in any way is planned.
    """
    if not isinstance(owner, CompressedEntries) or wanted is not request.DEFAULT or env.verbose:
        return None
    dtype, on_left = owner.dtype, fixed == "left"
    # The product is S · X with S = owner, or S = owner.T with X and the result turned as well.
    lines, inner = owner.shape if on_left else owner.shape[::-1]
    across = other.shape if on_left else other.shape[::-1]
    if other.ndim > 2 or other.dtype != dtype or dtype.char not in _DTYPES or across[0] != inner:
        return None
    rows_stored = (owner.format == "csr") == on_left
    if (owner.nnz + lines) * math.prod(across[1:]) > MOST_WORK or not owner.has_canonical_format:
        return None
    name = "csr_scatter" if not rows_stored else "csr_vector" if other.ndim == 1 else "csr_rowwise"
    parts = owner.indptr, owner.indices, owner.data
    made = Opening()
    made.kernel = name
    made._bind(
        product=_core.csr_product(name, None, *parts, inner if rows_stored else lines, on_left),
        other_side="right" if on_left else "left",
        transposed=not on_left,
        other_shape=other.shape,
        other_dtype=dtype,
        out_shape=(lines, *across[1:]) if on_left else (*across[:0:-1], lines),
        out_dtype=dtype,
        names=("matmul", *(("A", "X") if on_left else ("B", "A"))),
        threads=1,
        guards=owner._arrays,
        full_check=env.check,
        terms=(0.0, 0.0, math.inf, specs.THINKING_SECONDS),
    )
    return made
