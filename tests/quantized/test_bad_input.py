"""What `quantize` and the products refuse, by message."""

from __future__ import annotations

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.errors import DTypeError, FormatError, ShapeError, UnsupportedError

X = np.ones((4, 6), np.float32)


@pytest.mark.parametrize("operation", [dg.quantize, dg.fake_quantize])
@pytest.mark.parametrize(
    ("error", "match", "x", "options"),
    [
        (ShapeError, r"x has 1 dimension, expected 2; x\[None, :\]", X[0], {}),
        (ShapeError, "x has 3 dimensions, expected 2$", X[None], {}),
        (ShapeError, "x has 0 dimensions, expected 2$", np.float32(3), {}),
        (DTypeError, "x has dtype complex64, expected real numbers", X.astype(np.complex64), {}),
        (DTypeError, "x has dtype bool, expected real numbers", X > 0, {}),
        (UnsupportedError, "x is a Quantized", dg.Quantized(np.ones((2, 2), np.int8), 1.0), {}),
        (
            DTypeError,
            "dtype is int16, expected one of: int8, uint8, int4, uint4, int2",
            X,
            {"dtype": "int16"},
        ),
        (DTypeError, "dtype is int5, expected one of", X, {"dtype": "int5"}),
        (ValueError, "axis is 2, expected 0, 1 or None", X, {"axis": 2}),
        (ValueError, "axis is True", X, {"axis": True}),
        (
            ValueError,
            "group_size is 0, expected a whole number of at least 1",
            X,
            {"axis": 0, "group_size": 0},
        ),
        (ValueError, "group_size is 2.5", X, {"axis": 0, "group_size": 2.5}),
        (ValueError, "group_size needs axis=0", X, {"group_size": 2}),
        (
            DTypeError,
            "scale_dtype is float64, expected one of: float32, float16",
            X,
            {"scale_dtype": "float64"},
        ),
        (ValueError, "nonfinite is 'clip', expected 'raise' or 'saturate'", X, {"nonfinite": "clip"}),
        (
            UnsupportedError,
            "float8_e5m2 has no zero points.*int8, uint8, int4",
            X,
            {"dtype": "float8_e5m2", "symmetric": False},
        ),
        (ShapeError, "limits are .* expected two that broadcast to the shape", X, {"limits": ([0, 1], 2)}),
        (ShapeError, "limits are 3.0, expected two", X, {"limits": 3.0}),
        (ShapeError, r"limits have shapes \(5,\) and \(5,\)", X, {"limits": (np.zeros(5), np.ones(5))}),
        (ValueError, "limits are .*, expected finite numbers, the lower ones first", X, {"limits": (1, -1)}),
        (ValueError, "limits are", X, {"limits": (0, np.inf)}),
        (
            OverflowError,
            "x reaches 1e\\+30, whose scale float16 cannot hold",
            X * 1e30,
            {"scale_dtype": "float16"},
        ),
        (OverflowError, "whose scale float32 cannot hold", X.astype(np.float64) * 1e300, {}),
    ],
)
def test_quantize(operation, error, match, x, options):
    with pytest.raises(error, match=match):
        operation(x, **{"dtype": "int8", **options})


def test_sparse_arrays():
    with pytest.raises(UnsupportedError, match="fake_quantize: x is a CSR, expected a dense matrix"):
        dg.fake_quantize(dg.CSR(X), "int8")


def test_products():
    W = dg.quantize(X, "int8", axis=0)
    with pytest.raises(ShapeError, match="A has 6 columns but X has 5 rows"):
        W @ np.ones((5, 2), np.float32)
    with pytest.raises(ShapeError, match="A has 5 columns but B has 4 rows"):
        np.ones((2, 5), np.float32) @ W
    with pytest.raises(ShapeError, match="A has 6 columns but B has 4 rows"):
        W @ W
    with pytest.raises(DTypeError, match="dtype is int32, but the product is float32"):
        dg.matmul(W, np.ones(6, np.float32), dtype="int32")
    with pytest.raises(UnsupportedError, match=r"kernel asks for gemm_packed.*reads no quantised operands"):
        dg.matmul(W, np.ones(6, np.float32), kernel="gemm_packed")
    with pytest.raises(UnsupportedError, match="wants a quantised operand"):
        dg.matmul(X, X.T, kernel="dequantized")
    with pytest.raises(TypeError):
        W @ object()
    with pytest.raises(FormatError, match="mask"):
        dg.matmul(W, X.T, mask=W)
    with pytest.raises(FormatError, match="X is a Quantized, expected a dense array"):
        dg.matmul(W, X.T, mask=dg.CSR(np.eye(4)))


