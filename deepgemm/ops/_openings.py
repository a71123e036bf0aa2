"""The first products of a small operand: they run before anything is planned, because thinking costs more."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from ..config import Settings
from ..planner.problem import Side
from ..sparse.core import Factor
from ..sparse.csr import CSR
from . import _request as request
from . import _specs as specs

__all__ = ["Opening", "opening"]

# A plan of an operand never seen takes 100 to 150 µs of Python, a product of so many multiply-adds (rows that
# are stored counted as one each) 5 to 10 µs on one thread, and no other kernel or thread would save a quarter
# of that. Whoever multiplies once by each of many small matrices should not pay for plans.
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
    if not isinstance(owner, CSR) or fixed != "left" or wanted is not request.DEFAULT or env.verbose:
        return None
    dtype, shape = owner.dtype, owner.shape
    if other.ndim > 2 or other.dtype != dtype or dtype.char not in _DTYPES or other.shape[0] != shape[1]:
        return None
    columns = math.prod(other.shape[1:])
    if (owner.nnz + shape[0]) * columns > MOST_WORK or not owner.has_canonical_format:
        return None
    name = "csr_vector" if other.ndim == 1 else "csr_rowwise"
    made = Opening()
    made.kernel = name
    made._bind(
        product=_core.csr_product(name, None, owner.indptr, owner.indices, owner.data, shape[1], True),
        other_side="right",
        other_shape=other.shape,
        other_dtype=dtype,
        out_shape=(shape[0], *other.shape[1:]),
        out_dtype=dtype,
        names=("matmul", "A", "X"),
        threads=1,
        guards=owner._arrays,
        full_check=env.check,
        terms=(0.0, 0.0, math.inf, specs.THINKING_SECONDS),
    )
    return made
