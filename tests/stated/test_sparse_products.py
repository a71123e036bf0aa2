"""Sparse products of sparse operands as stated: the entries of `matmul`, at the places where steps are."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from deepgemm import reference, testing


def operands(dtype):
    A = next(c for c in testing.sparse_cases(dtype) if c.name == "rows-17").make()
    B = scipy.sparse.random_array((A.shape[1], 19), density=0.3, format="csr", rng=2).astype(dtype)
    return A, B


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_entries_are_those_of_the_dense_statement(dtype):
    A, B = operands(dtype)
    indptr, indices, data = reference.matmul_sparse(A, B)
    result = scipy.sparse.csr_array((data, indices, indptr), shape=(A.shape[0], 19))
    testing.assert_same(result.toarray(), reference.matmul(A, B))
    pattern = (abs(A.to_scipy()) > 0).astype(int) @ (abs(B) > 0).astype(int)
    assert result.nnz == pattern.nnz  # cancelled sums stay


def test_topk_sorts_by_value_and_breaks_ties_by_column():
    A = scipy.sparse.csr_array([[1.0, 0.0], [1.0, 1.0]])
    B = scipy.sparse.csr_array([[2.0, 5.0, 5.0, np.nan], [1.0, 0.0, -7.0, 0.0]])
    indptr, indices, data = reference.matmul_topk(A, B, 3)
    assert indptr.tolist() == [0, 3, 6]
    assert indices.tolist() == [1, 2, 0, 1, 0, 2]
    assert data.tolist() == [5.0, 5.0, 2.0, 5.0, 3.0, -2.0]
