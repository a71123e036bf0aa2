"""Stacks of dense operands: numpy.matmul's shapes, every member as the statement has it."""

from __future__ import annotations

import itertools
import random
import tracemalloc

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing

ISAS = _core.cpu_info()["usable"]
FLOATS = ("f4", "f8", "F", "D")
BATCHES = [
    ((3,), (3,)),
    ((3,), ()),
    ((), (4,)),
    ((2, 3), (2, 3)),
    ((2, 1), (3,)),
    ((1,), (5,)),
    ((2, 1, 2), (3, 1)),
    ((0,), (1,)),
    ((2, 0), ()),
    ((1, 1), (1,)),
]
EXTENTS = [(4, 4, 4), (1, 7, 1), (5, 1, 33), (17, 19, 16), (8, 0, 3), (0, 3, 5), (33, 40, 65), (3, 70, 130)]
LAYOUTS = ("C", "F", "swapped", "transposed", "strided", "reversed", "misaligned", "read-only")

pytestmark = pytest.mark.usefixtures("three_threads")


def laid_out(X, layout):
    """The same stack with other strides."""
    if X.ndim < 2:
        return X
    if layout == "swapped":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(X, (-2, -1), (0, 1))), (0, 1), (-2, -1))
    if layout == "transposed":
        return np.ascontiguousarray(np.swapaxes(X, -1, -2)).swapaxes(-1, -2)
    if layout == "strided":
        wide = np.zeros((*X.shape[:-1], 2 * X.shape[-1]), X.dtype)
        wide[..., ::2] = X
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(X[..., ::-1, :])[..., ::-1, :]
    if layout == "misaligned":
        view = np.zeros(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
        view[...] = X
        return view
    if layout == "read-only":
        X = X.copy()
        X.flags.writeable = False
        return X
    return np.asarray(X, order=layout)


def operands(batches, extents, left, right=None):
    (first, second), (m, k, n) = batches, extents
    A = testing.random_values(f"A{batches}", (*first, m, k), left)
    return A, testing.random_values(f"B{batches}", (*second, k, n), right or left)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batches", BATCHES, ids=str)
def test_shapes_and_layouts(batches, dtype):
    for extents in EXTENTS:
        A, B = operands(batches, extents, dtype)
        wanted = reference.matmul_stack(A, B)
        assert wanted.shape == np.matmul(A, B).shape
        draw = random.Random(f"{batches} {extents} {dtype}")
        testing.assert_same(dg.matmul(A, B), wanted, f"{extents}")
        for _ in range(3):
            layouts = draw.choice(LAYOUTS), draw.choice(LAYOUTS)
            out = laid_out(np.full(wanted.shape, np.nan, dtype), draw.choice(LAYOUTS[:-1]))
            left, right = laid_out(A, layouts[0]), laid_out(B, layouts[1])
            testing.assert_same(dg.matmul(left, right), wanted, f"{extents} {layouts}")
            assert dg.matmul(left, right, out=out, threads=draw.choice((1, 2, 3))) is out
            testing.assert_same(out, wanted, f"{extents} {layouts}, out")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_every_isa_and_tile(dtype, isa, threads):
    for n, m in itertools.product((1, 7, 8, 9, 16, 31, 33, 48, 64, 67), (1, 3, 6, 13, 15)):
        A, B = operands(((5,), (5,)), (m, 9, n), dtype)
        wanted = reference.matmul_stack(A, B)
        for layout in ("C", "transposed"):
            got = dg.matmul(A, laid_out(B, layout), kernel=f"gemm_packed@{isa}", threads=threads)
            testing.assert_same(got, wanted, f"{m} × 9 × {n}, {layout}")


@pytest.mark.parametrize("dtype", FLOATS)
def test_vectors_beside_stacks(dtype):
    A, x = testing.random_values("A", (3, 2, 5, 7), dtype), testing.random_values("x", 7, dtype)
    testing.assert_same(dg.matmul(A, x), reference.matmul_stack(A, x))
    testing.assert_same(dg.matmul(x, A.swapaxes(-1, -2)), reference.matmul_stack(x, A.swapaxes(-1, -2)))
    testing.assert_same(dg.matmul(A[0, 0], x), reference.matmul(A[0, 0], x))
    testing.assert_same(dg.matmul(x, A[0, 0].T), reference.matmul(x, A[0, 0].T))
    out = np.empty((3, 2, 5), dtype)
    assert dg.matmul(A, x, out=out) is out
    testing.assert_same(out, reference.matmul_stack(A, x))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("float16", "float16"),
        (dtypes.bfloat16, dtypes.bfloat16),
        (dtypes.bfloat16, "float32"),
        ("float16", "int8"),
        (dtypes.float8_e4m3fn, dtypes.float8_e5m2),
        ("int8", "int8"),
        ("uint8", "int8"),
        ("float32", "float64"),
        ("complex64", "float64"),
        ("int16", "int16"),
        ("int64", "float32"),
        ("bool", "bool"),
    ],
    ids=str,
)
def test_other_dtypes(left, right, isa):
    for batches, extents in itertools.product(
        [((3,), (3,)), ((2, 1), (3,)), ((4,), ())], [(5, 9, 20), (2, 40, 3)]
    ):
        A, B = operands(batches, extents, left, right)
        wanted = reference.matmul_stack(A, B)
        testing.assert_same(dg.matmul(A, laid_out(B, "transposed"), kernel=isa), wanted)
        out = laid_out(np.empty_like(wanted), "transposed")
        assert dg.matmul(A, B, out=out, kernel=isa) is out
        testing.assert_same(out, wanted)


