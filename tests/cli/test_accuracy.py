"""The check of timed results: rounding passes, anything else does not."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from deepgemm.datasets import uniform

from deepgemm.cli.accuracy import Reference
from deepgemm.dtypes import default_output

FLOATS = ["float32", "float64", "float16", "complex64", "complex128", ml_dtypes.bfloat16]


def operands(dtype: object, columns: int | None = 5) -> tuple[object, np.ndarray]:
    A = uniform(40, 60, 0.2, dtype=np.dtype(dtype))  # type: ignore[call-overload]
    rng = np.random.default_rng(1)
    shape = (60,) if columns is None else (60, columns)
    return A, rng.standard_normal(shape).astype(A.dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [None, 5, 100])
def test_rounded_results_pass_and_wrong_ones_do_not(dtype: object, columns: int | None) -> None:
    A, X = operands(dtype, columns)
    output = default_output(A.dtype, X.dtype, 60)
    reference = Reference.of(A, X, output)
    wide = np.complex128 if A.dtype.kind == "c" else np.float64
    exact = A.toarray().astype(wide) @ X.astype(wide)
    result = exact.astype(output)
    assert reference.accepts(reference.error(result))
    wrong = exact.copy()
    wrong[7] *= 1.5
    assert not reference.accepts(reference.error(wrong.astype(output)))
    wrong = exact.copy()
    wrong[-1, ...] = np.nan
    assert reference.error(wrong.astype(output)) == float("inf")


def test_another_shape_is_wrong() -> None:
    A, X = operands("float32")
    reference = Reference.of(A, X, X.dtype)
    assert reference.error(np.zeros((40, 4), np.float32)) == float("inf")
    assert reference.error(np.zeros((39, 5), np.float32)) == float("inf")


def test_nan_and_infinities_must_come_out_where_they_belong() -> None:
    A, X = operands("float32")
    X[3, 0], X[5, 1] = np.nan, np.inf
    reference = Reference.of(A, X, X.dtype)
    right = (A.to_scipy() @ X).astype(np.float32)
    assert reference.accepts(reference.error(right))
    assert not reference.accepts(reference.error(np.nan_to_num(right)))


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "bool"])
def test_integers_are_exact(dtype: str) -> None:
    A = uniform(20, 30, 0.5, dtype=dtype)
    X = np.random.default_rng(0).integers(0, 2, (30, 3)).astype(dtype)
    result = A.to_scipy() @ X
    reference = Reference.of(A, X, result.dtype)
    assert reference.error(result) == 0
    result[4, 1] = ~result[4, 1]
    assert not reference.accepts(reference.error(result))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_empty(shape: tuple[int, int]) -> None:
    A = uniform(*shape, 0.5)
    reference = Reference.of(A, np.ones((shape[1], 2), np.float32), np.dtype(np.float32))
    assert reference.error(np.zeros((shape[0], 2), np.float32)) == 0