@pytest.mark.parametrize("operation", [dg.matmul, dg.plan, lambda A, B: A @ B])
def test_stacks(operation):
    W, stack = dg.quantize(X, "int8"), np.ones((3, 6, 4), np.float32)
    match = "has 3 dimensions, expected 1 or 2 beside a quantised operand"
    with pytest.raises(UnsupportedError, match=f"X {match}"):
        operation(W, stack)
    with pytest.raises(UnsupportedError, match=f"A {match}"):
        operation(stack, W)


def test_options_of_sparse_operands():
    W, S = dg.quantize(X, "int8"), dg.CSR(np.eye(4))
    with pytest.raises(FormatError, match="replaces the entries of one sparse operand beside a dense one"):
        dg.matmul(W, X.T, values=np.ones((2, 4)))
    with pytest.raises(FormatError, match=r"values has shape \(4, 6\), expected \(..., 4\)"):
        dg.matmul(S, X, values=W)
    for left, right in ((S, W), (W.T, S), (W, W.T)):
        with pytest.raises(UnsupportedError, match="memory_budget= is for two sparse operands"):
            dg.matmul(left, right, memory_budget="1GiB")


def test_out_of_two_quantised_operands():
    A, B = dg.quantize(X, "int8"), dg.quantize(X.T, "int8")
    for error, match, out in (
        (ShapeError, r"out has shape \(4, 5\), expected \(4, 4\)", np.empty((4, 5), np.float32)),
        (DTypeError, "out has dtype float64, expected float32", np.empty((4, 4))),
        (DTypeError, "out must be a numpy.ndarray, got list", [[0.0]]),
    ):
        with pytest.raises(error, match=match):
            dg.matmul(A, B, out=out)
    out = np.empty((4, 4), np.float32)
    out.flags.writeable = False
    with pytest.raises(FormatError, match="out is read-only"):
        dg.matmul(A, B, out=out)
    memory = np.zeros(64, np.uint8)
    shared = dg.Quantized(memory[:24].view(np.int8).reshape(4, 6), 1.0)
    with pytest.raises(FormatError, match="out shares memory with an operand"):
        dg.matmul(shared, B, out=memory.view(np.float32).reshape(4, 4))


def test_plans():
    W, S = dg.quantize(X, "int8"), dg.CSR(np.eye(4))
    with pytest.raises(UnsupportedError, match="a sparse operand with a quantised one has no plan"):
        dg.plan(S, W)
    with pytest.raises(UnsupportedError, match="a plan keeps the quantised one"):
        dg.plan(W, X.T, fixed="right")
    plan = dg.plan(W, W.T)
    with pytest.raises(DTypeError, match="expects a quantised operand, got ndarray"):
        plan(X.T)
    with pytest.raises(ShapeError, match=r"expects an operand of shape \(6, 4\), got \(4, 6\)"):
        plan(W)
    with pytest.raises(DTypeError, match="expects an operand of dtype int8, got uint8"):
        plan(dg.quantize(X.T, "uint8"))
    table = dg.Quantized(W.T.values, 1.0, offsets=0.5)
    with pytest.raises(DTypeError, match="the same kind of scaling"):
        plan(table)


@pytest.mark.parametrize(
    "operation",
    [
        lambda W: dg.gram(W),
        lambda W: dg.sddmm(dg.CSR(np.eye(4)), W, X.T),
        lambda W: dg.structure(W),
        lambda W: dg.matmul_topk(dg.CSR(np.eye(4)), W, 2),
        lambda W: dg.estimate(dg.CSR(np.eye(4)), W),
        lambda W: dg.matmul_to_disk(dg.CSR(np.eye(4)), W, "nowhere"),
    ],
)
def test_other_operations_say_what_takes_it(operation):
    with pytest.raises(
        UnsupportedError, match=r"is quantised, which only matmul, plan, .* take; dequantize\(\) it first"
    ):
        operation(dg.quantize(X, "int8"))


def test_arithmetic_with_sparse_arrays_is_refused():
    W, S = dg.quantize(np.eye(4), "int8"), dg.CSR(np.eye(4))
    for operation in (lambda: S + W, lambda: S * W):
        with pytest.raises((TypeError, DTypeError)):
            operation()
