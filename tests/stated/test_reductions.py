"""Sums, means, variances and norms as stated, against loops in Python numbers and exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from deepgemm import reference, testing


def matrix(dtype: str) -> scipy.sparse.csr_array:
    case = next(case for case in testing.sparse_cases(dtype) if case.name == "rows-17")
    return case.make().to_scipy()


def slow_lanes(values, zero):
    lanes = [zero] * 16
    for position, value in enumerate(values):
        lanes[position % 16] = lanes[position % 16] + value
    for width in (8, 4, 2, 1):
        lanes = [lanes[lane] + lanes[lane + width] for lane in range(width)]
    return lanes[0]


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "i8"])
def test_sums(dtype):
    A = matrix(dtype)
    zero = np.dtype(dtype).type(0)
    rows = [slow_lanes(A.data[A.indptr[i] : A.indptr[i + 1]], zero) for i in range(17)]
    testing.assert_same(reference.sums(A, 1), np.array(rows, dtype))
    testing.assert_same(reference.sums(A), np.asarray(slow_lanes(A.data, zero), dtype))
    by_columns = np.asarray(slow_lanes(A.tocsc().data, zero), dtype)
    testing.assert_same(reference.sums(A.tocsc()), by_columns)
    columns = [zero] * A.shape[1]
    for j, value in zip(A.indices, A.data, strict=True):  # rows come one after the other
        columns[j] = columns[j] + value
    testing.assert_same(reference.sums(A, 0), np.array(columns, dtype))


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_means_and_variances_are_close_to_exact_ones(axis, dtype):
    A = matrix(dtype)
    dense = [[Fraction(float(v)) for v in row] for row in A.toarray()]
    everything = [value for row in dense for value in row]
    groups = {None: [everything], 1: dense, 0: list(zip(*dense, strict=True))}[axis]
    means = [sum(group) / len(group) for group in groups]
    squares = [sum((v - m) ** 2 for v in group) for group, m in zip(groups, means, strict=True)]
    eps = np.finfo(np.float32 if dtype == "f4" else np.float64).eps
    for ddof in (0, 1):
        exact = [float(s / (len(group) - ddof)) for s, group in zip(squares, groups, strict=True)]
        got = np.atleast_1d(reference.variances(A, axis, ddof=ddof))
        np.testing.assert_allclose(got, exact, rtol=60 * np.finfo(float).eps + eps)
    magnitude = [float(sum(map(abs, group)) / len(group)) for group in groups]
    difference = np.abs(np.atleast_1d(reference.means(A, axis)) - [float(mean) for mean in means])
    assert (difference <= eps * np.array(magnitude) * 20).all()


def test_norms():
    A = matrix("f8")
    for axis in (0, 1):
        np.testing.assert_allclose(reference.norms(A, axis), np.linalg.norm(A.toarray(), axis=axis))
    assert reference.norms(np.ldexp(1.0, 600) * A).max() < math.inf
    values, indices, indptr = reference.normalized(A)
    assert (indices.tolist(), indptr.tolist()) == (A.indices.tolist(), A.indptr.tolist())
    lengths = np.repeat(reference.norms(A), np.diff(A.indptr))
    testing.assert_same(values, A.data / lengths)
