"""Sparse and quantised weights of single segments as products that are kept with them, run many in a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ... import _core
from ...sparse.quantized import Quantized
from . import gemm, narrow

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

# Multiply-adds a nanosecond of one core, roughly: they tell long segments from short ones.
QUANTIZED_RATE = 80
SPARSE_RATE = 16
# Sparse weights of more entries are worth the layouts that plans of their own buy: 8 of 1024 × 1024 at a
# density of 0.3 took 2.6 ms by plans, and 13 from compressed rows; 256 of 64 × 64 took 3.7 and 1.3 ms.
MOST_ENTRIES = 1 << 14


class Member(NamedTuple):
    """A product with one weight on the right, for operands and results of these dtypes on this ISA."""

    key: tuple[np.dtype[Any], np.dtype[Any], str | None]
    product: _core.Product
    turned: bool  # it is made for the transposes
    work: float  # nanoseconds a row of the operand


def member(
    weights: Any, left: np.dtype[Any], output: np.dtype[Any], chain: np.dtype[Any], isa: str | None
) -> Member | None:
    """Return the product that `weights` keep for such operands, made if missing; None if there is none.

    Quantised weights in panels are a layout, as those of `quantized_panels`; sparse ones are read from their
    own memory, without a conversion.
    """
    key = (left, output, isa)
    kept: Member | None = weights._member
    if kept is not None and kept.key == key:
        return kept
    make = _quantized if isinstance(weights, Quantized) else _sparse
    made = make(weights, key, chain)
    # Panels that found no room among the layouts are not kept here either.
    names = weights._layouts.names()
    held = not isinstance(weights, Quantized) or any(name.startswith("panels:") for name in names)
    weights._member = made if held else None
    return made


def _quantized(weights: Any, key: Any, chain: np.dtype[Any]) -> Member | None:
    left, output, isa = key
    floats = chain == np.float32 and str(left) in gemm.STORED and str(output) in gemm.ROUNDED
    if not floats or str(weights.dtype) not in narrow.INTEGERS or weights.offsets is not None:
        return None
    panels = narrow.panels(weights, "right", isa)
    product = _core.narrow_product(panels.core, left, output)
    return Member(key, product, False, weights.size / QUANTIZED_RATE)


def _sparse(weights: Any, key: Any, chain: np.dtype[Any]) -> Member | None:
    left, output, isa = key
    if weights.format not in ("csr", "csc") or not left == weights.dtype == output == chain:
        return None
    if weights.nnz > MOST_ENTRIES:
        return None
    base = weights.canonical()
    algorithm, minor = ("csr_scatter", 1) if weights.format == "csr" else ("csr_rowwise", 0)
    product = _core.csr_product(
        algorithm, isa, base.indptr, base.indices, base.data, base.shape[minor], False
    )
    return Member(key, product, True, base.nnz / SPARSE_RATE)
