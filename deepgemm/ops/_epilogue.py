"""What a product is asked to do to its elements before it stores them, checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import canonical, is_float
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..planner.problem import Problem
from ..rounding import rounded
from ..sparse.validate import plain_array

__all__ = ["ACTIVATIONS", "Epilogue", "Placed", "epilogue_of", "finished"]

Array = npt.NDArray[Any]

ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")
CHAINS = ("float32", "float64")


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


class Epilogue(NamedTuple):
    """The terms as the caller gave them.

    Attributes
    ----------
    op : str
        For messages.
    alpha, beta : float
    addend, scale, bias : numpy.ndarray or None
        What is added times beta, multiplied and added.
    activation : str
        Empty for none.
    """

    op: str
    alpha: float
    beta: float
    addend: Array | None
    scale: Array | None
    bias: Array | None
    activation: str

    def __str__(self) -> str:
        """Name what is done, in its order."""
        words = ["alpha"] if self.alpha != 1.0 else []
        words += [name for name, term in self._terms() if term is not None]
        return ", ".join([*words, self.activation] if self.activation else words)

    def placed(self, shape: tuple[int, ...], chain: np.dtype[Any]) -> Placed:
        """Return it for a result of that shape, computed in that dtype.

        Raises
        ------
        UnsupportedError
            If the product is not one of real floating numbers.
        ShapeError
            If a term does not broadcast to the result.
        """
        if chain.name not in CHAINS:
            raise UnsupportedError(
                f"{self.op}: {self} can follow products that accumulate in {' or '.join(CHAINS)}, "
                f"this one accumulates in {chain}"
            )
        addend, scale, bias = (self._placed(name, term, shape, chain) for name, term in self._terms())
        # Rounded here, so that the core and the statement have the same number.
        alpha, beta = (float(chain.type(number)) for number in (self.alpha, self.beta))
        return Placed(alpha, beta, addend, scale, bias, self.activation)

    def kept(self, problem: Problem) -> Placed:
        """Return it for the products of a plan: matrices, whose memory nobody else can change."""
        m, _, n = problem.extents
        placed = self.placed(problem.output_shape, np.dtype(problem.accumulator))

        def own(term: Array | None) -> Array | None:
            if term is None:
                return None
            # A broadcast view has one element along an axis of stride 0; only that is copied.
            first = tuple(slice(None) if stride else slice(1) for stride in term.strides)
            return np.broadcast_to(term[first].copy(), term.shape).reshape(m, n)

        return placed._replace(addend=own(placed.addend), scale=own(placed.scale), bias=own(placed.bias))

    def _terms(self) -> tuple[tuple[str, Array | None], ...]:
        return ("C", self.addend), ("scale", self.scale), ("bias", self.bias)

    def _placed(
        self, name: str, term: Array | None, shape: tuple[int, ...], chain: np.dtype[Any]
    ) -> Array | None:
        if term is None:
            return None
        with np.errstate(over="ignore"):
            wide = rounded(term, chain)
        stepped = all(stride % wide.itemsize == 0 for stride in wide.strides)
        try:
            return np.broadcast_to(wide if stepped and wide.flags.aligned else wide.copy(), shape)
        except ValueError:
            raise ShapeError(
                f"{self.op}: {name} has shape {term.shape}, which does not broadcast to the result's {shape}"
            ) from None


def epilogue_of(
    op: str, alpha: Any, beta: Any, C: Any, scale: Any, bias: Any, activation: str | None
) -> Epilogue | None:
    """Return what was asked for, or None if nothing was.

    Raises
    ------
    ValueError
        If `activation` is not one of its choices, or `beta` comes without `C`.
    DTypeError
        If a term is no real number or array of them.
    """
    if alpha is beta is C is scale is bias is activation is None:
        return None
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(
            f"{op}: activation is {activation!r}, expected one of: {', '.join(ACTIVATIONS)}; None for none"
        )
    if beta is not None and C is None:
        raise ValueError(f"{op}: beta is {beta!r} but there is no C for it to scale")
    return Epilogue(
        op,
        _number(op, "alpha", alpha),
        _number(op, "beta", beta),
        _real(op, "C", C),
        _real(op, "scale", scale),
        _real(op, "bias", bias),
        activation or "",
    )


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
    rows = [_as_rows(term) for term in (product, result)]
    terms = placed._replace(
        addend=_as_rows(placed.addend), scale=_as_rows(placed.scale), bias=_as_rows(placed.bias)
    )
    _core.finish_dense(isa, rows[0], rows[1], tuple(terms), threads)
    if out is None:
        return result if direct else rounded(result, output)
    np.copyto(out, result if direct else rounded(result, output))
    return out


def _as_rows(array: Any) -> Any:
    """Return an array of more than two axes as a matrix; only what does not lie in rows is copied."""
    return array if array is None or array.ndim <= 2 else array.reshape(-1, array.shape[-1])


def _number(op: str, name: str, value: Any) -> float:
    if value is None:
        return 1.0
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DTypeError(f"{op}: {name} is {value!r}, expected a real number") from None
    return number


def _real(op: str, name: str, value: Any) -> Array | None:
    if value is None:
        return None
    array = plain_array(op, name, value)
    dtype = canonical(array.dtype, f"{op}: {name}")
    if not is_float(dtype) and dtype.kind not in "iu":
        raise DTypeError(f"{op}: {name} has dtype {dtype}, expected real numbers")
    return array.astype(dtype, copy=False)
