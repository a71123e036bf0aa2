"""What follows the products of plans: terms that they keep and the C of a call, on every kernel."""

from __future__ import annotations

import random

import numpy as np
import pytest
from epilogue_terms import terms

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

ISAS = _core.cpu_info()["usable"]
SPARSE = ("csr_rowwise", "csr_tiled", "csr_scatter", "csr_vector", "sell_vector", "gemm_packed")

pytestmark = pytest.mark.usefixtures("three_threads")


def stated(A, X, dtype, **given):
    """The product of what two operands stand for, with what follows."""
    chain = dtypes.accumulator(*(np.dtype("f4") if isinstance(x, dg.Quantized) else x.dtype for x in (A, X)))
    if isinstance(A, dg.Quantized) and isinstance(X, dg.Quantized):
        product = reference.matmul(A, X)
    elif max(A.ndim, X.ndim) > 2:
        product = reference.matmul_stack(A, X, dtype=chain)
    else:
        product = reference.matmul(A, X, dtype=chain)
    return reference.epilogue(product, **given, dtype=dtype)


def check(A, X, fixed, dtype, draw, **options):
    """A plan with drawn terms, called with and without C, into new memory and into a given array."""
    shape = (*A.shape[:-1], *X.shape[1:])
    m, n = A.shape[0] if A.ndim == 2 else 1, X.shape[1] if X.ndim == 2 else 1
    drawn = terms(draw, (m, n))
    C, beta = drawn.pop("C", None), drawn.pop("beta", None)
    if len(shape) == 1:  # the drawn arrays are matrices
        drawn = {name: np.ravel(x)[0] if isinstance(x, np.ndarray) else x for name, x in drawn.items()}
        C = None if C is None else np.ravel(C)
    other = X if fixed == "left" else A
    wide = np.dtype(dtype or "f8") == dtypes.accumulator(A.dtype, X.dtype)
    plan = dg.plan(A, X, fixed=fixed, dtype=dtype, **drawn, **({} if wide else {"beta": 2.0}), **options)
    testing.assert_same(plan(other), stated(A, X, dtype, **drawn), f"{plan} {drawn.keys()}")
    if C is None:
        C = testing.random_values("more", shape, "f4")
    default = 1.0 if wide else 2.0
    wanted = stated(A, X, dtype, C=C, beta=default if beta is None else beta, **drawn)
    testing.assert_same(plan(other, C=C, beta=beta), wanted, f"{plan} C {drawn.keys()}")
    out = np.empty_like(wanted, order="F")
    assert plan(other, out=out, C=C, beta=beta) is out
    testing.assert_same(out, wanted, f"{plan} out")
    return plan


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", SPARSE)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_sparse_operands(dtype, kernel, isa):
    draw = random.Random(f"{dtype} {kernel} {isa}")
    dense = testing.random_values("A", (70, 52), dtype, zeros=0.8)
    for columns in (None,) if "vector" in kernel else (None, 1, 33, 80):
        X = testing.random_values("X", (52,) if columns is None else (52, columns), dtype)
        for threads in (1, 3):
            plan = check(dg.CSR(dense), X, "left", dtype, draw, kernel=f"{kernel}@{isa}", threads=threads)
            assert plan.kernel == kernel
            check(X.T, dg.CSC(dense.T.copy()), "right", dtype, draw, kernel=f"{kernel}@{isa}")


@pytest.mark.parametrize("dtype", ["float32", "float64", dtypes.bfloat16], ids=str)
def test_every_kernel_that_serves(dtype):
    """Whole numbers, so that kernels with an order of their own agree too."""
    draw = random.Random(str(dtype))
    dense = np.round(testing.random_values("A", (64, 48), "f4", zeros=0.7) * 2).astype(dtype)
    for A in (dg.CSR(dense), dg.CSR(dense).tobsr((4, 4)), dg.COO(dense), dense):
        for columns in (1, 7, 64):
            X = np.round(testing.random_values("X", (48, columns), "f4") * 2).astype(dtype)
            seen = dg.plan(A, X, fixed="left", reproducible=False)
            for candidate in seen.candidates:
                if candidate.refused is None:
                    plan = check(
                        A, X, "left", dtype, draw, kernel=candidate.kernel, reproducible=False, reuse=3
                    )
                    assert plan.kernel == candidate.kernel


