"""Measured errors stay within the bound: against exact rational sums, on random and adversarial operands."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.dtypes import precision
from deepgemm.errors import ShapeError, UnsupportedError
from deepgemm.testing import random_values

CASES = ["random", "ill-scaled", "cancelling", "subnormal", "growing", "near overflow"]
# Storage that widens to float32, in pairs of which the result is float32 or the half of the two.
MIXTURES = [
    ("float32", "float16"),
    (dg.bfloat16, "float32"),
    ("float16", dg.bfloat16),
    (dg.float8_e4m3fn, "float16"),
    (dg.bfloat16, dg.float8_e5m2),
    (dg.float8_e5m2, dg.float8_e4m3fn),
    ("float32", "int8"),
    ("uint8", "float16"),
    ("int8", dg.bfloat16),
]
DTYPES = ["float64", "float32", "float16", dg.bfloat16, dg.float8_e4m3fn, "complex64", "complex128"]


def fractions(values):
    return [[Fraction(float(x)) for x in row] for row in np.asarray(values, np.float64).tolist()]


def exact(A, B):
    """The exact product of two matrices of floating-point numbers, as fractions."""
    left, right = fractions(A), list(zip(*fractions(B), strict=True))
    return [
        [sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in right]
        for row in left
    ]


def assert_within(product, bound, real, imaginary=None):
    """Compare with the exact product; the bound of complex numbers is that of the distance."""
    assert bound.shape == product.shape
    assert bound.dtype == np.float64
    for index in np.ndindex(product.shape):
        value, limit = complex(product[index]), float(bound[index])
        if np.isinf(limit):
            continue
        i, j = index
        off = (Fraction(value.real) - real[i][j]) ** 2
        if imaginary is not None:
            off += (Fraction(value.imag) - imaginary[i][j]) ** 2
        assert off <= Fraction(limit) ** 2, (index, value, float(real[i][j]), limit)


def check(A, B, **options):
    product, bound = dg.matmul(A, B, **options), dg.error_bound(A, B, **options)
    if product.dtype.kind == "c":
        A, B = (np.asarray(x, np.complex128) for x in (A, B))
        first, second = exact(A.real, B.real), exact(A.imag, B.imag)
        real = [[a - b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]
        first, second = exact(A.real, B.imag), exact(A.imag, B.real)
        imaginary = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]
        assert_within(product, bound, real, imaginary)
    else:
        assert_within(product, bound, exact(A, B))
    return product, bound


def operands(case, dtype):
    """Matrices of shapes (3, 60) and (60, 2)."""
    return operand(case, dtype, 0), operand(case, dtype, 1)


def operand(case, dtype, side):
    """One of them: the other may be of another dtype."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.clip(np.rint(numbers(case, dtype)[side] * 40), limits.min, limits.max).astype(dtype)
    return numbers(case, dtype)[side].astype(dtype)


def numbers(case, dtype):
    left, right = (
        random_values(case, (3, 60), np.dtype("f8")),
        random_values(case + "B", (60, 2), np.dtype("f8")),
    )
    generator = np.random.default_rng(7)
    small = dtype.itemsize == 1
    if case == "ill-scaled":
        power = 2 if small else 6
        left, right = (x * 2.0 ** generator.integers(-power, power, x.shape) for x in (left, right))
    elif case == "cancelling":
        left[:, 1::2], right[1::2] = -left[:, ::2], right[::2]
    elif case == "subnormal":
        power = {"float64": -530, "complex128": -530, "float16": -10}.get(str(dtype), -70)
        left, right = (x * 2.0 ** (-6 if small else power) for x in (left, right))
    elif case == "growing":  # each addition rounds away a half of the last place
        left, right = 1 + np.arange(180).reshape(3, 60) % 7 * 2.0**-9, np.ones((60, 2))
    elif case == "near overflow" and dtype.kind not in "iu":  # random numbers are below 4
        largest = precision(dtype)[2]
        part = largest / 9 if small else np.sqrt(largest / 60) / 9
        left, right = left * part, right * part
    if dtype.kind == "c":
        left, right = left + 1j * left[:, ::-1], right - 0.3j * right[::-1]
    return left, right


def assert_telling(bound, A, B):
    magnitudes = np.abs(A.astype(np.complex128)) @ np.abs(B.astype(np.complex128))
    assert (bound <= 2.0**-4 * np.abs(magnitudes) + 1e-3).all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense(dtype, case):
    A, B = operands(case, dtype)
    assert_telling(check(A, B)[1], A, B)
    if np.dtype(dtype).kind != "c":
        for wanted in ("float32", dg.bfloat16):
            check(A, B, dtype=wanted)


