"""`sddmm`: the product of two dense matrices at the entries of a sparse mask, and nowhere else."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import DTypeError, FormatError, ShapeError
from ..planner.decision import Decision
from ..rounding import rounded, times
from ..sparse.base import SparseArray
from ..sparse.core import Factor
from ..sparse.csr import CSR
from . import _kernels as _kernels
from . import _request as request
from . import _specs as specs

__all__ = ["sddmm"]

Array = npt.NDArray[Any]

# A mask with fewer entries than a quarter of Y's columns has only the columns copied that it touches.
SPARSE_COLUMNS = 4
# Bytes of gathered operands that integers, which have no kernel, are multiplied through.
CHUNK_BYTES = 1 << 22


def sddmm(
    mask: Any,
    X: npt.ArrayLike,
    Y: npt.ArrayLike,
    *,
    scaled: bool = False,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
) -> CSR:
    """Return the product of two dense matrices at the entries of a mask (sampled dense-dense product).

    The value at (i, j) is the product of row i of `X` with column j of `Y`, wherever `mask` stores an
    entry. A stored zero is an entry; what the mask's values are does not matter, unless `scaled`.

    Parameters
    ----------
    mask : sparse array, shape (m, n)
        The places; sparse arrays of SciPy are taken too. Its entries may be unsorted; a place that is
        stored more than once is one place (and with `scaled` has the sum of its values).
    X : array_like, shape (m, k)
        Any strides; used as it is if its rows are contiguous, else copied once.
    Y : array_like, shape (k, n)
        Any strides; used as it is if its columns are contiguous (Fortran order, as `Z.T` of a C-ordered Z
        has it), else transposed into a copy once, k n elements.
    scaled : bool, optional
        Multiply each value by that of the mask, as in DGL's `sddmm`, for example to apply weights to edges.
    dtype, threads
        As for `gram`.
    kernel : str, optional
        Force an ISA ("avx2"), a kernel ("sddmm_dots") or both ("sddmm_dots@avx2").

    Returns
    -------
    CSR, shape (m, n)
        With the structure of the mask: it shares `indices` and `indptr` with `mask.tocsr().canonical()`.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or an operand is no matrix.
    DTypeError
        If a dtype is not stored, or cannot hold the result.
    FormatError
        If the mask is dense, or `X` or `Y` sparse.
    UnsupportedError
        If the kernel that `kernel` names cannot do it.

    Notes
    -----
    O(nnz k), with k n elements of memory where `Y` is transposed. Each value is 16 interleaved chains of
    fused multiply-adds, lane = position mod 16, from +0, then the tree l + 8, l + 4, l + 2, l + 1, in the
    accumulator dtype; `scaled` multiplies there once more, and one rounding to the output dtype ends it. So
    results do not depend on ISA or threads, and equal those of `matmul` of two vectors. Threads split the
    entries, a single long row included.

    PyTorch's `sampled_addmm(mask, X, Y, beta=0)` is the same product [1]_.

    References
    ----------
    .. [1] I. Nisa et al., "Sampled dense matrix multiplication for high-performance machine learning",
       HiPC (2018).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> mask = dg.CSR([[1.0, 0.0], [5.0, 7.0]])
    >>> X, Y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.5], [1.0, 0.5]])
    >>> dg.sddmm(mask, X, Y).toarray()
    array([[3. , 0. ],
           [7. , 3.5]])
    >>> dg.sddmm(mask, X, Y, scaled=True).data
    array([ 3. , 35. , 24.5])
    """
    return masked("sddmm", mask, X, Y, scaled, dtype, threads, kernel)


def masked(
    op: str,
    mask: Any,
    X: Any,
    Y: Any,
    scaled: bool,
    dtype: npt.DTypeLike | None,
    threads: int | None,
    kernel: str | None,
) -> CSR:
    """Do `sddmm` for the operation that is named in messages."""
    return _computed(planned(op, mask, X, Y, scaled=scaled, dtype=dtype, threads=threads, kernel=kernel))


class Planned(NamedTuple):
    """A sampled product that was checked and decided, but not computed.

    Attributes
    ----------
    rows : CSR
        The mask, canonical.
    X, Y : numpy.ndarray
    scaled : bool
        Whether values are multiplied by those of the mask.
    chain, output : numpy.dtype
    wanted : Options
    decision : Decision
    """

    rows: CSR
    X: Array
    Y: Array
    scaled: bool
    chain: np.dtype[Any]
    output: np.dtype[Any]
    wanted: request.Options
    decision: Decision


def planned(
    op: str,
    mask: Any,
    X: Any,
    Y: Any,
    *,
    scaled: bool = False,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
) -> Planned:
    """Check a sampled product and decide how to compute it."""
    env = request.current_settings()
    wanted = request.options(op, dtype, threads, kernel, True, env)
    places = request.operand(op, "mask", mask)
    if not isinstance(places, SparseArray):
        raise FormatError(f"{op}: mask is dense, expected a sparse array; CSR(mask) has its non-zero places")
    left, right = _dense(op, "X", X), _dense(op, "Y", Y)
    _check_shapes(op, places, left, right)
    places._check_fresh()
    chain, output = request.output_dtype(op, left.dtype, right.dtype, left.shape[1], wanted.dtype)
    if scaled:
        _check_scale(op, places.dtype, chain)
    elif places.dtype.itemsize == 1 and not places.has_canonical_format:
        # Sums of duplicates could overflow, which must not matter where only places count.
        places = places.with_data(np.ones(places.data.shape, np.bool_))
    rows = places.tocsr().canonical()
    operands = (specs.dense_spec(left), specs.dense_spec(right))
    decision = request.decided_once("sddmm", operands, (chain, output), wanted, env, specs.sparse_spec(rows))
    return Planned(rows, left, right, scaled, chain, output, wanted, decision)


def _computed(plan: Planned) -> CSR:
    rows, chain = plan.rows, plan.chain
    if plan.decision.choice.candidate.kernel == "sddmm_dots":
        threads = request.thread_count(plan.wanted)
        values = _dots(rows, plan.X, plan.Y, chain, threads, plan.wanted.choice.isa)
    else:
        values = _exact_values(rows, plan.X, plan.Y, chain)
    if plan.scaled:
        values = times(values, rounded(rows.data, chain))
    return rows.with_data(rounded(values, plan.output))


def _dense(op: str, name: str, value: Any) -> Array:
    array = request.matrix(op, name, value)
    if isinstance(array, Factor):
        raise FormatError(f"{op}: {name} is a {type(array).__name__}, expected a dense array")
    result: Array = array
    return result


def _check_shapes(op: str, mask: SparseArray, X: Array, Y: Array) -> None:
    if X.shape[1] != Y.shape[0]:
        raise ShapeError(f"{op}: X has {X.shape[1]} columns but Y has {Y.shape[0]} rows")
    if mask.shape[0] != X.shape[0]:
        raise ShapeError(f"{op}: mask has {mask.shape[0]} rows but X has {X.shape[0]}")
    if mask.shape[1] != Y.shape[1]:
        raise ShapeError(f"{op}: mask has {mask.shape[1]} columns but Y has {Y.shape[1]}")


def _check_scale(op: str, scale: np.dtype[Any], chain: np.dtype[Any]) -> None:
    if not request.can_hold(chain, scale):
        raise DTypeError(f"{op}: the mask's values are {scale}, but the product is {chain}")


def _dots(rows: CSR, X: Array, Y: Array, chain: np.dtype[Any], threads: int, isa: str | None) -> Array:
    indices = rows.indices
    if rows.nnz < Y.shape[1] // SPARSE_COLUMNS:
        used, indices = np.unique(rows.indices, return_inverse=True)
        indices = indices.astype(rows.indptr.dtype)
        Y = Y.T[used].T
    values = np.empty(rows.nnz, chain)
    _core.sddmm(isa, rows.indptr, indices, _addressable(X, chain), _addressable(Y, chain), values, threads)
    return values


def _addressable(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return an array of that dtype whose strides are whole elements: itself, wherever possible."""
    array = array.astype(dtype, copy=False)
    whole = array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides)
    return array if whole else array.copy()


def _exact_values(rows: CSR, X: Array, Y: Array, chain: np.dtype[Any]) -> Array:
    """Return the values for integers and truth values, whose sums do not depend on their order."""
    values = np.empty(rows.nnz, chain)
    of_entry = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    columns = Y.T
    step = max(1, CHUNK_BYTES // max(X.shape[1] * chain.itemsize, 1))
    for begin in range(0, rows.nnz, step):
        piece = slice(begin, begin + step)
        left = X[of_entry[piece]].astype(chain, copy=False)
        right = columns[rows.indices[piece]].astype(chain, copy=False)
        if chain.kind == "b":
            values[piece] = (left & right).any(axis=1)
        else:
            values[piece] = (left * right).sum(axis=1, dtype=chain)
    return values
