"""The sparse problems."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import dtypes
from .problems import SIZES, WIDTHS, Case, Compressed
from .values import random_values

Array: TypeAlias = npt.NDArray[Any]


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
    # By name: of the narrow dtypes of ml_dtypes one is of kind "f" and the others are not.
    by_name = {"float8_e4m3fn": -6, "float8_e5m2": -14, "float16": -14, "float64": -1022}
    smallest = by_name.get(real.name, -126)
    wide = np.complex128 if values.dtype.kind == "c" else np.float64
    return (values.astype(wide) * 2.0**smallest).astype(values.dtype)
