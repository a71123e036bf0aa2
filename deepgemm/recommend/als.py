"""Implicit alternating least squares: factors of users and items from what users took, without ratings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DTypeError
from ..ops import _request as request
from ..ops.gram import gram
from ..ops.matmul import matmul
from ..ops.optim import finite_number
from ..ops.sddmm import sddmm
from ..sparse.csr import CSR
from ._interactions import as_csr

__all__ = ["ImplicitALS"]

Array = npt.NDArray[Any]

# A residual whose square is below is solved: dividing by it would only make noise.
SOLVED = np.float32(1e-20)


class ImplicitALS:
    """Factors whose products rank the items for each user, after Hu, Koren and Volinsky.

    With preference 1 where a user took an item and 0 elsewhere, and confidence ``1 + alpha * value`` where
    there is an entry and 1 elsewhere, it minimises the confidence-weighted squares of
    ``preference - user · item``, plus `regularization` times the squares of all factors.

    Parameters
    ----------
    factors : int
        Length of the rows.
    regularization : float
        Weight of the squares of the factors.
    alpha : float
        How much an entry raises the confidence. The `implicit` package, whose confidence is
        ``alpha * value``, does the same on ones with an alpha that is greater by 1.
    iterations : int
        How many times users and items are each solved for, the others being fixed.
    steps : int
        Steps of conjugate gradients for each solution, from the one before on.
    seed : int
        Of the factors to begin with, uniform from 0 to 0.01.

    Attributes
    ----------
    user_factors, item_factors : numpy.ndarray of float32
        Of shapes (users, factors) and (items, factors), after `fit`.

    Raises
    ------
    ValueError
        If `factors`, `iterations` or `steps` is no whole number of at least 0, or `regularization` or
        `alpha` no finite number of at least 0.

    Notes
    -----
    A step of conjugate gradients for all users at once is three products of this library: with the Gram
    matrix G of the items' factors Y, the system of user u is ``G + sum(alpha * value * y y.T)`` over u's
    entries, so that it maps the rows of P to ``P @ G`` plus ``sddmm(values, P, Y.T) @ Y``. Each takes
    O(entries · factors), or O(users · factors**2), on all threads. Results do not depend on the number of
    threads.

    References
    ----------
    .. [1] Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM
       (2008).
    .. [2] G. Takács, I. Pilászy, D. Tikk, "Applications of the conjugate gradient method for implicit
       feedback collaborative filtering", RecSys (2011).

    Examples
    --------
    >>> import deepgemm as dg
    >>> from deepgemm.recommend import ImplicitALS, top_items
    >>> taken = dg.CSR([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 0]], dtype="float32")
    >>> model = ImplicitALS(factors=2, alpha=10, iterations=20).fit(taken)
    >>> top_items(model.user_factors, model.item_factors, k=1, seen=taken)[0][3].tolist()
    [3]
    """

    user_factors: Array
    item_factors: Array

    def __init__(
        self,
        factors: int = 64,
        regularization: float = 0.01,
        alpha: float = 40.0,
        iterations: int = 15,
        steps: int = 3,
        seed: int = 0,
    ) -> None:
        op = "ImplicitALS"
        self.factors = request.positive(op, "factors", factors, least=0)
        self.regularization = finite_number(op, "regularization", regularization, 0.0)
        self.alpha = finite_number(op, "alpha", alpha, 0.0)
        self.iterations = request.positive(op, "iterations", iterations, least=0)
        self.steps = request.positive(op, "steps", steps, least=0)
        self.seed = seed

    def __repr__(self) -> str:
        return (
            f"ImplicitALS(factors={self.factors}, regularization={self.regularization}, alpha={self.alpha}, "
            f"iterations={self.iterations}, steps={self.steps}, seed={self.seed})"
        )

    def fit(self, interactions: Any) -> ImplicitALS:
        """Find the factors of a users × items matrix, and return the model.

        Parameters
        ----------
        interactions : CSR or other sparse array, shape (users, items)
            Values that are not negative, such as ones or counts.

        Raises
        ------
        ShapeError, DTypeError
            If it is no matrix that users and items have, or complex.
        ValueError
            If a value is negative or not finite.
        """
        by_user = _extra_confidence(interactions, self.alpha)
        by_item = by_user.T.tocsr()
        generator = np.random.default_rng(self.seed)
        users = generator.random((by_user.shape[0], self.factors), dtype=np.float32) * np.float32(0.01)
        items = generator.random((by_user.shape[1], self.factors), dtype=np.float32) * np.float32(0.01)
        for _ in range(self.iterations):
            users = solve(by_user, users, items, self.regularization, self.steps)
            items = solve(by_item, items, users, self.regularization, self.steps)
        self.user_factors, self.item_factors = users, items
        return self


def _extra_confidence(interactions: Any, alpha: float) -> CSR:
    """Return alpha times the values, in float32, sorted and without duplicates."""
    matrix = as_csr(interactions)
    if matrix.dtype.kind == "c":
        raise DTypeError(f"fit: interactions have dtype {matrix.dtype}, expected real numbers")
    matrix = matrix.canonical()
    values = matrix.data.astype(np.float32) * np.float32(alpha)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            "fit: interactions hold a value that is negative or not finite, expected counts or ones"
        )
    return matrix.with_data(values)


def solve(extra: CSR, start: Array, other: Array, regularization: float, steps: int) -> Array:
    """Return the rows of one side, the other side's being fixed, by conjugate gradients.

    Parameters
    ----------
    extra : CSR, shape (rows, others)
        What the entries add to a confidence of 1.
    start : numpy.ndarray, shape (rows, factors)
        Where to begin; it is not written.
    other : numpy.ndarray, shape (others, factors)
        The fixed side.
    regularization : float
        Added to the diagonal of each system.
    steps : int
        How many steps to take.
    """
    system = gram(other) + np.float32(regularization) * np.eye(other.shape[1], dtype=np.float32)
    empty = extra.indptr[1:] == extra.indptr[:-1]
    x = np.where(empty[:, None], np.float32(0), start)

    def apply(rows: Array) -> Array:
        products: Array = matmul(sddmm(extra, rows, other.T, scaled=True), other)
        products += matmul(rows, system)
        return products

    wanted = extra.with_data(extra.data + np.float32(1))
    residual = matmul(wanted, other) - apply(x)
    direction = residual.copy()
    squares = _row_dots(residual, residual)
    for _ in range(steps):
        image = apply(direction)
        length = _quotient(squares, _row_dots(direction, image), squares)
        x += length * direction
        residual -= length * image
        before, squares = squares, _row_dots(residual, residual)
        direction *= _quotient(squares, before, squares)
        direction += residual
    return x


def _row_dots(left: Array, right: Array) -> Array:
    dots: Array = np.einsum("ij,ij->i", left, right)
    return dots[:, None]


def _quotient(above: Array, below: Array, squares: Array) -> Array:
    """Return a quotient for each row, 0 for rows that are solved."""
    return np.divide(above, below, out=np.zeros_like(above), where=(squares > SOLVED) & (below > 0))
