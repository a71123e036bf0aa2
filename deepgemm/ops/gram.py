"""`gram` and `sandwich`: the symmetric products A.T @ A and A.T @ diag(w) @ A."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import default_output, is_float
from ..errors import FormatError, ShapeError
from ..kernels import registry
from ..planner.decision import Decision
from ..planner.problem import OperandSpec
from ..rounding import rounded, times
from ..sparse import convert
from ..sparse.base import SparseArray
from ..sparse.csr import CSR
from . import _budget as budget
from . import _kernels as _kernels
from . import _request as request
from . import _specs as specs
from ._columns import kernel_operand
from .estimate import predict
from .matmul import matmul

__all__ = ["gram", "sandwich"]

Array = npt.NDArray[Any]

Rows = tuple[Array, Array, Array]
"""(indptr, indices, data) of compressed rows."""


def gram(
    A: Any,
    *,
    upper: bool = False,
    sparse: bool = False,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
) -> Any:
    """Return the Gram matrix `A.T @ A`, dense or sparse, without forming the transpose.

    Parameters
    ----------
    A : sparse array or array_like, shape (m, n)
        Any format; sparse arrays of SciPy are taken too.
    upper : bool, optional
        Leave the part below the diagonal zero, as LAPACK's symmetric solvers accept it.
    sparse : bool, optional
        Return a CSR of the places where two columns of a sparse `A` meet in a row, sorted; sums that cancel
        to zero stay.
    dtype : dtype_like, optional
        Dtype of the result.
    threads : int, optional
        Use at most so many threads.
    kernel : str, optional
        Force an ISA ("avx2"), a kernel ("gram_pairs") or both ("gram_pairs@avx2").

    Returns
    -------
    numpy.ndarray or CSR, shape (n, n)
        Exactly symmetric, in C order, and equal to `matmul(A.T, A)`: each element is one chain of fused
        multiply-adds over ascending rows of `A`. Complex entries are not conjugated, as in `A.T @ A`. There
        the upper half is that of the product, and the lower one its mirror image, which may differ from the
        product in the last bit. For the Hermitian `A.conj().T @ A` call `matmul(A.conj().T, A)`.

    Raises
    ------
    ShapeError
        If `A` is no matrix.
    FormatError
        If `sparse` is asked of a dense `A`.
    MemoryBudgetError
        If a sparse result does not fit into the memory there is.
    UnsupportedError
        If the kernel that `kernel` names cannot do it.

    See Also
    --------
    sandwich : with a weight for each row.

    Notes
    -----
    O(sum of squared row lengths / 2) for a sparse `A`, where each pair of entries of a row is multiplied
    once (twice for a whole sparse result), and O(n**2) for a dense result. The columns of `A` are found once
    and kept with it as a layout (two indices for each entry, four where `A` is not CSR). A sparse `A` with so
    many entries that vectors win is multiplied as a dense copy.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.gram(dg.CSR([[1.0, 2.0], [0.0, 3.0]]))
    array([[ 1.,  2.],
           [ 2., 13.]])
    """
    return _computed(
        planned("gram", A, upper=upper, sparse=sparse, dtype=dtype, threads=threads, kernel=kernel)
    )


def sandwich(
    A: Any,
    w: npt.ArrayLike,
    *,
    upper: bool = False,
    sparse: bool = False,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
) -> Any:
    """Return `A.T @ diag(w) @ A`, dense or sparse: the matrix of weighted normal equations.

    Parameters
    ----------
    A : sparse array or array_like, shape (m, n)
        Any format; sparse arrays of SciPy are taken too.
    w : array_like, shape (m,)
        One weight for each row, of either sign; nan and inf go where arithmetic takes them.
    upper, sparse, dtype, threads, kernel
        As for `gram`.

    Returns
    -------
    numpy.ndarray or CSR, shape (n, n)
        Exactly symmetric, in C order. For i <= j: `t = round(w[k] * A[k, i])`, then
        `acc = fma(t, A[k, j], acc)` over ascending k; the other half is mirrored. Complex `A` or `w` are not
        conjugated: `t` rounds each real product and each sum, and the step is that of complex chains.

    Raises
    ------
    ShapeError
        If `A` is no matrix, or `w` has not one weight for each of its rows.
    FormatError
        If `w` is sparse, or `sparse` is asked of a dense `A`.
    UnsupportedError
        If the kernel that `kernel` names cannot do it.

    Notes
    -----
    As for `gram`. Repeated calls with other weights, as in iteratively re-weighted least squares, re-use the
    layout of `A`.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.sandwich(dg.CSR([[1.0, 2.0], [0.0, 3.0]]), [2.0, 1.0])
    array([[ 2.,  4.],
           [ 4., 17.]])
    """
    return _computed(
        planned("sandwich", A, w, upper=upper, sparse=sparse, dtype=dtype, threads=threads, kernel=kernel)
    )


class Planned(NamedTuple):
    """A symmetric product that was checked and decided, but not computed.

    Attributes
    ----------
    op : str
        "gram" or "sandwich".
    array : sparse array or numpy.ndarray
    weights : numpy.ndarray or None
        In the dtype of the chain.
    chain, output : numpy.dtype
    upper, sparse : bool
        What is wanted of the result.
    wanted : Options
    decision : Decision
    """

    op: str
    array: Any
    weights: Array | None
    chain: np.dtype[Any]
    output: np.dtype[Any]
    upper: bool
    sparse: bool
    wanted: request.Options
    decision: Decision


def planned(
    op: str,
    A: Any,
    w: Any = None,
    *,
    upper: bool = False,
    sparse: bool = False,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
) -> Planned:
    """Check a symmetric product and decide how to compute it."""
    env = request.current_settings()
    wanted = request.options(op, dtype, threads, kernel, True, env)
    array = request.matrix(op, "A", A)
    rows, columns = array.shape
    weights = None if op == "gram" else _weights(op, w, rows)
    scaled = array.dtype if weights is None else default_output(weights.dtype, array.dtype, 2**62)
    chain, output = request.output_dtype(op, scaled, array.dtype, rows, wanted.dtype)
    if weights is not None:
        weights = rounded(weights, chain)
    if isinstance(array, SparseArray):
        array._check_fresh()
    if sparse:
        if not isinstance(array, SparseArray):
            raise FormatError(f"{op}: sparse=True takes a sparse A, this one is dense")
    elif columns * columns * max(chain.itemsize, output.itemsize) > sys.maxsize:
        raise MemoryError(
            f"{op}: a result of {columns * columns:,} elements of {output} exceeds every memory"
        )
    spec = specs.spec_of(array, 0, specs.NOT_LOOKED_AT)
    named = op + "_sparse" if sparse else op
    decision = request.decided_once(named, (_turned(spec), spec), (chain, output), wanted, env)
    return Planned(op, array, weights, chain, output, upper, sparse, wanted, decision)


def _turned(spec: OperandSpec) -> OperandSpec:
    """Return what the transpose of an operand looks like."""
    formats, orders = {"csr": "csc", "csc": "csr"}, {"C": "F", "F": "C"}
    return replace(
        spec,
        shape=spec.shape[::-1],
        format=formats.get(spec.format, spec.format),
        order=orders.get(spec.order, spec.order) if spec.format == "dense" else spec.order,
        blocksize=None if spec.blocksize is None else spec.blocksize[::-1],
        layouts=(),
        donors=(),
    )


def _computed(plan: Planned) -> Array | CSR:
    chosen = plan.decision.choice.candidate
    array, weights, chain = plan.array, plan.weights, plan.chain
    # A kernel that was named is this operation's; of the product inside only the ISA is asked.
    choice = plan.wanted.choice
    isa = choice.isa or (chosen.isa if choice.algorithm is not None else None)
    if plan.sparse:
        if chosen.kernel == "gram_rows":
            parts = _sparse_parts(plan.op, array, weights, chain, plan.upper, plan.wanted)
            kernel: Any = registry.find("matmul", "csr_csr")
            made: CSR = kernel.result(parts, (array.shape[1], array.shape[1]), plan.output)
            return made
        return _whole_numbers(array, weights, chain, plan.output, plan.upper, isa)
    result = None
    if chosen.kernel == "gram_matmul":
        result = _through_matmul(array, weights, chain, plan.upper, plan.wanted.threads, isa)
    if result is None:
        result = _dense_result(array, weights, chain, plan.upper, plan.wanted)
    return rounded(result, plan.output)


def _weights(op: str, w: Any, rows: int) -> Array:
    weights = request.operand(op, "w", w)
    if isinstance(weights, SparseArray):
        raise FormatError(f"{op}: w is a {type(weights).__name__}, expected a vector of {rows} weights")
    if weights.ndim != 1:
        raise ShapeError(f"{op}: w has {weights.ndim} dimensions, expected a vector of {rows} weights")
    if len(weights) != rows:
        raise ShapeError(f"{op}: w has {len(weights)} weights but A has {rows} rows")
    result: Array = weights
    return result


def _has_kernel(chain: np.dtype[Any]) -> bool:
    return is_float(chain) or chain.kind == "c"


def _dense_result(
    array: SparseArray, weights: Array | None, chain: np.dtype[Any], upper: bool, wanted: request.Options
) -> Array:
    columns = array.shape[1]
    out = (np.zeros if upper else np.empty)((columns, columns), chain)
    operand = kernel_operand(array, weights, chain)
    _core.gram(wanted.choice.isa, *operand, out, not upper, request.thread_count(wanted))
    return out


def _sparse_parts(
    op: str,
    array: SparseArray,
    weights: Array | None,
    chain: np.dtype[Any],
    upper: bool,
    wanted: request.Options,
) -> Rows:
    """Return the rows of the result.

    The whole of a Gram matrix is a product like any other: factors of a multiplication may be exchanged,
    so both halves come out equal, and doing the arithmetic of the lower one again costs less than mirroring.
    A weight goes to the factor of the lower column: there the halves are products of their own, in which an
    entry (k, i) meets the part of row k from column i on, or before it. Steps of complex chains do not allow
    an exchange at all, so their lower half is mirrored.
    """
    threads, isa = request.thread_count(wanted), wanted.choice.isa
    limit = budget.limit_for(array.T, array, None)
    parts = kernel_operand(array, weights, chain)
    indptr, indices, values, column_ptr, rows_of, positions, _ = parts
    entries = np.arange(positions.size, dtype=positions.dtype)

    def product(left: Array, begins: Array, ends: Array | None, right: Array) -> Rows:
        lines = (begins, indices, right) if ends is None else (begins, indices, right, ends)
        left_rows = (column_ptr, rows_of if ends is None else entries, left)
        made: Rows | None = _core.csr_csr(isa, left_rows, lines, array.shape[1], threads, most_bytes=limit)
        if made is None:
            budget.refuse(op, limit, None, lambda: predict(array.T, array, request.current_settings()))
        return made

    plain = values[positions]
    if weights is None and not upper and chain.kind != "c":
        return product(plain, indptr, None, values)
    scaled = plain if weights is None else times(weights[rows_of], plain)
    above = product(scaled, positions, indptr[1:][rows_of], values)
    if upper:
        return above
    if chain.kind == "c":
        below = _mirrored(above)
    else:
        assert weights is not None
        below = product(plain, indptr[rows_of], positions, times(weights[convert.expand(indptr)], values))
    if below[1].size + above[1].size > np.iinfo(above[1].dtype).max:
        wide = np.dtype(np.int64)
    else:
        wide = max(below[1].dtype, above[1].dtype, key=lambda width: width.itemsize)
    joined: Rows = _core.join_rows(_widened(below, wide), _widened(above, wide))
    return joined


def _mirrored(above: Rows) -> Rows:
    """Return the part below the diagonal, of the rows from it on."""
    indptr, indices, values = above
    diagonal = indptr[:-1][np.diff(indptr) > 0]  # a column that has entries meets itself first
    lengths = np.diff(indptr)
    lengths[lengths > 0] -= 1
    begins = np.zeros_like(indptr)
    np.cumsum(lengths, out=begins[1:])
    return convert.transpose(begins, np.delete(indices, diagonal), lengths.size, np.delete(values, diagonal))


def _widened(rows: Rows, dtype: np.dtype[Any]) -> Rows:
    indptr, indices, data = rows
    return indptr.astype(dtype, copy=False), indices.astype(dtype, copy=False), data


def _whole_numbers(
    array: SparseArray,
    weights: Array | None,
    chain: np.dtype[Any],
    output: np.dtype[Any],
    upper: bool,
    isa: str | None,
) -> CSR:
    columns = array.shape[1]
    left = rows = array.astype(chain).tocsr().canonical()
    if weights is not None:  # no rounding, so both halves are the same already
        left = rows.with_data(times(weights[convert.expand(rows.indptr)], rows.data))
    product = matmul(left.T, rows, dtype=chain, kernel=isa).tocsr().canonical()
    if upper:
        places = convert.expand(product.indptr)
        above = product.indices >= places
        start = np.append(0, np.cumsum(np.bincount(places[above], minlength=columns)))
        product = CSR((product.data[above], product.indices[above], start), shape=(columns, columns))
    delivered: CSR = product.with_data(rounded(product.data, output))
    return delivered


def _through_matmul(
    array: Any,
    weights: Array | None,
    chain: np.dtype[Any],
    upper: bool,
    threads: int | None,
    kernel: str | None,
) -> Array | None:
    """Multiply the transpose by the matrix itself, made dense (integers stay sparse: SciPy is exact).

    None if an entry times the weight is not finite and would meet zeros that the sparse product skips.
    """
    left = array = array.astype(chain, copy=False)
    if isinstance(array, SparseArray):
        left = array = array.tocsr().canonical()
        if weights is not None:
            left = array.with_data(times(weights[convert.expand(array.indptr)], array.data))
        if _has_kernel(chain):
            if not _core.all_finite(left.data):
                return None
            array = array.toarray()
    elif weights is not None:
        left = times(weights[:, None], array)
    result: Any = matmul(left.T, array, dtype=chain, threads=threads, kernel=kernel)
    result = result.toarray() if isinstance(result, SparseArray) else result
    if upper:
        result = np.triu(result)
        return np.asarray(result)
    if weights is not None or chain.kind == "c":  # there the halves differ
        np.copyto(result, result.T.copy(), where=np.tri(len(result), k=-1, dtype=np.bool_))
    return np.asarray(result)
