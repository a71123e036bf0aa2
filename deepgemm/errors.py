"""The errors that deepgemm raises, so that callers can tell what went wrong by class."""

from __future__ import annotations

__all__ = [
    "DTypeError",
    "FormatError",
    "MemoryBudgetError",
    "ShapeError",
    "StaleDataError",
    "UnsupportedError",
]


class ShapeError(ValueError):
    """Shapes or lengths of the operands do not fit together."""


class DTypeError(TypeError):
    """An array has a dtype that the operation or the format does not take."""


class FormatError(ValueError):
    """The parts of an operand do not form a valid matrix of its format."""


class MemoryBudgetError(MemoryError):
    """A result needs more memory than there is, or than the caller granted; the message has the figures.

    Attributes
    ----------
    nnz, nbytes : int
        Predicted entries of the result and the bytes of its arrays.
    budget : int
        The bytes that it may take.
    """

    def __init__(self, message: str, nnz: int, nbytes: int, budget: int) -> None:
        super().__init__(message)
        self.nnz, self.nbytes, self.budget = nnz, nbytes, budget

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.nnz, self.nbytes, self.budget)


class UnsupportedError(NotImplementedError):
    """The request is meaningful, but nothing here can serve it; the message says what can."""


class StaleDataError(RuntimeError):
    """Memory shared with an immutable array was changed after the array was made."""
