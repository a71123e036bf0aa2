"""The steps of a chain: how one product is added, for each kind of accumulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..fma import fma_unchecked
from .operands import Parts

Step: TypeAlias = Callable[[Parts, Parts, Parts], Parts]


def step_of(accumulator: np.dtype[Any]) -> Step:
    """Return the function that adds one product ``left * right`` to a chain."""
    if accumulator.kind == "b":
        return _step_bool
    return {"c": _step_complex, "f": _step_real}.get(accumulator.kind, _step_integer)


def _step_bool(left: Parts, right: Parts, total: Parts) -> Parts:
    return ((left[0] & right[0]) | total[0],)


def _step_integer(left: Parts, right: Parts, total: Parts) -> Parts:
    return (left[0] * right[0] + total[0],)


def _step_real(left: Parts, right: Parts, total: Parts) -> Parts:
    return (fma_unchecked(left[0], right[0], total[0]),)


def _step_complex(left: Parts, right: Parts, total: Parts) -> Parts:
    (a_re, a_im), (b_re, b_im), (re, im) = left, right, total
    re = fma_unchecked(a_re, b_re, re)
    re = fma_unchecked(-a_im, b_im, re)
    im = fma_unchecked(a_re, b_im, im)
    im = fma_unchecked(a_im, b_re, im)
    return re, im
