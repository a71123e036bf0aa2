"""What a product is asked to do to its elements before it stores them, checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import canonical, is_float
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..planner.ending import Ending, Placed
from ..planner.problem import Problem
from ..rounding import rounded
from ..sparse.validate import plain_array

__all__ = ["ACTIVATIONS", "Epilogue", "ending_of", "epilogue_of"]

Array = npt.NDArray[Any]

ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")
CHAINS = ("float32", "float64")


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
    awaits : bool
        Whether C comes with the calls of a plan.
    """

    op: str
    alpha: float = 1.0
    beta: float = 1.0
    addend: Array | None = None
    scale: Array | None = None
    bias: Array | None = None
    activation: str = ""
    awaits: bool = False

    def __str__(self) -> str:
        """Name what is done, in its order."""
        words = ["alpha"] if self.alpha != 1.0 else []
        words += [name for name, term in self._terms() if term is not None or (name == "C" and self.awaits)]
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
        with np.errstate(over="ignore"):
            alpha, beta = (float(chain.type(number)) for number in (self.alpha, self.beta))
        return Placed(alpha, beta, addend, scale, bias, self.activation)

    def kept(self, problem: Problem) -> Placed:
        """Return it for the products of a plan: in memory that nobody else can change."""

        def own(term: Array) -> Array:
            # A broadcast view has one element along an axis of stride 0; only that is copied.
            first = tuple(slice(None) if stride else slice(1) for stride in term.strides)
            return np.broadcast_to(term[first].copy(), term.shape)

        return self.placed(problem.output_shape, np.dtype(problem.accumulator)).each(own)

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
    op: str,
    alpha: Any,
    beta: Any,
    C: Any,
    scale: Any,
    bias: Any,
    activation: str | None,
    awaits: bool = False,
) -> Epilogue | None:
    """Return what was asked for, or None if nothing was.

    With `awaits` the C that `beta` scales comes later.

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
    if beta is not None and C is None and not awaits:
        raise ValueError(f"{op}: beta is {beta!r} but there is no C for it to scale")
    return Epilogue(
        op,
        _number(op, "alpha", alpha),
        _number(op, "beta", beta),
        _real(op, "C", C),
        _real(op, "scale", scale),
        _real(op, "bias", bias),
        activation or "",
        awaits and beta is not None,
    )


def ending_of(problem: Problem, epilogue: Epilogue | None) -> Ending | None:
    """Return what follows the products of a plan; None if nothing can, and nothing was asked for."""
    chain, shape = np.dtype(problem.accumulator), problem.output_shape
    if epilogue is None and (chain.name not in CHAINS or len(problem.sparse_sides) == 2):
        return None
    kept = (epilogue or Epilogue(problem.op)).kept(problem)

    def place(C: Any) -> Array:
        placed = Epilogue(problem.op, addend=_real(problem.op, "C", C)).placed(shape, chain).addend
        assert placed is not None
        return placed

    return Ending(kept, bool(problem.epilogue), place)


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
