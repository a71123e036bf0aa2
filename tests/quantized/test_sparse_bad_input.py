"""What sparse quantised matrices and their products refuse, by message."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.errors import DTypeError, FormatError, ShapeError, UnsupportedError

A = dg.CSR(np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]], np.float32))
CODES = dg.CSR(np.array([[1, 0, 3], [0, 2, 0]], np.int8))
NAN = dg.CSR(np.array([[1.0, 0.0, 3.0], [0.0, np.nan, 0.0]]))


@pytest.mark.parametrize(
    ("error", "match", "x", "options"),
    [
        (UnsupportedError, "symmetric is False, but the zeros that a sparse", A, {"symmetric": False}),
        (UnsupportedError, "group_size is 2, but a group of a sparse array", A, {"axis": 0, "group_size": 2}),
        (UnsupportedError, "dtype is int2, expected one of: int8, uint8, int4, uint4", A, {"dtype": "int2"}),
        (DTypeError, "dtype is int16, expected one of", A, {"dtype": "int16"}),
        (DTypeError, "x has dtype complex64, expected real", A.astype(np.complex64), {}),
        (DTypeError, "x has dtype bool, expected real", A.astype(bool), {}),
        (DTypeError, "scale_dtype is float64, expected one of", A, {"scale_dtype": "float64"}),
        (ValueError, "axis is 2, expected 0, 1 or None", A, {"axis": 2}),
        (ValueError, "nonfinite is 'clip'", A, {"nonfinite": "clip"}),
        (ValueError, "an infinity or nan at row 1, column 1; nonfinite='saturate' clips", NAN, {}),
        (ValueError, "an infinity or nan at row 1, column 1", NAN.tocsc(), {"axis": 1}),
        (ValueError, "an infinity or nan at row 1, column 1", NAN.tobsr((1, 3)), {"limits": (-1, 1)}),
        (ShapeError, "limits are .* the shape \\(2, 1\\)", A, {"axis": 0, "limits": ([0, 1], 2)}),
        (OverflowError, "whose scale float16 cannot hold", A * 1e30, {"scale_dtype": "float16"}),
        (UnsupportedError, "x is a QuantizedSparse", dg.quantize(A, "int8"), {}),
    ],
)
def test_quantize(error, match, x, options):
    with pytest.raises(error, match=match):
        dg.quantize(x, **{"dtype": "int8", **options})


@pytest.mark.parametrize(
    ("error", "match", "values", "scales", "options"),
    [
        (UnsupportedError, "values are a ndarray, expected a sparse array", np.ones((2, 3)), 1.0, {}),
        (DTypeError, "dtype is float32, expected one of", A, 1.0, {}),
        (DTypeError, "values have dtype float32, expected int8", A, 1.0, {"dtype": "int8"}),
        (FormatError, "values hold 15, expected -8 to 7", CODES * 5, 1.0, {"dtype": "int4"}),
        (UnsupportedError, "dtype is uint2, expected one of", CODES, 1.0, {"dtype": "uint2"}),
        (ShapeError, "scales have 3 rows, expected 1 or 2", CODES, np.ones((3, 1)), {}),
        (ShapeError, "scales have shape \\(2, 3\\), expected one for all", CODES, np.ones((2, 3)), {}),
        (ShapeError, "scales have 1 dimension", CODES, np.ones(2), {}),
        (FormatError, "QuantizedSparse: scales hold inf", CODES, np.inf, {}),
        (FormatError, "zero_point hold 128, expected -128 to 127", CODES, 1.0, {"zero_point": 128}),
        (FormatError, "zero_point hold -9, expected -8 to", CODES, 1.0, {"zero_point": -9, "dtype": "int4"}),
        (DTypeError, "zero_point is \\[\\[1\\], \\[2\\]\\], expected one whole number", CODES, 1.0,
         {"zero_point": [[1], [2]]}),
        (FormatError, "zero_point is given, but float8_e5m2 has none", CODES.astype(dg.float8_e5m2), 1.0,
         {"zero_point": 0}),
        (FormatError, "values store 1 entries twice",
         scipy.sparse.coo_array((np.int8([1, 2]), ([0, 0], [1, 1])), shape=(2, 3)), 1.0, {}),
    ],
)  # fmt: skip
def test_parts(error, match, values, scales, options):
    with pytest.raises(error, match=match):
        dg.QuantizedSparse(values, scales, **options)


def test_products():
    Aq = dg.quantize(A, "int8")
    with pytest.raises(ShapeError, match="A has 3 columns but X has 5 rows"):
        Aq @ np.ones((5, 2), np.float32)
    with pytest.raises(ShapeError, match="A has 5 columns but B has 2 rows"):
        np.ones((2, 5), np.float32) @ Aq
    with pytest.raises(DTypeError, match="dtype is int32, but the product is float32"):
        dg.matmul(Aq, np.ones(3, np.float32), dtype="int32")
    with pytest.raises(UnsupportedError, match="widens to float32; this product accumulates in float64"):
        dg.matmul(Aq, np.ones(3), kernel="csr_narrow")
    with pytest.raises(UnsupportedError, match="reads no sparse quantised operands"):
        dg.matmul(Aq, np.ones(3, np.float32), kernel="scipy", reproducible=False)
    with pytest.raises(UnsupportedError, match="which cannot do csr int8 × dense float32: "):
        dg.matmul(Aq, np.ones(3, np.float32), kernel="dequantized")
    x = np.ones(3, np.float32)
    with pytest.raises(dg.FormatError, match="out shares memory"):
        dg.matmul(Aq, x, out=x[:2])


@pytest.mark.parametrize(
    "other", [A.T, A.T.to_scipy(), dg.quantize(A.T, "int8"), dg.quantize(A.T.toarray(), "int8")]
)
def test_what_has_no_product_beside_it(other):
    Aq = dg.quantize(A, "int8")
    for operation in (dg.matmul, dg.plan, dg.error_bound, lambda a, b: a @ b):
        if operation is dg.plan and scipy.sparse.issparse(other):
            continue
        with pytest.raises(UnsupportedError, match="is multiplied by dense arrays: use"):
            operation(Aq, other)
    with pytest.raises(UnsupportedError, match=r"A is a .* and B a QuantizedSparse"):
        dg.matmul(other, Aq)


def test_other_operations():
    Aq = dg.quantize(A, "int8")
    for operation in (
        lambda: dg.sddmm(Aq, np.ones((2, 4)), np.ones((4, 3))),
        lambda: dg.gram(Aq),
        lambda: dg.structure(Aq),
        lambda: dg.matmul_topk(Aq, A.T, k=1),
    ):
        with pytest.raises(UnsupportedError, match="is quantised, which only matmul, plan"):
            operation()


def test_changed_memory_is_seen():
    data = np.arange(1.0, 5.0)
    unsorted = dg.CSR((data, np.array([2, 0, 0, 1]), np.array([0, 3, 4])), shape=(2, 3))
    unsorted.canonical()
    whole = dg.CSR((np.array([3, 4], "i1"), np.arange(2), np.arange(3)), shape=(2, 2))
    codes = dg.QuantizedSparse(whole, 0.5)
    data[:] = 9.0
    with pytest.raises(dg.StaleDataError):
        dg.quantize(unsorted, "int8")
    assert codes[:1].dequantize().toarray().tolist() == [[1.5, 0.0]]


@pytest.mark.parametrize("scale", ["a", 1j])
def test_scales_are_real_numbers(scale):
    codes = dg.CSR(np.eye(2, dtype="i1"))
    with pytest.raises(dg.DTypeError, match=r"QuantizedSparse: scales"):
        dg.QuantizedSparse(codes, scale)
