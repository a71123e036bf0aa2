"""The errors that deepgemm raises, so that callers can tell what went wrong by class."""

from __future__ import annotations

__all__ = ["DTypeError", "FormatError", "ShapeError", "StaleDataError", "UnsupportedError"]


class ShapeError(ValueError):
    """Shapes or lengths of the operands do not fit together."""


class DTypeError(TypeError):
    """An array has a dtype that the operation or the format does not take."""


class FormatError(ValueError):
    """The parts of an operand do not form a valid matrix of its format."""


class UnsupportedError(NotImplementedError):
    """The request is meaningful, but nothing here can serve it; the message says what can."""


class StaleDataError(RuntimeError):
    """Memory shared with an immutable array was changed after the array was made."""
