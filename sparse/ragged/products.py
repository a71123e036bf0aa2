"""The product operators of ragged types, and the hook through which `deepgemm.ops` supplies the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import UnsupportedError

__all__ = ["Products", "register_ragged_product"]


class Products:
    """`@` with the matrix of each segment, or with one operand that all segments share.

    Rows of `ragged @ W` are the rows of `ragged` times one matrix. Ragged arrays of matrices, such as the
    result of ``matmul(q, k, transpose_b=True)``, meet a ragged array segment by segment.
    """

    __slots__ = ()

    def __matmul__(self, other: Any) -> Any:
        return _product(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _product(other, self)


def _no_product(left: Any, right: Any) -> Any:
    raise UnsupportedError("products need deepgemm.ops, which `import deepgemm` loads")


_product: Callable[[Any, Any], Any] = _no_product


def register_ragged_product(product: Callable[[Any, Any], Any]) -> None:
    """Let the operators call this function of both operands; it may return NotImplemented."""
    global _product
    _product = product
