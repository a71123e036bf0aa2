"""`explain`: why an operation would run as it would, without running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..planner.report import Report
from . import gram, sddmm
from .plan import plan

__all__ = ["explain"]


def _gram(A: Any, /, **options: Any) -> Any:
    if "w" in options:
        raise TypeError("explain: gram has no weights w; that of sandwich is explained by its name")
    return gram.planned("gram", A, **options).decision


_DECISIONS: dict[str, Callable[..., Any]] = {
    "gram": _gram,
    "sandwich": lambda A, w, /, **options: gram.planned("sandwich", A, w, **options).decision,
    "sddmm": lambda mask, X, Y, /, **options: sddmm.planned("sddmm", mask, X, Y, **options).decision,
    "matmul": plan,
}


def explain(op: str, *operands: Any, **options: Any) -> Report:
    """Return the measurements, the ranking and the refusals of an operation, without computing it.

    Parameters
    ----------
    op : {"matmul", "gram", "sandwich", "sddmm"}
        The operation. For "matmul" this is `plan(*operands, **options).explain()`.
    *operands, **options
        What the function of that name takes; for "matmul" what `plan` takes.

    Returns
    -------
    Report
        A table for terminals and notebooks.

    Raises
    ------
    ValueError
        If `op` is none of these.
    ShapeError, DTypeError, FormatError, UnsupportedError
        As the function of that name.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> report = dg.explain("gram", dg.CSR(np.eye(3)))
    >>> "gram_pairs" in str(report), "gram_matmul" in str(report)
    (True, True)
    """
    if not isinstance(op, str) or op not in _DECISIONS:
        raise ValueError(f"explain: op is {op!r}, expected one of {', '.join(map(repr, _DECISIONS))}")
    report: Report = _DECISIONS[op](*operands, **options).explain()
    return report
