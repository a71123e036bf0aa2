"""What follows each product of a plan: the terms that it keeps, and the C that a call may bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..rounding import rounded

__all__ = ["Ending", "FinishedCallback", "Placed", "finished"]

Array = npt.NDArray[Any]


class Placed(NamedTuple):
    """An epilogue whose terms have the chain's dtype and the result's shape: what the core reads."""

    alpha: float
    beta: float
    addend: Array | None
    scale: Array | None
    bias: Array | None
    activation: str

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The terms that are there."""
        return tuple(term for term in (self.addend, self.scale, self.bias) if term is not None)

    def each(self, change: Callable[[Array], Array]) -> Placed:
        """Return it with every array changed in one way."""
        addend, scale, bias = (
            None if term is None else change(term) for term in (self.addend, self.scale, self.bias)
        )
        return self._replace(addend=addend, scale=scale, bias=bias)


class Ending(NamedTuple):
    """What follows the products of a plan.

    Attributes
    ----------
    kept : Placed
        The terms that the plan holds in memory of its own.
    declared : bool
        Whether the plan was asked for any, so that its kernel leaves rounding to the end.
    place : callable
        Turns the C of a call into an array of the chain's dtype and the result's shape.
    """

    kept: Placed
    declared: bool
    place: Callable[[Any], Array]

    def beside(self, C: Any, beta: float | None) -> Placed:
        """Return the terms of one call."""
        if C is None:
            return self.kept
        beta = self.kept.beta if beta is None else float(beta)
        return self.kept._replace(addend=self.place(C), beta=beta)


class FinishedCallback:
    """Calls a kernel of another provider, whose result has the chain's dtype, and does what follows."""

    __slots__ = ("_call", "_ending", "_isa", "_output", "_threads")

    def __init__(
        self,
        call: Callable[[Any, Any], Any],
        ending: Ending,
        output: np.dtype[Any],
        isa: str | None,
        threads: int,
    ) -> None:
        self._call, self._ending, self._output = call, ending, output
        self._isa, self._threads = isa, threads

    def __call__(self, other: Any, out: Array | None, C: Any = None, beta: float | None = None) -> Any:
        """Return the finished product, written to `out` if it is given."""
        if C is None and not self._ending.declared:
            return self._call(other, out)
        terms, threads = self._ending.beside(C, beta), self._threads or _core.limit()
        return finished(self._call(other, None), terms, self._output, out, self._isa, threads)


def finished(
    product: Array,
    placed: Placed,
    output: np.dtype[Any],
    out: Array | None,
    isa: str | None,
    threads: int,
) -> Array:
    """Return what the epilogue makes of any kernel's product in the chain's dtype, rounded once.

    One pass over the result; a product of dense operands does the same while its parts are in the caches.
    """
    narrows = product.dtype == np.float32 and output.name in ("float16", "bfloat16")
    direct = narrows or output == product.dtype
    result = np.empty(product.shape, output if direct else product.dtype)
    # The core rounds these as it rounds the terms.
    number = product.dtype.type
    with np.errstate(over="ignore"):  # to infinity, as the core rounds
        alpha, beta = float(number(placed.alpha)), float(number(placed.beta))
    terms = placed.each(_as_rows)._replace(alpha=alpha, beta=beta)
    _core.finish_dense(isa, _as_rows(product), _as_rows(result), tuple(terms), threads)
    if out is None:
        return result if direct else rounded(result, output)
    np.copyto(out, result if direct else rounded(result, output))
    return out


def _as_rows(array: Array) -> Array:
    """Return an array of more than two axes as a matrix; only what does not lie in rows is copied."""
    if array.ndim <= 2:
        return array
    columns = array.shape[-1]
    return array.reshape(array.size // max(columns, 1), columns)