@pytest.mark.parametrize(
    ("left", "right"), [("float32", "float64"), ("int64", "float32"), ("int8", "float16")]
)
def test_mixed(left, right):
    A, B = random_values("A", (3, 60), np.dtype(left)), operands("random", right)[1]
    if left == "int64":
        A = A * (2**57 + 12345)
        product, bound = dg.matmul(A, B), dg.error_bound(A, B)
        rows = [[Fraction(int(x)) for x in row] for row in A]
        columns = list(zip(*fractions(B), strict=True))
        real = [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in rows]
        assert_within(product, bound, real)
    else:
        check(A, B)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("left", "right"), MIXTURES, ids=str)
def test_mixtures_that_widen(left, right, case):
    A, B = operand(case, left, 0), operand(case, right, 1)
    assert_telling(check(A, B)[1], A, B)
    for rows in (1, 3):  # read where they stand, along rows and along columns
        check(A[:rows], np.asfortranarray(B))
        check(B.T[:rows], A.T)
        check(A[:rows], B, dtype="float32")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("other", ["float32", "float16", dg.bfloat16, dg.float8_e4m3fn, "int8"], ids=str)
def test_weights_of_four_bits(other, case):
    # Weights whose product with activations fits the result, which is float16 beside float16.
    A, B = operand(case, other, 0), operand(case, "float16" if other == "float16" else "float32", 1)
    B = B.astype(np.float32)
    for options in ({"axis": 1}, {"axis": 1, "group_size": 12}, {"axis": 1, "symmetric": False}):
        for dtype in ("int4", "uint4"):
            right = dg.quantize(B, dtype, **options)
            bound = dg.error_bound(A, right)
            assert_within(A @ right, bound, exact(A, weights(right)))
            assert_telling(bound, A, weights(right))
            transposed = dg.quantize(B.T, dtype)
            assert_within(transposed @ A.T, dg.error_bound(transposed, A.T), exact(weights(transposed), A.T))


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_sparse(format):
    A, B = operands("ill-scaled", "float32")
    A[:, ::2] = 0
    S = dg.CSR(A).asformat(format)
    bound = dg.error_bound(S, B)
    assert_within(S @ B, bound, exact(A, B))
    assert_within((B.T @ S.T).T, dg.error_bound(B.T, S.T).T, exact(A, B))
    assert (bound < dg.error_bound(A, B)).all()  # half as many steps
    assert (dg.error_bound(S, B[:, 0]) == bound[:, 0]).all()
    assert (dg.error_bound(B[:, 0], S.T) == dg.error_bound(B.T, S.T)[0]).all()
    both = dg.error_bound(S, dg.CSR(B))
    assert isinstance(both, dg.CSR)
    assert_within((S @ dg.CSR(B)).toarray(), both.toarray(), exact(A, B))


def test_vectors():
    for case in ("random", "ill-scaled", "cancelling"):
        for dtype in ("float32", "float64", "float16"):
            A, B = operands(case, dtype)
            product, bound = dg.matmul(A[0], B[:, 0]), dg.error_bound(A[0], B[:, 0])
            assert abs(Fraction(float(product)) - exact(A[:1], B[:, :1])[0][0]) <= Fraction(float(bound))
            assert bound < dg.error_bound(A[:1], B[:, :1])[0, 0] or dtype == "float16"


