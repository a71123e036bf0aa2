"""Dense products of peers whose right operand was packed before: MKL's `gemm_pack`, torch's linear layers."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["mkl_packed_call", "torch_packed_call"]

ROW_MAJOR, NO_TRANSPOSE, PACKED, RIGHT_OPERAND = 101, 111, 151, 162
# Names of MKL's products by dtype, and the type of their factors.
MKL = {
    "float32": ("cblas_sgemm", ctypes.c_float),
    "float64": ("cblas_dgemm", ctypes.c_double),
    "bfloat16": ("cblas_gemm_bf16bf16f32", ctypes.c_float),
}


def mkl_packed_call(A: np.ndarray, B: np.ndarray) -> Callable[[], object] | None:
    """Return a call of MKL that multiplies by packed panels of B; results of bfloat16 are float32."""
    if A.ndim > 2 or A.dtype.name not in MKL:
        return None
    library = _mkl()
    name, number = MKL[A.dtype.name]
    m, k, n = *A.shape, B.shape[1]
    C = np.empty((m, n), np.float32 if A.dtype.name == "bfloat16" else A.dtype)
    size = getattr(library, f"{name}_pack_get_size")
    size.restype = ctypes.c_size_t
    panels = np.empty(size(RIGHT_OPERAND, m, n, k) + 64, np.uint8)
    begin = panels.ctypes.data + -panels.ctypes.data % 64
    there, left, right, result = (
        ctypes.c_void_p(x) for x in (begin, A.ctypes.data, B.ctypes.data, C.ctypes.data)
    )
    factors = () if A.dtype.name == "bfloat16" else (number(1.0),)
    pack = getattr(library, f"{name}_pack")
    pack(ROW_MAJOR, RIGHT_OPERAND, NO_TRANSPOSE, m, n, k, *factors, right, n, there)
    compute = getattr(library, f"{name}_compute")
    if factors:
        scales: tuple[Any, ...] = (number(0.0),)
        arguments = (left, k, there, n, *scales, result, n)
    else:
        arguments = (number(1.0), left, k, there, n, number(0.0), result, n)
    held = (panels, A, B, C)

    def call() -> object:
        compute(ROW_MAJOR, NO_TRANSPOSE, PACKED, m, n, k, *arguments)
        return held

    call()
    wanted = A.astype(np.float64) @ B.astype(np.float64)
    if not np.allclose(C, wanted, rtol=1e-2, atol=1e-2 * float(np.abs(wanted).max(initial=0.0))):
        raise RuntimeError(f"{name}_compute gave something else than the product")
    return call


def torch_packed_call(A: np.ndarray, B: np.ndarray) -> Callable[[], object] | None:
    """Return a call of torch's linear layer for inference, whose weights oneDNN has reordered."""
    if A.ndim > 2 or A.dtype.name not in ("float32", "bfloat16"):
        return None
    import torch

    dtype = getattr(torch, A.dtype.name)
    a, weights = (torch.from_numpy(x.astype(np.float32)).to(dtype) for x in (A, np.ascontiguousarray(B.T)))
    operations: Any = torch.ops.mkldnn
    reordered = operations._reorder_linear_weight(weights, A.shape[0])
    return lambda: operations._linear_pointwise(a, reordered, None, "none", [], "")


def _mkl() -> ctypes.CDLL:
    for root in (sys.prefix, sys.base_prefix):
        found = sorted(Path(root, "lib").glob("libmkl_rt.so*"))
        if found:
            return ctypes.CDLL(str(found[0]))
    raise RuntimeError("libmkl_rt was not found: pip install mkl")
