"""Real matrices: the kernels agree with the reference on structures that nobody made up."""

from __future__ import annotations

import os
import time

import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
SPMM_KERNELS = ("csr_rowwise", "csr_tiled", "csr_scatter", "gemm_packed")
SPMV_KERNELS = (*SPMM_KERNELS, "csr_vector", "sell_vector")
MOST_DENSE = 4_000_000  # elements of a matrix that is still filled with zeros
MOST_PRODUCT_BYTES = 2_000_000_000


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


@pytest.mark.parametrize("matrix", real_matrices())
def test_estimates_of_products_hold(matrix):
    """Entries, bytes and time of A @ A.T lie in their intervals; entries and bytes near the prediction."""
    A = dg.CSR(matrix.load().astype("D" if matrix.load().dtype.kind == "c" else "f4"))
    found = dg.estimate(A, A.T)
    if found.nbytes > MOST_PRODUCT_BYTES:
        pytest.skip(f"a product of {found.nbytes:,} bytes")
    times = []
    for _ in range(3):
        start = time.perf_counter()
        product = A @ A.T
        times.append(time.perf_counter() - start)
    assert found.nnz_range[0] <= product.nnz <= found.nnz_range[1]
    assert found.nbytes_range[0] <= product.nbytes <= found.nbytes_range[1]
    assert found.nnz / 2 <= product.nnz <= found.nnz * 2
    assert found.seconds_range[0] <= min(times)
    if os.getloadavg()[0] < 0.5:  # beside other work a product takes longer
        assert min(times) <= found.seconds_range[1]
    best = dg.matmul_topk(A, A.T, 10) if A.dtype.kind != "c" else None
    if best is not None:
        lengths = best.indptr[1:] - best.indptr[:-1]
        whole = product.indptr[1:] - product.indptr[:-1]
        assert (lengths == whole.clip(max=10)).all()