def weights(x):
    """The exact matrix that a quantised one stands for: float64 holds it."""
    rows, columns = (np.arange(n) // b for n, b in zip(x.shape, x.block, strict=True))

    def of_elements(parts):
        return 0.0 if parts is None else parts.astype(np.float64)[rows][:, columns]

    shifted = x.values.astype(np.float64) - of_elements(x.zero_points)
    return shifted * of_elements(x.scales) + of_elements(x.offsets)


@pytest.mark.parametrize("scale", [1.0, 2.0**-70, 2.0**-140, 2.0**60])
def test_quantised(kind, scale):
    A, B = operands("ill-scaled", "float32")
    quantised = dg.quantize(A * np.float32(scale), **kind)
    left = weights(quantised)
    for right in (B, B.astype(np.float64), B.astype(np.float16)):
        assert_within(quantised @ right, dg.error_bound(quantised, right), exact(left, right))
    for options in ({"dtype": "int8", "axis": 1, "group_size": 7}, {"dtype": "uint4", "symmetric": False}):
        right = dg.quantize(B * np.float32(2.0**-3), **options)
        bound = dg.error_bound(quantised, right)
        assert_within(quantised @ right, bound, exact(left, weights(right)))
        assert np.isfinite(bound).all()


def test_tables():
    A, B = operands("random", "float32")
    table = dg.quantize_table(A, "fused_4bit_rowwise")
    assert_within(table @ B, dg.error_bound(table, B), exact(weights(table), B))


def test_integers_are_exact():
    for dtype in ("int8", "uint8", "int32", "bool"):
        A, B = (random_values(name, shape, np.dtype(dtype)) for name, shape in (("A", (3, 9)), ("B", (9, 2))))
        assert not dg.error_bound(A, B).any()
    A, B = (random_values(name, shape, np.dtype("int8")) for name, shape in (("A", (3, 60)), ("B", (60, 2))))
    check(A, B, dtype="float16")
    assert dg.error_bound(A, B, dtype="float16").any()


def test_overflow_and_nonfinite_numbers():
    A = np.array([[3e38, 3e38], [1.0, 1.0], [np.nan, 1.0], [np.inf, 1.0]], np.float32)
    bound = dg.error_bound(A, np.ones((2, 1), np.float32))
    assert np.isinf(bound[[0, 2, 3]]).all()
    assert np.isfinite(bound[1])
    assert np.isinf(dg.error_bound(np.full((1, 2), 6e4, np.float16), np.ones((2, 1), np.float16)))
    huge = dg.Quantized(np.array([[100]], np.int8), 3e38)
    assert np.isinf(dg.error_bound(huge, np.ones((1, 1), np.float32)))
    assert np.isinf(dg.error_bound(huge, dg.Quantized(np.array([[0]], np.int8), 3e38)))


def test_shapes():
    for m, k, n in ((0, 3, 2), (3, 0, 2), (1, 1, 1)):
        bound = dg.error_bound(np.ones((m, k)), np.ones((k, n)))
        assert bound.shape == (m, n)
    assert not dg.error_bound(np.ones((3, 0)), np.ones((0, 2))).any()
    with pytest.raises(ShapeError, match="error_bound: A has 3 columns but X has 2 rows"):
        dg.error_bound(np.ones((2, 3)), np.ones((2, 3)))


def test_measured_error():
    generator = np.random.default_rng(0)
    X = generator.standard_normal((500, 64)).astype(np.float32)
    W = generator.standard_normal((64, 32)).astype(np.float32)
    errors = {}
    for dtype in ("int8", "int4", "int2"):
        Wq = dg.quantize(W, dtype, axis=1)
        found = errors[dtype] = dg.quantization_error(X, Wq, original=(X, W), sample=100)
        assert (found.rows, found.of_rows) == (100, 500)
        assert found == dg.quantization_error(X, Wq, original=(X, W), sample=100)
        whole = dg.quantization_error(X, Wq, original=(X, W), sample=None)
        difference = np.abs(
            X.astype(np.float64) @ W - X.astype(np.float64) @ Wq.dequantize().astype(np.float64)
        )
        assert whole.largest == pytest.approx(difference.max(), rel=1e-3)
        assert whole.rms == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-3)
        assert found.relative == pytest.approx(whole.relative, rel=0.2)
        assert f"{found.decibels:.1f} dB" in repr(found)
    assert errors["int8"].decibels > 40 > errors["int4"].decibels > 15 > errors["int2"].decibels
    Xq = dg.quantize(X, "int8", axis=0)
    both = dg.quantization_error(Xq, dg.quantize(W, "int8", axis=1), original=(X, W))
    assert 35 < both.decibels < errors["int8"].decibels
    S = dg.CSR(X * (X > 1))
    assert dg.quantization_error(S, dg.quantize(W, "int8", axis=1), original=(S, W)).decibels > 40
    assert dg.quantization_error(X, W, original=(X, W)).decibels > 120
    zeros = np.zeros((3, 64), np.float32)
    assert dg.quantization_error(zeros, W, original=(zeros, W)).decibels == np.inf


def test_measured_error_refuses():
    X, W = np.ones((5, 4), np.float32), np.ones((4, 3), np.float32)
    for error, match, arguments, options in (
        (
            ShapeError,
            r"B has shape \(4, 3\), but its original has \(4, 2\)",
            (X, W),
            {"original": (X, W[:, :2])},
        ),
        (ShapeError, "A has 1 dimension", (X[0], W), {"original": (X[0], W)}),
        (ValueError, "original is a ndarray, expected the two original operands", (X, W), {"original": W}),
        (ValueError, "sample is 0, expected at least 1", (X, W), {"original": (X, W), "sample": 0}),
        (
            UnsupportedError,
            "groups of 2",
            (dg.quantize(X, "int8", axis=1, group_size=2), W),
            {"original": (X, W), "sample": 2},
        ),
    ):
        with pytest.raises(error, match=match):
            dg.quantization_error(*arguments, **options)
