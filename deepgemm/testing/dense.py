"""The dense problems."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import dtypes
from .problems import COLUMNS, SIZES, Case
from .values import random_values

Array: TypeAlias = npt.NDArray[Any]


def dense_cases(left: npt.DTypeLike = np.float64, right: npt.DTypeLike | None = None) -> list[Case]:
    """Return the dense problems: pairs of C-ordered arrays of shapes ``(m, k)`` and ``(k, n)``.

    Parameters
    ----------
    left, right : dtype_like
        Dtypes of the operands; `right` is `left` if it is not given.

    Returns
    -------
    list of Case
        Each makes a pair of arrays. The "zeros" ones have a left operand that is mostly zero.

    Examples
    --------
    >>> cases = {case.name: case for case in dense_cases("float32")}
    >>> [operand.shape for operand in cases["16x17x35"].make()]
    [(16, 17), (17, 35)]
    """
    left = dtypes.canonical(left)
    right = left if right is None else dtypes.canonical(right)
    shapes = [(m, 17, 35) for m in SIZES] + [(19, k, 33) for k in SIZES] + [(15, 19, n) for n in COLUMNS]
    shapes += [(1, 300, 1), (3, 1100, 17), (20, 1090, 40), (33, 257, 65), (70, 65, 131), (130, 40, 3)]
    shapes += [(0, 0, 0), (5, 0, 7)]
    cases: list[Case] = []

    def add(name: str, shape: tuple[int, int, int], zeros: float = 0.0, *tags: str) -> None:
        def make() -> tuple[Array, Array]:
            m, k, n = shape
            first = random_values(name + "A", (m, k), left, zeros=zeros)
            return first, random_values(name + "X", (k, n), right)

        cases.append(Case(name, make, frozenset(tags)))

    for shape in dict.fromkeys(shapes):
        add("x".join(map(str, shape)), shape)
    for shape, zeros in (((40, 60, 35), 0.95), ((17, 33, 16), 0.5), ((9, 20, 8), 1.0)):
        add("zeros-" + "x".join(map(str, shape)), shape, zeros, "zeros")
    return cases