@pytest.mark.parametrize("size", [(3, 5), (7, 1), (16, 16)])
def test_blocks_that_do_not_fit_what_is_finished_at_once(size):
    shape = (40 * size[0], 6 * size[1])
    A = dg.CSR(testing.random_values("A", shape, "f4", zeros=0.5)).tobsr(size)
    X, bias = testing.random_values("X", (shape[1], 150), "f4"), testing.random_values("b", (150,), "f4")
    for layout, place in testing.LAYOUTS.items():
        plan = dg.plan(A, place(X), kernel="bsr_dense", bias=bias, activation="relu", threads=2)
        testing.assert_same(plan(place(X)), stated(A, X, None, bias=bias, activation="relu"), layout)
    compressed = dg.plan(A.tocsr(), X, kernel="csr_rowwise", bias=bias, activation="relu")
    testing.assert_same(compressed(X), stated(A, X, None, bias=bias, activation="relu"))


def test_narrow_storage():
    draw = random.Random("narrow")
    W = testing.random_values("W", (65, 40), "f4")
    for weights in (dg.CSR(W).astype("float16"), dg.CSR(np.round(W)).astype("int8")):
        X = testing.random_values("X", (40, 20), "float16")
        check(weights, X, "left", "float16", draw)
    for name, axis in (("int8", 1), ("int4", 0), ("float8_e4m3fn", None)):
        quantised = dg.quantize(W, name, axis=axis)
        for rows in (1, 3, 50):
            for dtype in ("float32", "float16"):
                check(testing.random_values("X", (rows, 65), dtype), quantised, "right", dtype, draw)
                check(quantised, testing.random_values("X", (40, rows), dtype), "left", dtype, draw)


def test_two_quantised_operands():
    A = dg.quantize(testing.random_values("A", (9, 40), "f4"), "int8", axis=0)
    B = dg.quantize(testing.random_values("B", (40, 30), "f4"), "int8", axis=1)
    C = testing.random_values("C", (9, 30), "f4")
    plan = dg.plan(A, B, bias=np.arange(30), activation="silu")
    given = {"bias": np.arange(30), "activation": "silu"}
    testing.assert_same(plan(B), stated(A, B, None, **given))
    testing.assert_same(plan(B, C=C, beta=3), stated(A, B, None, C=C, beta=3, **given))
    out = np.empty((9, 30), "f4")
    assert plan(B, C=C, out=out) is out
    testing.assert_same(out, stated(A, B, None, C=C, **given))
    testing.assert_same(dg.matmul(A, B, C=C, **given), out)
    with pytest.raises(ValueError, match="matmul: beta is 2 but there is no C for it to scale"):
        plan(B, beta=2)
    with pytest.raises(dg.FormatError, match="matmul: out shares memory with C"):
        plan(B, C=out, out=out)


def test_stacks_beside_a_sparse_operand():
    A = dg.CSR(testing.random_values("A", (30, 20), "f4", zeros=0.7))
    for shape in ((3, 20, 4), (2, 2, 20, 40)):
        X = testing.random_values("X", shape, "f4")
        C = testing.random_values("C", (*shape[:-2], 30, shape[-1]), "f4")
        plan = dg.plan(A, X, scale=C[..., :1], activation="gelu")
        given = {"scale": C[..., :1], "activation": "gelu"}
        testing.assert_same(plan(X, C=C, beta=-1), stated(A, X, None, C=C, beta=-1, **given))
        testing.assert_same(plan(X, C=C[..., :1, :]), stated(A, X, None, C=C[..., :1, :], **given))
        testing.assert_same(plan(X), stated(A, X, None, **given))


def test_inf_and_nan_take_the_kernel_that_does_not_cross():
    A = dg.CSR(testing.random_values("A", (30, 20), "f4", zeros=0.7))
    X = testing.random_values("X", (20, 40), "f4")
    plan = dg.plan(A, X, kernel="gemm_packed", bias=np.arange(30)[:, None], alpha=0.5)
    X[3, 4] = np.inf
    testing.assert_same(plan(X), stated(A, X, None, bias=np.arange(30)[:, None], alpha=0.5))


def test_values_of_a_stack_of_sparse_matrices():
    A = dg.CSR(testing.random_values("A", (12, 9), "f4", zeros=0.6))
    X, values = testing.random_values("X", (9, 5), "f4"), testing.random_values("v", (3, A.nnz), "f4")
    wanted = np.stack([dg.matmul(A.with_data(v), X, bias=1.0, activation="relu") for v in values])
    testing.assert_same(dg.matmul(A, X, values=values, bias=1.0, activation="relu"), wanted)


