"""The one list of problems, which feeds the tests and the benchmarks alike.

Every problem is small, deterministic and named; sizes straddle the vector widths 4, 8 and 16, and values are
such that another order of summation, a missing fused operation or a flushed subnormal changes the result.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse

from . import dtypes
from .matrices import Matrix, list_matrices, load_matrices

__all__ = [
    "COLUMNS",
    "LAYOUTS",
    "SEGMENT_LENGTHS",
    "SIZES",
    "WIDTHS",
    "Case",
    "Compressed",
    "Matrix",
    "assert_same",
    "assert_segments",
    "dense_cases",
    "list_matrices",
    "load_matrices",
    "random_values",
    "sparse_cases",
    "with_nonfinite",
]

Array: TypeAlias = npt.NDArray[Any]

WIDTHS = (4, 8, 16)
"""Numbers of elements in the vectors of the ISAs: float64 and float32 at 256 and 512 bits."""

SIZES = tuple(sorted({size for w in WIDTHS for size in (0, 1, w - 1, w, w + 1, 4 * w + 3)}))
"""Extents that straddle each vector width and a few vectors with a tail."""

COLUMNS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 19, 31, 32, 33, 35, 64, 67, 128, 131)
"""Numbers of columns of the dense operand: around vectors, and around blocks of several vectors."""

SEGMENT_LENGTHS = (3, 0, 1, 17, 0, 2, 8, 0)
"""Rows of the segments of a small ragged array: empty ones among them, first and last included."""


@dataclass(frozen=True)
class Compressed:
    """The parts of a row-compressed sparse matrix, of any storage dtype, not necessarily canonical.

    It has the attributes by which `deepgemm.reference` knows a sparse operand. Read as column-compressed,
    the same parts are the transposed matrix.

    Attributes
    ----------
    data, indices, indptr : numpy.ndarray
        As in ``scipy.sparse.csr_array``.
    shape : tuple of int
        Rows and columns.
    """

    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]
    format: str = "csr"
    ndim: int = 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the entries."""
        return self.data.dtype

    @property
    def nnz(self) -> int:
        """Number of entries, duplicates and zeros included."""
        return len(self.data)

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """The tuple that constructors of compressed arrays take."""
        return self.data, self.indices, self.indptr

    @property
    def transposed(self) -> Compressed:
        """The same parts read as a column-compressed matrix: the transpose."""
        return Compressed(self.data, self.indices, self.indptr, self.shape[::-1], "csc")

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse`` array of the same entries, in a dtype that SciPy has.

        It is a copy, because some methods of SciPy's arrays sort and shorten what they hold.
        """
        values = self.data.astype(dtypes.scipy_dtype(self.dtype))
        kind = scipy.sparse.csr_array if self.format == "csr" else scipy.sparse.csc_array
        return kind((values, self.indices, self.indptr), shape=self.shape, copy=True)


@dataclass(frozen=True)
class Case:
    """A named problem; `make` builds the same operand at every call.

    Attributes
    ----------
    name : str
        Unique in its list, fit for a test identifier.
    make : callable
        Returns a `Compressed` (from `sparse_cases`) or a pair of arrays (from `dense_cases`).
    tags : frozenset of str
        What is special: "unsorted", "duplicates", "stored-zeros", "subnormal", "large" (over 10,000 entries).
    """

    name: str
    make: Callable[[], Any]
    tags: frozenset[str] = frozenset()


# --- values ---


def random_values(
    seed: int | str, shape: int | tuple[int, ...], dtype: npt.DTypeLike, *, zeros: float = 0.0
) -> Array:
    """Return random values whose sums depend on the order in which they are rounded.

    Floating values have random signs and exponents spread over eight binades; integers use the whole range
    of 8-bit dtypes and twelve bits of others; bool is true in half of the places.

    Parameters
    ----------
    seed : int or str
        The same seed gives the same values on every machine.
    shape : int or tuple of int
        Shape of the result.
    dtype : dtype_like
        Any dtype that deepgemm stores.
    zeros : float
        Share of the values that are set to zero.

    Examples
    --------
    >>> random_values("x", 3, "int8").dtype
    dtype('int8')
    """
    dtype = dtypes.canonical(dtype)
    generator = np.random.default_rng(zlib.crc32(str(seed).encode()))
    if dtype.kind == "b":
        values = generator.integers(0, 2, shape).astype(bool)
    elif dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = max(int(limits.min), -2048), min(int(limits.max), 2047)
        values = generator.integers(low, high + 1, shape).astype(dtype)
    elif dtype.kind == "c":
        real = _random_reals(generator, shape)
        values = (real + 1j * _random_reals(generator, shape)).astype(dtype)
    else:
        values = _random_reals(generator, shape).astype(dtype)
    if zeros:
        values[generator.random(shape) < zeros] = 0
    return values


def _random_reals(generator: np.random.Generator, shape: int | tuple[int, ...]) -> Array:
    mantissa = generator.uniform(1.0, 2.0, shape) * generator.choice([-1.0, 1.0], shape)
    return np.asarray(mantissa * 2.0 ** generator.integers(-6, 2, shape))


def with_nonfinite(values: Array, seed: int | str = 0) -> Array:
    """Return a copy of a floating or complex array with some elements set to inf, -inf and nan.

    Examples
    --------
    >>> bool(np.isfinite(with_nonfinite(np.zeros(10))).all())
    False
    """
    values = values.copy()
    generator = np.random.default_rng(zlib.crc32(str(seed).encode()))
    special = np.array([np.inf, -np.inf, np.nan])
    if values.size:
        count = min(values.size, max(3, values.size // 16))
        places = generator.choice(values.size, count, replace=False)
        values.reshape(-1)[places] = np.resize(special, count).astype(values.dtype)
    return values


# --- sparse problems ---


def sparse_cases(dtype: npt.DTypeLike = np.float64, index_dtype: npt.DTypeLike = np.int32) -> list[Case]:
    """Return the sparse problems with entries of `dtype` and indices of `index_dtype`.

    Parameters
    ----------
    dtype : dtype_like
        Storage dtype of the entries.
    index_dtype : dtype_like
        int32 or int64.

    Returns
    -------
    list of Case
        Each makes a `Compressed`.

    Examples
    --------
    >>> cases = {case.name: case for case in sparse_cases("float32")}
    >>> cases["rows-17"].make().shape
    (17, 23)
    """
    dtype, index_dtype = dtypes.canonical(dtype), np.dtype(index_dtype)
    cases: list[Case] = []

    def add(name: str, row_indices: Callable[[np.random.Generator], list[Array]], n: int, *tags: str) -> None:
        def make() -> Compressed:
            rows = row_indices(np.random.default_rng(zlib.crc32(name.encode())))
            return _from_rows(name, rows, n, dtype, index_dtype, frozenset(tags))

        cases.append(Case(name, make, frozenset(tags)))

    for size in SIZES:
        add(f"rows-{size}", lambda g, m=size: _bernoulli(g, m, 23, 0.3), 23)  # type: ignore[misc]
        add(f"inner-{size}", lambda g, k=size: _bernoulli(g, 13, k, 0.4), size)  # type: ignore[misc]
    for width in WIDTHS:
        add(f"row-length-{width}", lambda g, w=width: _fixed(g, 2 * w + 1, 41, w), 41)  # type: ignore[misc]
    add("empty", lambda g: [], 0)
    add("all-zero", lambda g: [_none()] * 19, 21)
    add("all-dense", lambda g: [np.arange(35)] * 19, 35)
    add("single-entry", lambda g: [_none()] * 8 + [np.array([16])] + [_none()] * 8, 17)
    add("identity", lambda g: [np.array([i]) for i in range(33)], 33)
    add("empty-rows", _empty_rows, 40)
    add("first-rows-empty", lambda g: [_none()] * 18 + _bernoulli(g, 5, 30, 0.5), 30)
    add("last-rows-empty", lambda g: _bernoulli(g, 5, 30, 0.5) + [_none()] * 18, 30)
    add("one-huge-row", lambda g: [*_bernoulli(g, 20, 600, 0.01), np.arange(600), *_fixed(g, 3, 600, 2)], 600)
    add("one-long-column", lambda g: [np.unique([0, i]) for i in range(70)], 70)
    add("banded", lambda g: [np.arange(max(0, i - 2), min(67, i + 3)) for i in range(67)], 67)
    add("block", lambda g: _blocks(g, 9, 9, 8), 72)
    add("skewed", _skewed, 211)
    add("duplicates", lambda g: [np.sort(g.integers(0, 12, 9)) for _ in range(20)], 12, "duplicates")
    add("unsorted", lambda g: [g.permutation(r) for r in _bernoulli(g, 20, 37, 0.4)], 37, "unsorted")
    add("unsorted-duplicates", lambda g: list(g.integers(0, 12, (20, 9))), 12, "unsorted", "duplicates")
    add("stored-zeros", lambda g: _bernoulli(g, 21, 33, 0.4), 33, "stored-zeros")
    if dtypes.is_inexact(dtype):
        add("subnormal", lambda g: _bernoulli(g, 18, 29, 0.4), 29, "subnormal")
    add("large", lambda g: _bernoulli(g, 400, 700, 0.05), 700, "large")
    return cases


def _none() -> Array:
    return np.empty(0, dtype=np.int64)


def _bernoulli(generator: np.random.Generator, m: int, n: int, density: float) -> list[Array]:
    return [np.flatnonzero(row) for row in generator.random((m, n)) < density]


def _fixed(generator: np.random.Generator, m: int, n: int, length: int) -> list[Array]:
    return [np.sort(generator.choice(n, length, replace=False)) for _ in range(m)]


def _empty_rows(generator: np.random.Generator) -> list[Array]:
    rows = _bernoulli(generator, 45, 40, 0.3)
    return [row if generator.random() < 0.3 else _none() for row in rows]


def _blocks(generator: np.random.Generator, m: int, n: int, side: int) -> list[Array]:
    filled = generator.random((m, n)) < 0.25
    starts = [np.flatnonzero(row)[:, None] * side for row in filled]
    return [(starts[i // side] + np.arange(side)).reshape(-1) for i in range(m * side)]


def _skewed(generator: np.random.Generator) -> list[Array]:
    lengths = np.minimum(211, generator.pareto(0.7, 90).astype(np.int64))
    return [np.sort(generator.choice(211, length, replace=False)) for length in lengths]


def _from_rows(
    name: str,
    rows: list[Array],
    n: int,
    dtype: np.dtype[Any],
    index_dtype: np.dtype[Any],
    tags: frozenset[str],
) -> Compressed:
    indptr = np.zeros(len(rows) + 1, dtype=index_dtype)
    np.cumsum([len(row) for row in rows], out=indptr[1:])
    indices = np.concatenate([_none(), *rows]).astype(index_dtype)
    data = random_values(name, len(indices), dtype, zeros=0.3 if "stored-zeros" in tags else 0.0)
    if "duplicates" in tags and dtype.kind in "iu" and dtype.itemsize == 1:
        data //= 16  # sums of nine equal places must fit the dtype
    if "subnormal" in tags:
        data = _subnormal(data)
    return Compressed(data, indices, indptr, (len(rows), n))


def _subnormal(values: Array) -> Array:
    """Scale values to a few times the smallest normal number, so that sums of products are subnormal."""
    real = values.real.dtype if values.dtype.kind == "c" else values.dtype
    smallest = {2: -14, 4: -126, 8: -1022}[real.itemsize] if real.kind == "f" else -126
    if real in (dtypes.float8_e4m3fn, dtypes.float8_e5m2):
        smallest = -6 if real == dtypes.float8_e4m3fn else -14
    wide = np.complex128 if values.dtype.kind == "c" else np.float64
    return (values.astype(wide) * 2.0**smallest).astype(values.dtype)


# --- dense problems ---


def dense_cases(left: npt.DTypeLike = np.float64, right: npt.DTypeLike | None = None) -> list[Case]:
    """Return the dense problems: pairs of C-ordered arrays of shapes ``(m, k)`` and ``(k, n)``.

    Parameters
    ----------
    left, right : dtype_like
        Dtypes of the operands; `right` is `left` if it is not given.

    Returns
    -------
    list of Case
        Each makes a pair of arrays. The "zeros" ones have a left operand that is mostly zero.

    Examples
    --------
    >>> cases = {case.name: case for case in dense_cases("float32")}
    >>> [operand.shape for operand in cases["16x17x35"].make()]
    [(16, 17), (17, 35)]
    """
    left = dtypes.canonical(left)
    right = left if right is None else dtypes.canonical(right)
    shapes = [(m, 17, 35) for m in SIZES] + [(19, k, 33) for k in SIZES] + [(15, 19, n) for n in COLUMNS]
    shapes += [(1, 300, 1), (3, 700, 17), (33, 257, 65), (70, 65, 131), (0, 0, 0), (5, 0, 7), (130, 40, 3)]
    cases: list[Case] = []

    def add(name: str, shape: tuple[int, int, int], zeros: float = 0.0, *tags: str) -> None:
        def make() -> tuple[Array, Array]:
            m, k, n = shape
            first = random_values(name + "A", (m, k), left, zeros=zeros)
            return first, random_values(name + "X", (k, n), right)

        cases.append(Case(name, make, frozenset(tags)))

    for shape in dict.fromkeys(shapes):
        add("x".join(map(str, shape)), shape)
    for shape, zeros in (((40, 60, 35), 0.95), ((17, 33, 16), 0.5), ((9, 20, 8), 1.0)):
        add("zeros-" + "x".join(map(str, shape)), shape, zeros, "zeros")
    return cases


# --- memory layouts of dense operands ---


def _strided(values: Array, axis: int, step: int) -> Array:
    """Return a view equal to `values` that takes every `step`-th element of a larger array along `axis`."""
    shape = list(values.shape)
    shape[axis] = max(1, shape[axis] * abs(step))
    index: list[slice] = [slice(None)] * values.ndim
    index[axis] = slice(None, None, step)
    view = np.zeros(shape, dtype=values.dtype)[tuple(index)]
    index[axis] = slice(0, values.shape[axis])
    view = view[tuple(index)]
    view[...] = values
    return view


def _shifted(values: Array, offset: int) -> Array:
    """Return a C-ordered copy that begins `offset` bytes after a boundary of 64 bytes."""
    memory = np.zeros(values.nbytes + 128, dtype=np.uint8)
    begin = -memory.ctypes.data % 64 + offset
    view = memory[begin : begin + values.nbytes].view(values.dtype).reshape(values.shape)
    view[...] = values
    return view


def _frozen(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": lambda values: np.array(values, order="C"),
    "F": lambda values: np.array(values, order="F"),
    "row-stride": lambda values: _strided(values, 0, 2),
    "column-stride": lambda values: _strided(values, values.ndim - 1, 3),
    "negative-rows": lambda values: _strided(values, 0, -1),
    "negative-columns": lambda values: _strided(values, values.ndim - 1, -1),
    "unaligned-vectors": lambda values: _shifted(values, values.dtype.itemsize),
    "misaligned": lambda values: _shifted(values, 1),
    "read-only": _frozen,
}
"""Ways to lay an array out in memory: each returns an equal array and leaves its argument alone."""


# --- comparison ---


def assert_same(actual: Any, expected: Any, context: str = "") -> None:
    """Raise AssertionError unless two arrays are equal element by element, with ``==`` and not a tolerance.

    The sign of a zero and the sign and payload of a nan are the only freedoms; dtype and shape must agree.

    Parameters
    ----------
    actual, expected : array_like
        Arrays of any dtype that deepgemm stores.
    context : str
        Said first in the message: which problem this is.

    Examples
    --------
    >>> assert_same(np.array([0.0, np.nan]), np.array([-0.0, np.nan]))
    >>> assert_same(np.array([1.0, 2.0]), np.array([1.0, 2.5]), "toy")
    Traceback (most recent call last):
        ...
    AssertionError: toy: 1 of 2 elements differ, first at [1]: got 2.0, expected 2.5; largest difference 0.5
    """
    prefix = f"{context}: " if context else ""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.dtype != expected.dtype:
        raise AssertionError(f"{prefix}dtype is {actual.dtype}, expected {expected.dtype}")
    if actual.shape != expected.shape:
        raise AssertionError(f"{prefix}shape is {actual.shape}, expected {expected.shape}")
    same = np.ones(actual.shape, dtype=bool)
    for got, wanted in zip(_components(actual), _components(expected), strict=True):
        same &= (got == wanted) | ((got != got) & (wanted != wanted))
    if same.all():
        return
    first = tuple(int(i) for i in np.argwhere(~same)[0])
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        difference = np.abs(actual[~same].astype(wide) - expected[~same].astype(wide))
    raise AssertionError(
        f"{prefix}{np.count_nonzero(~same)} of {same.size} elements differ, first at {list(first)}: "
        f"got {actual[first].item()!r}, expected {expected[first].item()!r}; "
        f"largest difference {float(np.max(difference)):.3g}"
    )


def _components(values: Array) -> tuple[Array, ...]:
    return (values.real, values.imag) if values.dtype.kind == "c" else (values,)


def assert_segments(found: Any, expected: Any) -> None:
    """Raise AssertionError unless a ragged array has the segments of a list of arrays; nan equals nan."""
    assert len(found) == len(expected), f"{len(found)} segments, expected {len(expected)}"
    for number, (segment, wanted) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(segment, wanted, err_msg=f"segment {number}")
