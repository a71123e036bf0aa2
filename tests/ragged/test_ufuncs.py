"""Universal functions and operators on values, and what is refused."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.testing import assert_segments as same

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    np.maximum, np.hypot,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("operation", BINARY, ids=lambda f: f.__name__)
def test_two_operands(ragged, parts, operation):
    for other in (2, 0.5, np.float32(3), np.int8(2)):
        same(operation(ragged, other), [operation(part, other) for part in parts])
        same(operation(other, ragged), [operation(other, part) for part in parts])
    twice = ragged.with_values(ragged.values * 2)
    same(operation(ragged, twice), [operation(part, part * 2) for part in parts])
    same(operation(ragged, twice.packed()), [operation(part, part * 2) for part in parts])
    row = np.full(ragged.row_shape[1:], 0.25)
    same(operation(ragged, row), [operation(part, 0.25) for part in parts])


@pytest.mark.parametrize("operation", [operator.and_, operator.or_, operator.xor])
def test_bits(operation):
    r = dg.Ragged([[1, 2], [], [7]])
    same(operation(r, 3), [operation(part, 3) for part in r])
    same(operation(3, r), [operation(3, part) for part in r])
    same(~r, [~part for part in r])


def test_one_operand(ragged, parts):
    for function in (np.exp, np.negative, abs, operator.neg, operator.pos, np.isfinite, np.sign):
        same(function(ragged), [function(part) for part in parts])


def test_several_results_and_options(ragged, parts):
    fraction, whole = np.modf(ragged)
    same(fraction, [np.modf(part)[0] for part in parts])
    same(whole, [np.modf(part)[1] for part in parts])
    assert np.add(ragged, 1, dtype=np.complex128).dtype == np.complex128


def test_rows_broadcast():
    r = dg.Ragged([np.ones((2, 3)), np.zeros((1, 3))])
    assert (r * np.array([1, 2, 3])).to_list() == [[[1, 2, 3]] * 2, [[0, 0, 0]]]
    assert np.add(r, [1.0]).to_list() == [[[2, 2, 2]] * 2, [[1, 1, 1]]]
    per_segment = np.array([10.0, 20.0])
    assert (r + r.broadcast(per_segment[:, None])).to_list() == [[[11] * 3] * 2, [[20] * 3]]


@pytest.mark.parametrize("dtype", [dg.bfloat16, np.float16, dg.float8_e4m3fn, np.int8, np.complex64])
def test_narrow_and_complex_dtypes(dtype):
    r = dg.Ragged(np.arange(5).astype(dtype), [0, 2, 5])
    assert (r + r).dtype == r.dtype
    assert (r + r).astype(np.complex128).to_list() == [[0, 2], [4, 6, 8]]


def test_structure_is_shared(ragged):
    result = ragged + 1
    assert not result.has_gaps
    if not ragged.has_gaps:
        assert np.shares_memory(result.offsets, ragged.offsets)
    rebound = ragged
    rebound += 1
    assert rebound.equals(result)
    assert not np.shares_memory(rebound.values, ragged.values)


def test_gaps_are_not_computed():
    r = dg.Ragged(np.array([1.0, 0.0, 2.0, 0.0]), [0, 2, 4], lengths=[1, 1])
    with np.errstate(all="raise"):
        assert (1 / r).to_list() == [[1.0], [0.5]]


def test_comparison_with_other_things():
    r = dg.Ragged([[1.0]])
    assert (r == None) is False  # noqa: E711
    assert (r != "a") is True
    with pytest.raises(TypeError):
        assert r < "a"
    with pytest.raises(TypeError):
        hash(r)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda r: np.add.reduce(r),
            TypeError,
            r"numpy.add.reduce would mix segments; .*Ragged.sum\(\) stay",
        ),
        (lambda r: np.maximum.reduce(r), TypeError, r"Ragged.max\(\) stay"),
        (lambda r: np.add.accumulate(r), TypeError, "numpy.add.accumulate would mix"),
        (
            lambda r: np.multiply.outer(r, r),
            TypeError,
            r"outer would mix segments; methods of Ragged, such as",
        ),
        (
            lambda r: np.matmul(r, np.eye(2), dtype=np.float64),
            TypeError,
            "matmul is no element-wise function",
        ),
        (
            lambda r: np.add(r, 1, out=np.zeros(3)),
            TypeError,
            "out= is not taken, ragged arrays are immutable",
        ),
        (lambda r: np.add(r, 1, where=np.ones(3, bool)), TypeError, "where= is not taken"),
        (
            lambda r: np.sum(r),
            TypeError,
            r"numpy.sum is for plain arrays, such as .values; methods such as .sum",
        ),
        (
            lambda r: r + np.ones(2),
            dg.ShapeError,
            r"shape \(2,\), .*rows of shape \(\); broadcast\(\) makes rows",
        ),
        (lambda r: r + np.ones((3, 1)), dg.ShapeError, r"shape \(3, 1\), which does not broadcast"),
        (lambda r: r + r[:1], dg.ShapeError, "operands have 2 and 1 segments"),
        (lambda r: r + r[::-1], dg.ShapeError, "segment 0 has length 2 in one operand and 1 in another"),
        (lambda r: r + dg.Ragged([[[1.0]] * 2, [[1.0]]]), dg.ShapeError, r"rows of shapes \(\) and \(1,\)"),
        (lambda r: np.add(r, "a"), dg.DTypeError, "the other operand has dtype"),
        (lambda r: np.add(r, 1, dtype=object), dg.DTypeError, "numpy.add: the result cannot be stored"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(dg.Ragged([[1.0, 2.0], [3.0]]))
