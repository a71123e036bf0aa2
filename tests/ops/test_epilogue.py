"""What may follow a product: the stated order, on every kernel, dtype, ISA and number of threads."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from epilogue_terms import terms

import deepgemm as dg
from deepgemm import _core, dtypes, reference, testing
from deepgemm.stated.epilogue import ACTIVATIONS

ISAS = _core.cpu_info()["usable"]
SHAPES = [
    (1, 5, 3),
    (3, 600, 90),
    (70, 65, 131),
    (5, 0, 7),
    (0, 3, 4),
    (40, 1100, 33),
    (19, 17, 1),
    (64, 64, 64),
]
# Operands, and the dtypes of results beside that of the accumulator.
DTYPES = [
    ("float32", "float32", (None, "float16", dtypes.bfloat16, "float64")),
    ("float64", "float64", (None, "float32")),
    ("float16", "float16", (None, "float32", dtypes.bfloat16)),
    (dtypes.bfloat16, dtypes.bfloat16, (None, "float32")),
    (dtypes.bfloat16, "int8", (None,)),
    ("float32", "float64", (None,)),
]

pytestmark = pytest.mark.usefixtures("three_threads")


def stated(A, B, dtype, **given):
    chain = dtypes.accumulator(A.dtype, B.dtype)
    output = dtype or dtypes.default_output(A.dtype, B.dtype, A.shape[-1])
    return reference.epilogue(reference.matmul_stack(A, B, dtype=chain), **given, dtype=output)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("left", "right", "outputs"), DTYPES, ids=lambda value: str(value)[:12])
def test_dense_products(left, right, outputs, isa):
    for shape, output, turn in itertools.product(SHAPES, outputs, range(3)):
        m, k, n = shape
        draw = random.Random(f"{left} {right} {isa} {shape} {output} {turn}")
        A = testing.LAYOUTS[draw.choice(list(testing.LAYOUTS))](testing.random_values("A", (m, k), left))
        B = testing.LAYOUTS[draw.choice(list(testing.LAYOUTS))](testing.random_values("B", (k, n), right))
        given = terms(draw, (m, n))
        wanted = stated(A, B, output, **given)
        threads = draw.choice((1, 2, 3))
        got = dg.matmul(A, B, **given, dtype=output, kernel=f"gemm_packed@{isa}", threads=threads)
        testing.assert_same(got, wanted, f"{shape} {output} {threads} threads {given.keys()}")
        out = testing.LAYOUTS[draw.choice(("C", "F", "row-stride", "misaligned"))](np.empty_like(wanted))
        assert dg.matmul(A, B, **given, out=out, dtype=output, kernel=isa) is out
        testing.assert_same(out, wanted, f"{shape} {output} out {given.keys()}")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", ISAS)
def test_activations_of_every_kind_of_number(isa, dtype, activation):
    info = np.finfo(dtype)
    ends = [0, -0.0, np.inf, -np.inf, np.nan, info.max, -info.max, info.smallest_subnormal, -info.tiny]
    x = np.concatenate([ends, np.linspace(-12, 12, 4001), np.geomspace(1e-30, 1e30, 500)]).astype(dtype)
    one = np.ones((1, 1), dtype)
    wanted = reference.epilogue(x[:, None] + 0, activation=activation)
    testing.assert_same(dg.matmul(x[:, None], one, activation=activation, kernel=isa), wanted)
    assert wanted[2] == np.inf  # the others have limits of zero
    assert wanted[3] == 0
    assert np.isnan(wanted[4])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_are_what_they_are_called(dtype):
    erf = pytest.importorskip("scipy.special").erf
    x = np.linspace(-8, 8, 10001).astype(dtype)
    wide = x.astype(np.longdouble)
    truth = {
        "relu": np.maximum(wide, 0),
        "gelu": wide / 2 * (1 + erf((wide / np.sqrt(np.longdouble(2))).astype("f8"))),
        "gelu_tanh": wide
        / 2
        * (1 + np.tanh(np.sqrt(2 / np.longdouble(np.pi)) * (wide + 0.044715 * wide**3))),
        "silu": wide / (1 + np.exp(-wide)),
    }
    for name, wanted in truth.items():
        error = np.abs(reference.epilogue(x, activation=name) - wanted) / np.maximum(np.abs(wide), 1)
        assert error.max() < 2 * np.finfo(dtype).eps, name
    silu, wanted = reference.epilogue(x, activation="silu"), truth["silu"]
    assert (np.abs(silu - wanted) <= 3 * np.spacing(np.abs(silu))).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("left", "right", "outputs"), DTYPES, ids=lambda value: str(value)[:12])
def test_plans(left, right, outputs, side, threads):
    for shape, output, reuse in itertools.product(
        [(3, 40, 90), (70, 65, 131), (1, 700, 30)], outputs, (None, 9)
    ):
        m, k, n = shape
        draw = random.Random(f"{left} {right} {side} {shape} {output} {reuse}")
        A, B = testing.random_values("A", (m, k), left), testing.random_values("B", (k, n), right)
        given = {name: term for name, term in terms(draw, (m, n)).items() if name not in ("C", "beta")}
        given = given or {"activation": "silu"}
        plan = dg.plan(A, B, fixed=side, reuse=reuse, dtype=output, threads=threads, **given)
        assert plan.kernel == "gemm_packed"
        wanted = stated(A, B, output, **given)
        other = B if side == "left" else A
        for name in ("scale", "bias"):  # the plan has copies
            if isinstance(given.get(name), np.ndarray) and given[name].ndim:
                given[name][...] = np.nan
        testing.assert_same(plan(other), wanted, f"{shape} {output} {reuse}")
        out = np.empty_like(wanted, order="F")
        assert plan(np.asfortranarray(other), out=out) is out
        testing.assert_same(out, wanted)


def test_plans_tell_what_follows():
    A, B = np.ones((8, 8), "f4"), np.ones((8, 8), "f4")
    plan = dg.plan(A, B, fixed="right", reuse=10, bias=np.ones(8), alpha=2, activation="relu")
    assert "alpha, bias, relu, before the result is stored" in str(plan.explain())
    assert "dense_as_csr" in str(plan.explain())
    from deepgemm.planner.decision import replay

    assert replay(plan.to_json()).problem == plan.problem
    vector = dg.plan(A, np.ones(8, "f4"), fixed="left", bias=np.arange(8.0))
    testing.assert_same(vector(np.ones(8, "f4")), np.arange(8, dtype="f4") + 8)
    row = dg.plan(np.ones(8, "f4"), B, fixed="right", bias=np.arange(8.0))
    testing.assert_same(row(np.ones(8, "f4")), np.arange(8, dtype="f4") + 8)


def test_stacks():
    for batches, shape in itertools.product(
        [((3,), (3,)), ((2, 1), (4,)), ((5,), ())], [(6, 9, 20), (30, 40, 50)]
    ):
        m, k, n = shape
        A = testing.random_values("A", (*batches[0], m, k), "f4")
        B = testing.random_values("B", (*batches[1], k, n), "f4")
        C = testing.random_values("C", (*np.broadcast_shapes(*batches), m, n), "f4")
        for given in (
            {"bias": np.arange(n), "activation": "gelu"},
            {"C": C, "beta": 0.5, "scale": C[..., :1]},
            {"bias": C[..., :1, :], "alpha": 3.0},
        ):
            for output in (None, "float16"):
                for threads in (1, 2, 3):
                    got = dg.matmul(A, B, **given, dtype=output, threads=threads)
                    testing.assert_same(got, stated(A, B, output, **given), f"{batches} {shape}")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", dtypes.bfloat16], ids=str)
@pytest.mark.parametrize("format", ["csr", "csc", "bsr"])
def test_sparse_products(format, dtype):
    A = dg.CSR(testing.random_values("A", (60, 52), dtype, zeros=0.8))
    A = A.tobsr((4, 4)) if format == "bsr" else A.asformat(format)
    for columns in (None, 1, 7, 33):
        X = testing.random_values("X", (52,) if columns is None else (52, columns), dtype)
        draw = random.Random(f"{format} {dtype} {columns}")
        given = terms(draw, (60, columns or 1)) if columns else {"bias": np.arange(60), "activation": "silu"}
        chain = dtypes.accumulator(A.dtype, X.dtype)
        wanted = reference.epilogue(reference.matmul(A, X, dtype=chain), **given, dtype=dtype)
        testing.assert_same(dg.matmul(A, X, **given), wanted)
        out = np.empty_like(wanted)
        assert dg.matmul(A, X, **given, out=out) is out
        testing.assert_same(out, wanted)
    X = testing.random_values("X", (3, 52, 4), dtype)
    wanted = reference.epilogue(
        reference.matmul_stack(A, X, dtype=chain), bias=np.arange(60)[:, None], dtype=dtype
    )
    testing.assert_same(dg.matmul(A, X, bias=np.arange(60)[:, None]), wanted)


def test_quantised_operands():
    W = dg.quantize(testing.random_values("W", (40, 30), "f4"), "int8", axis=1)
    X = testing.random_values("X", (5, 40), "f4")
    wanted = reference.epilogue(reference.matmul(X, W), bias=np.arange(30), activation="gelu_tanh")
    testing.assert_same(dg.matmul(X, W, bias=np.arange(30), activation="gelu_tanh"), wanted)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"activation": "tanh"},
            ValueError,
            "activation is 'tanh', expected one of: relu, gelu, gelu_tanh, silu",
        ),
        ({"beta": 2.0}, ValueError, "beta is 2.0 but there is no C for it to scale"),
        ({"alpha": "x"}, dg.DTypeError, "alpha is 'x', expected a real number"),
        ({"bias": np.ones(3, "D")}, dg.DTypeError, "bias has dtype complex128, expected real numbers"),
        (
            {"bias": np.ones(4)},
            dg.ShapeError,
            r"bias has shape \(4,\), which does not broadcast to .* \(2, 3\)",
        ),
        ({"C": np.ones((5, 2, 3))}, dg.ShapeError, r"C has shape \(5, 2, 3\), which does not broadcast"),
    ],
)
def test_bad_terms(given, error, message):
    with pytest.raises(error, match=f"matmul: {message}"):
        dg.matmul(np.ones((2, 4)), np.ones((4, 3)), **given)


def test_products_without_an_epilogue():
    A, S = np.ones((4, 4)), dg.CSR(np.eye(4))
    for left, right in ((S, S), (A[0], A[0])):
        with pytest.raises(dg.UnsupportedError, match="matmul: bias can follow the product of two dense"):
            dg.matmul(left, right, bias=1.0)
    with pytest.raises(dg.UnsupportedError, match="relu cannot be applied with mask="):
        dg.matmul(A, A, mask=S, activation="relu")
    for dtype in ("int8", "complex64"):
        with pytest.raises(
            dg.UnsupportedError, match="alpha can follow products that accumulate in float32 or float64"
        ):
            dg.matmul(A.astype(dtype), A.astype(dtype), alpha=2.0)
    with pytest.raises(dg.UnsupportedError, match="memory_budget= is for two sparse operands"):
        dg.matmul(S, A, memory_budget="1G", bias=1.0)
    with pytest.raises(dg.DTypeError, match="matmul: bias is a masked array"):
        dg.matmul(A, A, bias=np.ma.masked_array(np.ones(4), [1, 0, 0, 0]))
    with pytest.raises(dg.FormatError, match="matmul: bias does not form an array"):
        dg.matmul(A, A, bias=[[1], [2, 3]])
    C = np.ones((4, 4))
    with pytest.raises(dg.FormatError, match="out shares memory with an operand"):
        dg.matmul(A, A, C=C, out=C)
    with pytest.raises(dg.FormatError, match="out shares memory with an operand"):
        dg.matmul(S, C, out=C, scale=1.0)
