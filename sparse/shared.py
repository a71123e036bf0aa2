"""What immutable values that may share memory have in common: their freshness, and how they are copied."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import StaleDataError

S = TypeVar("S", bound="Shared")


class Shared:
    """A value whose parts may belong to the caller: it notices, as far as is cheap, when they change."""

    __slots__ = ()

    _fingerprint: int

    @abstractmethod
    def _take_fingerprint(self) -> int:
        """Return what tells the memory of the parts apart from what it was, as far as samples can."""

    @abstractmethod
    def copy(self: S) -> S:
        """Return the same value with private memory."""

    def _check_fresh(self) -> None:
        """Raise if shared memory was seen to change since construction (some changes go unnoticed)."""
        if self._take_fingerprint() != self._fingerprint:
            raise StaleDataError(
                f"{type(self).__name__}: memory that this array shares was changed after construction; "
                "make a new array of it, or use copy=True"
            )

    def __copy__(self: S) -> S:
        return self  # immutable

    def __deepcopy__(self: S, memo: dict[int, Any]) -> S:
        return self.copy()


def picklable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values as pickle moves them without a copy.

    Dtypes unknown to the buffer protocol travel as integers, and are viewed as themselves on arrival.
    """
    dtype: np.dtype[Any] = values.dtype
    return values if dtype.kind in "biufc" else values.view(f"u{dtype.itemsize}")
