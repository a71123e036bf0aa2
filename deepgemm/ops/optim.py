"""`optim`: SGD, Adagrad and row-wise Adagrad on the rows of a table that bags name, in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import DTypeError, FormatError, ShapeError
from . import _bag_gradients, _tables
from . import _request as request

__all__ = ["adagrad", "rowwise_adagrad", "sgd"]

Array = npt.NDArray[Any]


def sgd(
    table: Array,
    grad: npt.ArrayLike,
    bags: Any,
    lr: float,
    mode: str = "sum",
    weights: Any = None,
    padding_idx: Any = None,
    out_of_range: str = "raise",
    *,
    include_last_offset: bool = False,
) -> None:
    """Step the rows of a table that bags name, in place: ``row -= lr * g``.

    Parameters
    ----------
    table : numpy.ndarray, shape (m, n)
        Written. float32, float64, float16 or bfloat16, with contiguous rows; a memory map may be given.
    grad : array_like, shape (bags, n)
        Gradient of the result of `embedding_bag`, of the chain's dtype (float64 for a float64 table, else
        float32) or narrower.
    bags, mode, weights, padding_idx, out_of_range, include_last_offset
        As they were in `embedding_bag`; see `embedding_bag_grad`.
    lr : float
        Learning rate.

    Raises
    ------
    IndexError
        If an id is out of range. Then, as for every other error, nothing has been written.
    ShapeError, DTypeError, FormatError, ValueError
        If something is malformed, does not fit together, or `table` cannot be written.
    UnsupportedError
        If `mode` is "max".

    Notes
    -----
    O(ids n). Gradients are those of `embedding_bag_grad`, one row at a time, in registers and the first
    cache: ``row = fma(-lr, g, row)``, rounded once to the dtype of the table. So a step is the same for
    any number of threads, with duplicate ids too. This is FBGEMM's EXACT_SGD.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> table = np.ones((3, 2), np.float32)
    >>> dg.optim.sgd(table, np.ones((2, 2), np.float32), [[0, 2], [2]], lr=0.25)
    >>> table
    array([[0.75, 0.75],
           [1.  , 1.  ],
           [0.5 , 0.5 ]], dtype=float32)
    """
    op = "optim.sgd"
    chain = _checked_table(op, table)
    rate = finite_number(op, "lr", lr, -math.inf)
    named = _bag_gradients.read(
        op, grad, bags, len(table), mode, weights, padding_idx, out_of_range, include_last_offset, chain
    )
    _step("sgd", op, table, None, named, rate, 0.0)


def adagrad(
    table: Array,
    state_sum: Array,
    grad: npt.ArrayLike,
    bags: Any,
    lr: float,
    eps: float = 1e-10,
    mode: str = "sum",
    weights: Any = None,
    padding_idx: Any = None,
    out_of_range: str = "raise",
    *,
    include_last_offset: bool = False,
) -> None:
    """Step rows in place by Adagrad: ``s += g**2; row -= lr * g / (sqrt(s) + eps)``, element by element.

    Parameters
    ----------
    table, grad, bags, lr, mode, weights, padding_idx, out_of_range, include_last_offset
        As for `sgd`.
    state_sum : numpy.ndarray, shape (m, n)
        Written: the sums of squares, zeros at first. float64 for a float64 table, else float32. It shares no
        memory with the table.
    eps : float
        Added to the root; 1e-10 as in PyTorch.

    Raises
    ------
    IndexError, ShapeError, DTypeError, FormatError, ValueError, UnsupportedError
        As for `sgd`; nothing has been written then.

    Notes
    -----
    Duchi, Hazan and Singer (2011); FBGEMM's EXACT_ADAGRAD. Each operation rounds, in the dtype of
    `state_sum`, the first and the last of them being fused.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> table, state = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    >>> dg.optim.adagrad(table, state, np.full((1, 1), 2.0, np.float32), [[1]], lr=0.5)
    >>> table.tolist(), state.tolist()
    ([[1.0], [0.5]], [[0.0], [4.0]])
    """
    op = "optim.adagrad"
    chain = _checked_table(op, table)
    rate, epsilon = finite_number(op, "lr", lr, -math.inf), finite_number(op, "eps", eps, 0.0)
    _checked(op, "state_sum", state_sum, chain, table, table.shape)
    named = _bag_gradients.read(
        op, grad, bags, len(table), mode, weights, padding_idx, out_of_range, include_last_offset, chain
    )
    _step("adagrad", op, table, state_sum, named, rate, epsilon)


def rowwise_adagrad(
    table: Array,
    state_sum: Array,
    grad: npt.ArrayLike,
    bags: Any,
    lr: float,
    eps: float = 1e-8,
    mode: str = "sum",
    weights: Any = None,
    padding_idx: Any = None,
    out_of_range: str = "raise",
    *,
    include_last_offset: bool = False,
) -> None:
    """Step rows in place by row-wise Adagrad: ``s += mean(g**2); row -= lr / (sqrt(s) + eps) * g``.

    Parameters
    ----------
    table, grad, bags, lr, mode, weights, padding_idx, out_of_range, include_last_offset
        As for `sgd`.
    state_sum : numpy.ndarray, shape (m,)
        Written: one number for each row, zeros at first. float64 for a float64 table, else float32. It
        shares no memory with the table.
    eps : float
        Added to the root; 1e-8 as in FBGEMM.

    Raises
    ------
    IndexError, ShapeError, DTypeError, FormatError, ValueError, UnsupportedError
        As for `sgd`; nothing has been written then.

    Notes
    -----
    FBGEMM's EXACT_ROWWISE_ADAGRAD. The sum of squares is `deepgemm.reference.dot` of a gradient with itself.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> table, state = np.ones((2, 2), np.float32), np.zeros(2, np.float32)
    >>> dg.optim.rowwise_adagrad(table, state, np.array([[2.0, 0.0]], np.float32), [[1]], lr=0.0)
    >>> state
    array([0., 2.], dtype=float32)
    """
    op = "optim.rowwise_adagrad"
    chain = _checked_table(op, table)
    rate, epsilon = finite_number(op, "lr", lr, -math.inf), finite_number(op, "eps", eps, 0.0)
    _checked(op, "state_sum", state_sum, chain, table, table.shape[:1])
    named = _bag_gradients.read(
        op, grad, bags, len(table), mode, weights, padding_idx, out_of_range, include_last_offset, chain
    )
    _step("rowwise_adagrad", op, table, state_sum[:, None], named, rate, epsilon)


def _step(
    optimiser: str,
    op: str,
    table: Array,
    state: Array | None,
    named: _bag_gradients.Named,
    rate: float,
    epsilon: float,
) -> None:
    if named.gradient.shape[1] != table.shape[1]:
        raise ShapeError(
            f"{op}: grad has {named.gradient.shape[1]} columns, but the table has {table.shape[1]}"
        )
    gradient = named.gradient
    # Rows are written one by one, so that a view of them would be read after some had been.
    if any(np.may_share_memory(gradient, written) for written in (table, state) if written is not None):
        gradient = gradient.copy()
    _core.step_rows(
        optimiser,
        request.one_kernel_options(op, None, None, None).choice.isa,
        table,
        state,
        named.rows,
        gradient,
        named.bags,
        named.offsets,
        named.weights,
        rate,
        epsilon,
    )


def _checked_table(op: str, table: Any) -> np.dtype[Any]:
    """Return the chain's dtype of a table that can be written in place."""
    if not isinstance(table, np.ndarray) or table.ndim != 2:
        what = f"{table.ndim} dimensions" if isinstance(table, np.ndarray) else f"type {type(table).__name__}"
        raise ShapeError(f"{op}: table has {what}, expected a NumPy array with 2")
    if table.dtype not in _tables.PLAIN or not table.dtype.isnative:
        raise DTypeError(
            f"{op}: table has dtype {table.dtype}, expected native {', '.join(map(str, _tables.PLAIN))}"
        )
    _check_writable(op, "table", table)
    return np.dtype(np.float64) if table.dtype.char == "d" else np.dtype(np.float32)