@pytest.mark.parametrize("shape", [(3, 200, 210, 190), (40, 70, 90, 80), (700, 12, 16, 12), (2, 1500, 3, 40)])
def test_large_members_and_many_are_shared_by_threads(shape):
    count, m, k, n = shape
    A, B = testing.random_values("A", (count, m, k), "f4"), testing.random_values("B", (count, k, n), "f4")
    results = [dg.matmul(A, B, threads=threads) for threads in (1, 2, 3)]
    for member in (0, count // 2, count - 1):
        testing.assert_same(results[0][member], dg.matmul(A[member], B[member]))
    testing.assert_same(results[0][count // 2][:3], reference.matmul(A[count // 2][:3], B[count // 2]))
    for other in results[1:]:
        testing.assert_same(other, results[0])
    shared = dg.matmul(A, B[0])
    testing.assert_same(shared[count - 1], dg.matmul(A[count - 1], B[0]))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    "shape", [(3001, 20, 16), (1700, 64, 33), (900, 90, 8), (2000, 40, 4), (190, 1100, 9)], ids=str
)
def test_many_rows_and_few_columns(shape, dtype, isa):
    m, k, n = shape
    A, B = testing.random_values("A", (m, k), dtype), testing.random_values("B", (k, n), dtype)
    wanted = reference.matmul(A, B)
    for number, layout in enumerate(("C", "transposed", "strided", "reversed")):
        left, right, threads = laid_out(A, layout), laid_out(B, layout), number % 3 + 1
        for reuse in (None, 9):
            plan = dg.plan(
                left, right, fixed="right", reuse=reuse, kernel=f"gemm_packed@{isa}", threads=threads
            )
            testing.assert_same(plan(left), wanted, f"{layout} {reuse}")
            out = laid_out(np.full_like(wanted, np.nan), layout)
            testing.assert_same(plan(A, out=out), wanted, f"{layout} {reuse} out")
    turned = dg.plan(B.T, A.T, fixed="left", kernel=f"gemm_packed@{isa}")
    testing.assert_same(turned(A.T), wanted.T)
    testing.assert_same(turned(A.T, out=np.empty_like(wanted).T), wanted.T)
    given = {"bias": np.arange(n), "activation": "relu"}
    got = dg.matmul(A, B, **given, kernel=isa)
    testing.assert_same(got, reference.epilogue(wanted, **given))


def test_results_that_are_given_to_small_products():
    A, B = operands(((3,), (3,)), (4, 5, 6), "f4")
    wanted = reference.matmul_stack(A, B)
    for layout in LAYOUTS[:-1]:
        out = laid_out(np.full_like(wanted, np.nan), layout)
        assert dg.matmul(A, B, out=out) is out
        testing.assert_same(out, wanted, layout)
    square = np.ones((3, 4, 4), "f4")
    for out in (square, square.swapaxes(-1, -2), square[::-1]):
        with pytest.raises(dg.FormatError, match="out shares memory"):
            dg.matmul(square, square[:1], out=out)
    frozen = np.empty((3, 4, 6), "f4")
    frozen.flags.writeable = False
    with pytest.raises(dg.FormatError, match="out is read-only"):
        dg.matmul(A, B, out=frozen)


def test_broadcast_operands_are_not_copied():
    A = np.broadcast_to(testing.random_values("A", (30, 400), "f4"), (4000, 30, 400))
    B = testing.random_values("B", (400, 1), "f4")
    tracemalloc.start()
    got = dg.matmul(A, B)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * got.nbytes < A.nbytes
    testing.assert_same(got[3999], reference.matmul(A[0], B))


def test_inf_and_nan_stay_in_their_member():
    A, B = operands(((6,), (6,)), (9, 8, 10), "f8")
    B[2] = testing.with_nonfinite(B[2])
    testing.assert_same(dg.matmul(A, B), reference.matmul_stack(A, B))


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((2, 3, 4), (5, 6), "matmul: A has 4 columns but X has 5 rows"),
        ((2, 3, 4), (5,), "matmul: A has 4 columns but X has 5 elements"),
        ((4,), (2, 5, 6), "matmul: A has 4 elements but X has 5 rows"),
        ((2, 3, 4), (3, 4, 5), r"matmul: the leading axes of A, \(2,\), and of X, \(3,\), do not broadcast"),
    ],
)
def test_shapes_that_do_not_fit(left, right, message):
    with pytest.raises(dg.ShapeError, match=message):
        dg.matmul(np.ones(left), np.ones(right))


