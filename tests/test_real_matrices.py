"""Real matrices: the kernels agree with the reference on structures that nobody made up."""

from __future__ import annotations

import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
SPMM_KERNELS = ("csr_rowwise", "csr_tiled", "csr_scatter", "gemm_packed")
SPMV_KERNELS = (*SPMM_KERNELS, "csr_vector", "sell_vector")
MOST_DENSE = 4_000_000  # elements of a matrix that is still filled with zeros


def real_matrices():
    """Of each kind the largest matrix of at most 120,000 entries."""
    try:
        found = testing.list_matrices(max_nnz=120_000)
    except FileNotFoundError as error:
        return [pytest.param(None, marks=pytest.mark.skip(reason=str(error)))]
    largest = {matrix.kind: matrix for matrix in sorted(found, key=lambda matrix: matrix.nnz)}
    return [pytest.param(matrix, id=matrix.name) for matrix in largest.values()]


@pytest.mark.parametrize("matrix", real_matrices())
@pytest.mark.parametrize("columns", [None, 32], ids=["spmv", "spmm"])
def test_real_matrices(matrix, columns):
    S = matrix.load()
    narrow, wide = ("F", "D") if S.dtype.kind == "c" else ("f4", "f8")
    dtype = narrow if len(matrix.name) % 2 else wide
    S = S.astype(dtype)
    array = dg.CSR(S)
    X = testing.random_values("X", (matrix.shape[1], columns or 1), dtype)
    wanted = reference.matmul(S, X)
    if columns is None:
        X, wanted = X[:, 0], wanted[:, 0]
    testing.assert_same(array @ X, wanted, "the planner's choice")
    for kernel in SPMV_KERNELS if columns is None else SPMM_KERNELS:
        if kernel == "gemm_packed" and matrix.shape[0] * matrix.shape[1] > MOST_DENSE:
            continue
        if kernel in ("sell_vector", "csr_tiled") and dtype in "FD":
            continue
        for isa in ISAS if columns is None else ISAS[:2]:
            plan = dg.plan(array, X, kernel=f"{kernel}@{isa}", threads=2)
            assert (plan.kernel, plan.isa) == (kernel, isa)
            testing.assert_same(plan(X), wanted, f"{kernel}@{isa}")
