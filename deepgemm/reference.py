"""Every operation in plain NumPy, in the order in which it is stated to round: the specification.

Kernels are compared with these functions by ``==``. Nothing here is fast for its own sake; the loops run
over the steps of a chain, and each step is vectorised over the output elements.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from . import dtypes
from .errors import DTypeError, FormatError, ShapeError

__all__ = ["dot", "fma", "matmul", "rounded"]

Array: TypeAlias = npt.NDArray[Any]
# A value as the arithmetic sees it: (x,) for real and integer dtypes, (re, im) for complex ones.
Parts: TypeAlias = tuple[Array, ...]
Step: TypeAlias = Callable[[Parts, Parts, Parts], Parts]

_LANES = 16  # interleaved chains of the dot-product shapes, whatever the vector width of the machine
_BLOCK = 8192  # elements of an fma done at a time, so that its forty temporaries stay in the cache
_VELTKAMP = float(2**27 + 1)

# Where Dekker's product and the two-sums below are exact in float64: no overflow in a*b or in the splitting
# of a and b, and no error term of a*b below the smallest subnormal. The rest goes through fractions.
_LARGEST_PRODUCT = 2.0**1000
_SMALLEST_PRODUCT = 2.0**-900
_LARGEST_OPERAND = 2.0**990


# --- the fused multiply-add ---


def fma(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Array:
    """Return ``a * b + c``, rounded once, for float32 or float64 arrays.

    Parameters
    ----------
    a, b, c : array_like of float32 or float64
        Operands; they are broadcast against each other and promoted to a common dtype.

    Returns
    -------
    numpy.ndarray
        The correctly rounded (to nearest, ties to even) result in that dtype. Infinities, nans, subnormal
        results, overflow and the signs of zeros are as IEEE 754 has them; no warning is issued.

    Raises
    ------
    DTypeError
        If the common dtype is neither float32 nor float64.

    Notes
    -----
    A float32 product is exact in float64; the sum is rounded to odd there and then once to float32. For
    float64: error-free transformations and a rounding to odd [1]_. Elements near the ends of the exponent
    range, where those transformations are not exact, are computed one by one in rational arithmetic, which
    takes some microseconds for each.

    References
    ----------
    .. [1] S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
       rounding to odd", IEEE Transactions on Computers 57 (2008).

    Examples
    --------
    >>> x = 1 + 2.0**-30
    >>> float(fma(x, x, -1.0)) == 2.0**-29 + 2.0**-60
    True
    >>> x * x - 1.0 == 2.0**-29 + 2.0**-60
    False
    """
    arrays = [np.asarray(x) for x in (a, b, c)]
    try:
        dtype = np.result_type(*arrays)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.char not in "fd":
        raise DTypeError(f"fma: operands have common dtype {dtype}, expected float32 or float64")
    arrays = [x.astype(dtype.newbyteorder("=")) for x in arrays]
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    flat = [np.broadcast_to(x, shape).reshape(-1) for x in arrays]
    with np.errstate(all="ignore"):
        return _fma(*flat).reshape(shape)


def _fma(a: Array, b: Array, c: Array) -> Array:
    """Do `fma` on operands of one dtype and as many axes as `c`, which has the shape of the result."""
    once = _fma32 if c.dtype == np.float32 else _fma64
    if c.size <= _BLOCK:
        return once(a, b, c)
    result = np.empty_like(c)
    rows = max(1, _BLOCK * len(c) // c.size)
    for begin in range(0, len(c), rows):
        piece = slice(begin, begin + rows)
        result[piece] = once(a if len(a) == 1 else a[piece], b if len(b) == 1 else b[piece], c[piece])
    return result


def _fma32(a: Array, b: Array, c: Array) -> Array:
    # 24 + 24 bits fit into 53, and the exponents of a float32 product into those of float64.
    product = a.astype(np.float64) * b.astype(np.float64)
    return _add_odd(product, c.astype(np.float64)).astype(np.float32)


def _fma64(a: Array, b: Array, c: Array) -> Array:
    product = a * b
    magnitude = np.abs(product)
    error = _product_error(a, b, product)
    upper, lower = _two_sum(c, error)
    high, low = _two_sum(product, upper)
    result: Array = high + _add_odd(lower, low)
    # An exact zero has the sign that the plain sum gives it; the steps above lose it.
    if not result.all():
        result = np.where(result == 0, product + c, result)

    exact = (magnitude < _LARGEST_PRODUCT) & ((magnitude > _SMALLEST_PRODUCT) | (a == 0) | (b == 0))
    if not (exact.all() and all(_bounded(x) for x in (a, b, c))):
        exact = exact & (np.abs(a) < _LARGEST_OPERAND) & (np.abs(b) < _LARGEST_OPERAND)
        exact &= np.abs(c) < _LARGEST_OPERAND
        rest = np.nonzero(~exact)
        full = (np.broadcast_to(x, result.shape)[rest] for x in (a, b, c))
        result[rest] = _fma64_anywhere(*full)
    return result


def _fma64_anywhere(a: Array, b: Array, c: Array) -> Array:
    factors_finite = np.isfinite(a) & np.isfinite(b)
    # With an infinite factor a*b is exact or nan; with finite ones it must not be let overflow against c.
    result = np.where(factors_finite, c, a * b + c)
    finite = np.flatnonzero(factors_finite & np.isfinite(c))
    triples = zip(a[finite].tolist(), b[finite].tolist(), c[finite].tolist(), strict=True)
    result[finite] = [_fma_rational(*triple) for triple in triples]
    return result


def _fma_rational(a: float, b: float, c: float) -> float:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        # Without a rounding error in a*b, which may have underflowed, the plain sum has the right sign.
        return a * b + c if a == 0 or b == 0 else 0.0
    try:
        rounded = float(exact)  # the division of two Python integers is correctly rounded
    except OverflowError:
        return float("inf") if exact > 0 else -float("inf")
    return rounded if rounded != 0 else (0.0 if exact > 0 else -0.0)


def _bounded(x: Array) -> bool:
    return x.size == 0 or bool(np.abs(x).max() < _LARGEST_OPERAND)


def _split(x: Array) -> tuple[Array, Array]:
    """Split float64 values into two halves of at most 26 bits each (Veltkamp)."""
    scaled = _VELTKAMP * x
    high = scaled - (scaled - x)
    return high, x - high


def _product_error(a: Array, b: Array, product: Array) -> Array:
    """Return ``a * b - product`` exactly, where `product` is the rounded product (Dekker)."""
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error: Array = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return error


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded sum and its exact error (Knuth)."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def _add_odd(a: Array, b: Array) -> Array:
    """Return a + b in float64, rounded to odd: an inexact sum goes to its neighbour with an odd last bit."""
    total, error = _two_sum(a, b)
    inexact = (error > 0) | (error < 0)  # false for the nan that an infinite sum leaves here
    return _to_odd(total, inexact, (error < 0) != (total < 0))


def _to_odd(nearest: Array, inexact: Array, away: Array) -> Array:
    """Turn rounding to nearest into rounding to odd; `away` says that the magnitude was rounded up."""
    bits = np.ascontiguousarray(nearest).view(np.int64 if nearest.dtype == np.float64 else np.int32)
    odd: Array = ((bits - (inexact & away)) | inexact).view(nearest.dtype)
    return odd


# --- rounding to the output ---


def rounded(values: npt.ArrayLike, dtype: npt.DTypeLike) -> Array:
    """Return `values` in `dtype`, rounded once to nearest, ties to even.

    ``astype`` does not promise that: from float64 to bfloat16 or float8 it rounds through float32, and from
    large integers to half precision through float32 or float64. Integers wrap, as in NumPy.

    Parameters
    ----------
    values : array_like
        Values of any dtype that deepgemm stores.
    dtype : dtype_like
        The dtype wanted.

    Raises
    ------
    DTypeError
        If that would drop an imaginary part or a fraction (complex to real, floating to integer), or turn
        numbers into bool.

    Examples
    --------
    >>> import deepgemm.dtypes as dtypes
    >>> just_above_a_tie = np.array([1 + 2**-8 + 2**-40])
    >>> float(rounded(just_above_a_tie, dtypes.bfloat16)[0])
    1.0078125
    >>> float(just_above_a_tie.astype(dtypes.bfloat16)[0])
    1.0
    """
    values = np.asarray(values)
    source, target = values.dtype, dtypes.canonical(dtype)
    if _rank(target) < _rank(source):
        raise DTypeError(f"dtype is {target}, which cannot hold results computed in {source}")
    if source == target:
        return values
    with np.errstate(all="ignore"):
        if dtypes.is_float(target) and target.itemsize <= 4:
            if source.kind in "iu":
                values = _integers_to_odd(values)
            if values.dtype == np.float64 and target.itemsize < 4:
                values = _narrowed_to_odd(values)
        return values.astype(target)


def _rank(dtype: np.dtype[Any]) -> int:
    """Order the kinds of numbers by what they can hold: bool, integers, reals, complex numbers."""
    if dtypes.is_float(dtype):
        return 2
    return {"b": 0, "i": 1, "u": 1, "c": 3}[dtype.kind]


def _narrowed_to_odd(values: Array) -> Array:
    """Round float64 to odd in float32, from where one rounding to any narrower dtype is still correct."""
    nearest = values.astype(np.float32)
    # A finite value must not become infinite here: that is for the rounding that follows to decide.
    largest = np.finfo(np.float32).max
    nearest = np.where(np.isfinite(values), np.clip(nearest, -largest, largest), nearest)
    back = nearest.astype(np.float64)
    inexact = (back != values) & np.isfinite(values)
    return _to_odd(nearest, inexact, np.abs(back) > np.abs(values))


def _integers_to_odd(values: Array) -> Array:
    """Convert integers to float64; where that is not exact, round to odd."""
    shift = 11  # 64 - 53
    quotient = values.astype(np.int64) if values.dtype != np.uint64 else values
    sticky = (quotient & ((1 << shift) - 1)) != 0
    large = ((quotient >> shift) | sticky).astype(np.float64) * 2.0**shift
    exact = quotient.astype(np.float64)
    return np.where(np.abs(exact) < 2.0**53, exact, large)


# --- operands ---


class _Rows(NamedTuple):
    """A sparse operand in canonical row-compressed form."""

    indptr: Array
    indices: Array
    values: Array


def _entries(matrix: Any) -> tuple[Array, Array, Array]:
    """Return the rows, columns and values of a sparse matrix of any class in storage order."""
    kind = matrix.format
    if kind == "coo":
        return np.asarray(matrix.row), np.asarray(matrix.col), np.asarray(matrix.data)
    if kind not in ("csr", "csc", "bsr"):
        return _entries(matrix.tocoo())
    indptr, minor = np.asarray(matrix.indptr), np.asarray(matrix.indices)
    stored = int(indptr[-1])
    minor, values = minor[:stored], np.asarray(matrix.data)[:stored]
    major = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    if kind == "csc":
        return minor, major, values
    if kind == "bsr":
        height, width = values.shape[1:]
        rows = major[:, None, None] * height + np.arange(height)[None, :, None]
        columns = minor.astype(np.int64)[:, None, None] * width + np.arange(width)[None, None, :]
        return tuple(np.broadcast_to(x, values.shape).reshape(-1) for x in (rows, columns, values))  # type: ignore[return-value]
    return major, minor, values


def _canonical_rows(rows: Array, columns: Array, values: Array, n_rows: int) -> _Rows:
    """Sort entries by row, then column; sum duplicates in storage order, rounding back to storage once."""
    storage = values.dtype
    values = values.astype(dtypes.accumulator(storage, storage))
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 0)
    begin = np.flatnonzero(first)
    lengths = np.diff(np.append(begin, len(rows)))
    sums = values[begin]
    for position in range(1, int(lengths.max(initial=0))):
        more = lengths > position
        sums[more] += values[begin[more] + position]
    if storage.kind in "iu" and storage.itemsize == 1 and (sums.astype(storage) != sums).any():
        raise FormatError(f"matmul: duplicate entries have a sum that {storage} cannot hold")
    indptr = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows[begin], minlength=n_rows), out=indptr[1:])
    return _Rows(indptr, columns[begin].astype(np.int64), rounded(sums, storage))


def _is_sparse(operand: Any) -> bool:
    return hasattr(operand, "format") and not isinstance(operand, np.ndarray)


def _as_operand(operand: Any) -> Any:
    return operand if _is_sparse(operand) else np.asarray(operand)


def _parts(values: Array, accumulator: np.dtype[Any]) -> Parts:
    """Widen `values` to the accumulator dtype and take complex numbers apart."""
    wide = values.astype(accumulator)
    if accumulator.kind == "c":
        return np.ascontiguousarray(wide.real), np.ascontiguousarray(wide.imag)
    return (wide,)


def _joined(parts: Parts, accumulator: np.dtype[Any]) -> Array:
    if accumulator.kind != "c":
        return parts[0]
    result = np.empty(parts[0].shape, dtype=accumulator)
    result.real, result.imag = parts
    return result


def _zeros(shape: tuple[int, ...], accumulator: np.dtype[Any]) -> Parts:
    return _parts(np.zeros(shape, dtype=accumulator), accumulator)


# --- the steps of a chain ---


def _step(accumulator: np.dtype[Any]) -> Step:
    """Return the function that adds one product ``left * right`` to a chain."""
    if accumulator.kind == "b":
        return _step_bool
    return {"c": _step_complex, "f": _step_real}.get(accumulator.kind, _step_integer)


def _step_bool(left: Parts, right: Parts, total: Parts) -> Parts:
    return ((left[0] & right[0]) | total[0],)


def _step_integer(left: Parts, right: Parts, total: Parts) -> Parts:
    return (left[0] * right[0] + total[0],)


def _step_real(left: Parts, right: Parts, total: Parts) -> Parts:
    return (_fma(left[0], right[0], total[0]),)


def _step_complex(left: Parts, right: Parts, total: Parts) -> Parts:
    (a_re, a_im), (b_re, b_im), (re, im) = left, right, total
    re = _fma(a_re, b_re, re)
    re = _fma(-a_im, b_im, re)
    im = _fma(a_re, b_im, im)
    im = _fma(a_im, b_re, im)
    return re, im


# --- matmul ---


def matmul(A: Any, B: Any, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``A @ B`` in the order in which deepgemm states that it rounds.

    Each element of the result is one chain ``acc = fma(A[i, k], B[k, j], acc)`` over ascending ``k``,
    starting from +0, in the accumulator dtype (`deepgemm.dtypes.accumulator`), rounded once at the end to
    the output dtype. Where a sparse operand has no entry, the step is left out; entries that are zero are
    multiplied.
    Complex steps are ``re = fma(ar, br, re); re = fma(-ai, bi, re); im = fma(ar, bi, im);
    im = fma(ai, br, im)``, where ``a`` is the left operand; a real operand that meets a complex one has the
    imaginary part +0. Integers are summed exactly where both operands are 8 bits wide and otherwise wrap in
    their common dtype, bool is or-and. Entries stored more than once are summed first, in storage order, in
    the accumulator dtype of their own dtype, and rounded back to it once, so that the product is the one of
    the canonical matrix.

    Parameters
    ----------
    A, B : array_like or sparse matrix
        Operands with one or two axes: arrays, SciPy sparse matrices, deepgemm sparse arrays. Shapes are
        ``(m, k)`` and ``(k, n)``; a vector is a row on the left and a column on the right. Two vectors are
        multiplied by `dot`.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    numpy.ndarray
        The product, always dense, in C order; it has the axes that ``numpy.matmul`` gives it.

    Raises
    ------
    ShapeError
        If an operand has no axis or more than two, or the inner dimensions differ.
    DTypeError
        If an operand or the result has a dtype that does not fit.
    FormatError
        If duplicate 8-bit entries have a sum that does not fit their dtype.

    Notes
    -----
    A step costs some nanoseconds for each element of the output, and there are as many steps as the longest
    row of the sparse operand has entries, or as the inner dimension is long.

    Examples
    --------
    >>> import scipy.sparse
    >>> A = scipy.sparse.csr_array([[2.0, 0.0], [0.0, 3.0]])
    >>> matmul(A, [[1.0, 10.0], [float("inf"), 20.0]]).tolist()
    [[2.0, 20.0], [inf, 60.0]]
    >>> matmul(A.toarray(), [[1.0, 10.0], [float("inf"), 20.0]]).tolist()
    [[nan, 20.0], [inf, 60.0]]
    """
    A, B = _as_operand(A), _as_operand(B)
    for name, operand in (("A", A), ("B", B)):
        if operand.ndim not in (1, 2):
            raise ShapeError(f"matmul: {name} has {operand.ndim} dimensions, expected 1 or 2")
    inner = A.shape[-1]
    if inner != B.shape[0]:
        raise ShapeError(f"matmul: A has {inner} columns but B has {B.shape[0]} rows")
    if A.ndim == 1 and B.ndim == 1 and not (_is_sparse(A) or _is_sparse(B)):
        return dot(A, B, dtype=dtype)
    left, right = dtypes.canonical(A.dtype, "A"), dtypes.canonical(B.dtype, "B")
    accumulator = dtypes.accumulator(left, right)
    output = dtypes.default_output(left, right, inner) if dtype is None else dtypes.canonical(dtype)

    shape = A.shape[:-1] + B.shape[1:]
    A, B = _as_matrix(A, row=True), _as_matrix(B, row=False)
    with np.errstate(all="ignore"):
        if _is_sparse(A):
            result = _sparse_product(_entries(A), A.shape[0], B, accumulator, _step(accumulator))
        elif _is_sparse(B):
            rows, columns, values = _entries(B)
            swapped = _swapped(_step(accumulator))
            result = _sparse_product((columns, rows, values), B.shape[1], A.T, accumulator, swapped).T
        else:
            result = _dense_product(A, B, accumulator)
        return np.ascontiguousarray(rounded(result, output)).reshape(shape)


