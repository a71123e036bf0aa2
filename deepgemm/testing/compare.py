"""Comparison by `==`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def assert_same(actual: Any, expected: Any, context: str = "") -> None:
    """Raise AssertionError unless two arrays are equal element by element, with ``==`` and not a tolerance.

    The sign of a zero and the sign and payload of a nan are the only freedoms; dtype and shape must agree.

    Parameters
    ----------
    actual, expected : array_like
        Arrays of any dtype that deepgemm stores.
    context : str
        Said first in the message: which problem this is.

    Examples
    --------
    >>> assert_same(np.array([0.0, np.nan]), np.array([-0.0, np.nan]))
    >>> assert_same(np.array([1.0, 2.0]), np.array([1.0, 2.5]), "toy")
    Traceback (most recent call last):
        ...
    AssertionError: toy: 1 of 2 elements differ, first at [1]: got 2.0, expected 2.5; largest difference 0.5
    """
    prefix = f"{context}: " if context else ""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.dtype != expected.dtype:
        raise AssertionError(f"{prefix}dtype is {actual.dtype}, expected {expected.dtype}")
    if actual.shape != expected.shape:
        raise AssertionError(f"{prefix}shape is {actual.shape}, expected {expected.shape}")
    same = np.ones(actual.shape, dtype=bool)
    for got, wanted in zip(_components(actual), _components(expected), strict=True):
        same &= (got == wanted) | ((got != got) & (wanted != wanted))
    if same.all():
        return
    first = tuple(int(i) for i in np.argwhere(~same)[0])
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        difference = np.abs(actual[~same].astype(wide) - expected[~same].astype(wide))
    raise AssertionError(
        f"{prefix}{np.count_nonzero(~same)} of {same.size} elements differ, first at {list(first)}: "
        f"got {actual[first].item()!r}, expected {expected[first].item()!r}; "
        f"largest difference {float(np.max(difference)):.3g}"
    )


def _components(values: Array) -> tuple[Array, ...]:
    return (values.real, values.imag) if values.dtype.kind == "c" else (values,)


def assert_segments(found: Any, expected: Any) -> None:
    """Raise AssertionError unless a ragged array has the segments of a list of arrays; nan equals nan."""
    assert len(found) == len(expected), f"{len(found)} segments, expected {len(expected)}"
    for number, (segment, wanted) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(segment, wanted, err_msg=f"segment {number}")