def test_what_calls_refuse():
    A, S = np.ones((4, 4), "f4"), dg.CSR(np.eye(4, dtype="f4"))
    plan = dg.plan(S, A)
    with pytest.raises(
        dg.ShapeError, match=r"matmul: C has shape \(3,\), which does not broadcast to .* \(4, 4\)"
    ):
        plan(A, C=np.ones(3))
    with pytest.raises(ValueError, match=r"matmul: beta is 2.0 but there is no C for it to scale"):
        plan(A, beta=2.0)
    with pytest.raises(dg.DTypeError, match="matmul: beta is 'x', expected a real number"):
        plan(A, C=A, beta="x")
    with pytest.raises(dg.DTypeError, match="matmul: C has dtype complex64, expected real numbers"):
        plan(A, C=A.astype("c8"))
    C = A.copy()
    with pytest.raises(dg.FormatError, match="matmul: out shares memory with C; pass a separate array"):
        plan(A, C=C, out=C)
    with pytest.raises(TypeError, match="got the keyword 'c'"):
        plan(A, c=A)
    for dtype in ("int8", "complex64"):
        whole = dg.plan(A.astype(dtype), A.astype(dtype), fixed="left")
        with pytest.raises(dg.UnsupportedError, match="C can follow products that accumulate in float32 or"):
            whole(A.astype(dtype), C=A)
    two = dg.plan(S, S)
    with pytest.raises(dg.UnsupportedError, match="C= takes dense results; that of two sparse operands"):
        two(S, C=A)
    with pytest.raises(dg.UnsupportedError, match="plan: bias follows dense results"):
        dg.plan(S, S, bias=1.0)
    half = dg.plan(S.astype("float16"), A.astype("float16"), kernel="csr_narrow")
    with pytest.raises(dg.UnsupportedError, match="rounds to float16 before C could be added; make it with"):
        half(A.astype("float16"), C=A)


@pytest.mark.parametrize("fixed", [dg.CSR(np.ones((3, 4), "f4")), np.ones((3, 4), "f4")])
def test_a_view_of_the_result_is_no_addend(fixed):
    plan, out = dg.plan(fixed, np.ones((4, 2), "f4"), fixed="left"), np.full((3, 2), 7.0, "f4")
    for view in (out, memoryview(out)):
        with pytest.raises(dg.FormatError, match="out shares memory with C"):
            plan(np.ones((4, 2), "f4"), out=out, C=view, beta=1.0)


def test_plans_of_two_quantised_operands_name_what_they_refuse():
    A, C = dg.quantize(np.eye(4), "int8"), np.ones((4, 4), "f4")
    with pytest.raises(dg.DTypeError, match="beta is 'x', expected a real number"):
        dg.plan(A, A)(A, C=C, beta="x")
    with pytest.raises(dg.DTypeError, match="beta is 1j, expected a real number"):
        dg.plan(A, A)(A, C=C, beta=1j)
    with pytest.raises(dg.UnsupportedError, match="rounds to float16 before C could be added"):
        dg.plan(A, A, dtype="float16")(A, C=C)


@pytest.mark.parametrize("dtypes", [("f4", "f4", "f8"), ("f8", "f4", "f4"), ("i1", "f2", "f4")])
def test_entries_in_place_of_others_decide_the_dtype_of_an_epilogue(dtypes):
    own, other, given = dtypes
    A, X = dg.CSR(np.eye(3).astype(own)), testing.random_values("X", (3, 2), other)
    V = testing.random_values("V", (3,), given)
    plain = dg.matmul(A, X, values=V)
    ended = dg.matmul(A, X, values=V, bias=0.0)
    assert ended.dtype == plain.dtype
    assert np.array_equal(ended, plain)


def test_an_epilogue_of_a_stack_without_columns():
    A = dg.CSR(np.ones((3, 4), "f4"))
    assert dg.matmul(A, np.ones((2, 4, 0), "f4"), bias=1.0).shape == (2, 3, 0)


@pytest.mark.filterwarnings("error")
def test_factors_beyond_the_chain_are_infinite():
    A, X = np.ones((2, 2), "f4"), np.ones((2, 2), "f4")
    assert np.isinf(dg.matmul(A, X, alpha=1e300)).all()
    assert np.isinf(dg.plan(A, X, alpha=1e300)(X)).all()
    Q = dg.quantize(X, "int8")
    assert np.isinf(dg.plan(Q, Q)(Q, C=X, beta=1e300)).all()