def _as_matrix(operand: Any, *, row: bool) -> Any:
    if operand.ndim == 2:
        return operand
    return operand.reshape((1, -1) if row else (-1, 1))


def _swapped(step: Step) -> Step:
    """Let a step be called with the right operand first; complex steps are not symmetric."""
    return lambda right, left, total: step(left, right, total)


def _dense_product(A: Array, B: Array, accumulator: np.dtype[Any]) -> Array:
    step = _step(accumulator)
    left, right = _parts(A, accumulator), _parts(B, accumulator)
    total = _zeros((A.shape[0], B.shape[1]), accumulator)
    for k in range(A.shape[1]):
        total = step(tuple(x[:, k, None] for x in left), tuple(x[None, k, :] for x in right), total)
    return _joined(total, accumulator)


def _sparse_product(
    entries: tuple[Array, Array, Array], n_rows: int, other: Any, accumulator: np.dtype[Any], step: Step
) -> Array:
    """Multiply sparse entries by `other` on their right; step p takes the p-th entry of every row at once."""
    sparse = _canonical_rows(*entries, n_rows)
    dense, present = _filled(other)
    values, columns = _parts(sparse.values, accumulator), _parts(dense, accumulator)

    lengths = np.diff(sparse.indptr)
    order = np.argsort(-lengths, kind="stable")  # long rows first, so that the active ones are a prefix
    begin = sparse.indptr[:-1][order]
    longest = int(lengths.max(initial=0))
    active = np.searchsorted(-lengths[order], -np.arange(longest), side="left")

    total = _zeros((n_rows, dense.shape[1]), accumulator)
    for position, count in enumerate(active.tolist()):
        entry = begin[:count] + position
        index = sparse.indices[entry]
        before = tuple(x[:count] for x in total)
        after = step(tuple(x[entry][:, None] for x in values), tuple(x[index] for x in columns), before)
        for whole, old, new in zip(total, before, after, strict=True):
            whole[:count] = new if present is None else np.where(present[index], new, old)
    result = np.empty((n_rows, dense.shape[1]), dtype=accumulator)
    result[order] = _joined(total, accumulator)
    return result


