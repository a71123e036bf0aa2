"""`structure`, `show_kernels` and `show_machine`: what was measured, what can run, and how fast."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import _core
from ..kernels import registry
from ..planner import machine as machines
from ..planner.report import Report, Table
from ..planner.structure import Structure, block_fill, measure, measure_dense
from ..sparse.base import SparseArray
from . import _kernels as _kernels
from . import _request as request

__all__ = ["show_kernels", "show_machine", "structure"]


def structure(A: Any) -> Structure:
    """Measure an operand: density, line lengths, locality and block fill, or the zeros of a dense one.

    Parameters
    ----------
    A : sparse array or array_like
        One or two dimensions.

    Returns
    -------
    Structure
        With a readable `repr` and HTML.

    Notes
    -----
    Exact figures come from the one pass that validated the array; block fill and the zeros of a
    dense operand are estimated from bounded samples.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> found = dg.structure(dg.CSR(np.diag([1.0, 2.0, 3.0])))
    >>> found.nnz, found.max_row, found.bandwidth
    (3, 1, 0)
    """
    array = request.operand("structure", "A", A)
    if isinstance(array, SparseArray):
        array._check_fresh()
        return replace(measure(array), block_fill=block_fill(array))
    return measure_dense(array)


def show_kernels(op: str | None = None) -> Report:
    """Return a table of all kernels, in the order in which the planner looks at them.

    Parameters
    ----------
    op : str, optional
        Only those of this operation.

    Examples
    --------
    >>> import deepgemm as dg
    >>> "csr_rowwise" in str(dg.show_kernels())
    True
    """
    rows = tuple(
        (kernel.name, kernel.op, kernel.provider, _isas(kernel), kernel.summary)
        for kernel in registry.kernels(op)
    )
    return Report("kernels", (), (Table(("kernel", "operation", "provider", "ISAs", ""), rows),))


def _isas(kernel: registry.Kernel) -> str:
    """Return where a kernel runs on this CPU."""
    if not kernel.native:
        return ""
    found = _core.cpu_info()
    if kernel.feature is None:
        return ", ".join(found["usable"])
    return "avx512" if kernel.feature in found["features"] else f"none: the CPU has no {kernel.feature}"


def show_machine() -> Report:
    """Return the rates that predictions are made with, and where they come from.

    Examples
    --------
    >>> import deepgemm as dg
    >>> str(dg.show_machine()).startswith("machine:")
    True
    """
    return machines.current().report()