def _checked(
    op: str, name: str, state: Any, chain: np.dtype[Any], table: Array, shape: tuple[int, ...]
) -> None:
    if not isinstance(state, np.ndarray) or state.shape != shape:
        what = f"shape {state.shape}" if isinstance(state, np.ndarray) else f"type {type(state).__name__}"
        raise ShapeError(f"{op}: {name} has {what}, expected a NumPy array of shape {shape}")
    if state.dtype != chain or not state.dtype.isnative:
        raise DTypeError(f"{op}: {name} has dtype {state.dtype}, expected {chain}")
    _check_writable(op, name, state)
    if np.shares_memory(state, table):
        raise FormatError(f"{op}: {name} shares memory with the table, but both are stepped in place")


def _check_writable(op: str, name: str, array: Array) -> None:
    if not array.flags.writeable:
        raise FormatError(f"{op}: {name} is read-only, but it is stepped in place")
    if not array.flags.aligned or not (array.ndim < 2 or _tables.has_whole_rows(array)):
        raise FormatError(f"{op}: {name} is not aligned, or its rows are not contiguous")


def finite_number(op: str, name: str, value: Any, least: float) -> float:
    """Return a finite number of at least `least`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= least):
        bound = "" if math.isinf(least) else f" of at least {least:g}"
        raise ValueError(f"{op}: {name} is {value!r}, expected a finite number{bound}")
    return number