def test_bad_results_and_options():
    A, B = np.ones((2, 3, 4)), np.ones((4, 5))
    for out, error, message in (
        (np.empty((2, 3, 4)), dg.ShapeError, r"out has shape \(2, 3, 4\), expected \(2, 3, 5\)"),
        (np.empty((2, 3, 5), "f4"), dg.DTypeError, "out has dtype float32, expected float64"),
        ([[[0.0]]], dg.DTypeError, "out must be a numpy.ndarray, got list"),
        (np.broadcast_to(np.zeros((3, 5)), (2, 3, 5)), dg.FormatError, "out is read-only"),
        (
            np.lib.stride_tricks.as_strided(np.empty((3, 5)), (2, 3, 5), (0, 40, 8)),
            dg.FormatError,
            "out has elements that share memory",
        ),
    ):
        with pytest.raises(error, match=f"matmul: {message}"):
            dg.matmul(A, B, out=out)
    square = np.ones((2, 4, 4))
    with pytest.raises(dg.FormatError, match="matmul: out shares memory with an operand"):
        dg.matmul(square, B[:, :4], out=square)
    with pytest.raises(
        dg.UnsupportedError, match="kernel cannot be obeyed, gemm_packed does stacks of dense operands"
    ):
        dg.matmul(A, B, kernel="dense_as_csr")
    with pytest.raises(dg.UnsupportedError, match=r"gemm_packed does stacks of dense operands.*a plan"):
        dg.matmul(A, B, kernel="numpy_blas")
    with pytest.raises(dg.UnsupportedError, match="numpy_blas does stacks of dense operands"):
        dg.matmul(A.astype("i4"), B.astype("i4"), kernel="gemm_packed")


def test_the_environment_is_seen_at_each_call(monkeypatch, caplog):
    A, B = np.ones((4, 4), "f4"), np.ones((4, 4), "f4")
    monkeypatch.setenv("DEEPGEMM_KERNEL", "csr_rowwise")
    with pytest.raises(dg.UnsupportedError):
        dg.matmul(A, B)
    monkeypatch.setenv("DEEPGEMM_KERNEL", "avx5120")
    with pytest.raises(ValueError, match="DEEPGEMM_KERNEL is 'avx5120'"):
        dg.matmul(A, B)
    monkeypatch.delenv("DEEPGEMM_KERNEL")
    monkeypatch.setenv("DEEPGEMM_VERBOSE", "1")
    with caplog.at_level("INFO", logger="deepgemm"):
        dg.matmul(A, B)
        dg.matmul(A[None], B)
    assert "gemm_packed" in caplog.text
    assert "no plan for matmul" in caplog.text
