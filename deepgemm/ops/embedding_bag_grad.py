"""`embedding_bag_grad`: the gradient of an embedding bag with respect to the rows that were named."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from . import _bag_gradients
from . import _request as request

__all__ = ["embedding_bag_grad"]

Array = npt.NDArray[Any]


def embedding_bag_grad(
    grad: npt.ArrayLike,
    bags: Any,
    num_rows: int,
    mode: str = "sum",
    weights: Any = None,
    padding_idx: Any = None,
    out_of_range: str = "raise",
    *,
    include_last_offset: bool = False,
) -> tuple[Array, Array]:
    """Return the gradient of `embedding_bag` with respect to its table, for the rows that bags name.

    Parameters
    ----------
    grad : array_like, shape (bags, n)
        Gradient of the result, float32 or float64.
    bags, weights, padding_idx, out_of_range, include_last_offset
        As for `embedding_bag`. Ids that stood for a row of zeros have no gradient.
    num_rows : int
        Rows of the table.
    mode : {"sum", "mean"}
        As it was in `embedding_bag`.

    Returns
    -------
    rows : numpy.ndarray of int64, shape (named,)
        The rows that bags name, each once, ascending.
    values : numpy.ndarray, shape (named, n)
        Their gradients, in the dtype of `grad`. As ``torch.sparse_coo_tensor(rows[None], values)``, this is
        a coalesced sparse gradient.

    Raises
    ------
    IndexError
        If an id is out of range; the message names the bag, the position and the id.
    ShapeError, DTypeError, FormatError, ValueError
        If `grad`, bags and weights are malformed, or do not fit together.
    UnsupportedError
        If `mode` is "max".

    See Also
    --------
    optim : steps of optimisers that need no gradient to be stored.

    Notes
    -----
    O(ids n). Ids are sorted by a radix sort, so that each row's gradient is one chain
    ``acc = fma(weight, grad[bag], acc)`` in ascending order of positions, however often an id comes and
    however many threads there are.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> rows, values = dg.embedding_bag_grad(np.array([[1.0], [10.0]]), [[4, 2], [4]], num_rows=5)
    >>> rows, values
    (array([2, 4]), array([[ 1.],
           [11.]]))
    """
    op = "embedding_bag_grad"
    count = request.positive(op, "num_rows", num_rows, least=0)
    named = _bag_gradients.read(
        op, grad, bags, count, mode, weights, padding_idx, out_of_range, include_last_offset
    )
    gradient = named.gradient
    values = np.empty((len(named.rows), gradient.shape[1]), gradient.dtype)
    table = (gradient, str(gradient.dtype), gradient.shape[1], None, None, None)
    part = (table, named.bags, named.offsets, None, named.weights, -1)
    isa = request.one_kernel_options(op, None, None, None).choice.isa
    _core.bags("sum", isa, [part], "raise", values)
    return named.rows, values