def _filled(other: Any) -> tuple[Array, Array | None]:
    """Return `other` as a dense array and, if it is sparse, which of its elements are entries."""
    if not _is_sparse(other):
        return other, None
    n_rows, n_columns = other.shape
    sparse = _canonical_rows(*_entries(other), n_rows)
    rows = np.repeat(np.arange(n_rows), np.diff(sparse.indptr))
    dense = np.zeros((n_rows, n_columns), dtype=sparse.values.dtype)
    present = np.zeros((n_rows, n_columns), dtype=bool)
    dense[rows, sparse.indices] = sparse.values
    present[rows, sparse.indices] = True
    return dense, present


# --- dot ---


def dot(x: npt.ArrayLike, y: npt.ArrayLike, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return the inner product of two vectors in the order stated for dot-product shapes.

    Sixteen interleaved chains, where position ``k`` belongs to lane ``k % 16``, each from +0 over ascending
    positions with the steps of `matmul`; then lane ``l`` takes up lane ``l + 8``, then ``l + 4``, ``l + 2``
    and ``l + 1`` by plain additions; then one rounding to the output dtype. Nothing is conjugated.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        The vectors; dtypes mix as in `matmul`.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    numpy.ndarray
        The product, with no axis.

    Raises
    ------
    ShapeError
        If an operand has not one axis, or the lengths differ.
    DTypeError
        If an operand or the result has a dtype that does not fit.

    Examples
    --------
    >>> float(dot([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
    32.0
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"dot: operands have {x.ndim} and {y.ndim} dimensions, expected 1 and 1")
    if len(x) != len(y):
        raise ShapeError(f"dot: x has {len(x)} elements but y has {len(y)}")
    left, right = dtypes.canonical(x.dtype, "x"), dtypes.canonical(y.dtype, "y")
    accumulator = dtypes.accumulator(left, right)
    output = dtypes.default_output(left, right, len(x)) if dtype is None else dtypes.canonical(dtype)
    a, b = _parts(x, accumulator), _parts(y, accumulator)
    step = _step(accumulator)
    lanes = _zeros((_LANES,), accumulator)
    with np.errstate(all="ignore"):
        for begin in range(0, len(x), _LANES):
            piece = slice(begin, begin + _LANES)
            count = len(x[piece])
            head = tuple(lane[:count] for lane in lanes)
            for lane, new in zip(
                lanes, step(tuple(p[piece] for p in a), tuple(p[piece] for p in b), head), strict=True
            ):
                lane[:count] = new
        add = operator.or_ if accumulator.kind == "b" else operator.add
        width = _LANES // 2
        while width:
            lanes = tuple(add(lane[:width], lane[width : 2 * width]) for lane in lanes)
            width //= 2
        return rounded(_joined(lanes, accumulator)[0], output)
