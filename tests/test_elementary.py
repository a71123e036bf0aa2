"""exp, log, erf and tanh as stated: within a few units in the last place of the true value, everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import reference

RANGES = {"f4": (-103.9, 88.7), "f8": (-745.0, 709.7)}


def errors(found, wanted):
    """Return errors in units in the last place; `wanted` is of a wider format."""
    unit = np.spacing(np.abs(wanted.astype(found.dtype))).astype(wanted.dtype)
    return np.abs(found.astype(wanted.dtype) - wanted) / unit


def wide(dtype):
    if dtype == "f8" and np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("no wider format than float64 here")
    return np.float64 if dtype == "f4" else np.longdouble


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_exp(dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(*RANGES[dtype], 40_000), rng.uniform(-1, 1, 40_000)]).astype(dtype)
    assert errors(reference.exp(x), np.exp(x.astype(wide(dtype)))).max() < 0.9


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_log(dtype):
    rng = np.random.default_rng(1)
    x = np.concatenate([np.exp(rng.uniform(*RANGES[dtype], 40_000)), rng.uniform(0.5, 2, 40_000)]).astype(
        dtype
    )
    x = x[x > 0]
    assert errors(reference.log(x), np.log(x.astype(wide(dtype)))).max() < 0.9
    assert reference.log(np.ones(1, dtype)).tolist() == [0.0]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_erf(dtype):
    rng = np.random.default_rng(2)
    x = np.concatenate(
        [rng.uniform(-6, 6, 20_000), rng.uniform(-1, 1, 20_000), np.geomspace(1e-37, 1, 5_000)]
    )
    x = x.astype(dtype)
    if dtype == "f4":
        wanted = np.array([math.erf(value) for value in x.astype(float)])
        assert errors(reference.erf(x), wanted).max() < 1.3
    else:  # math.erf is as wide as the result, and off by up to one unit itself
        wanted = np.array([math.erf(value) for value in x])
        assert errors(reference.erf(x), wanted).max() <= 3


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_tanh(dtype):
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [rng.uniform(-20, 20, 40_000), rng.uniform(-1, 1, 40_000), np.geomspace(1e-37, 1, 5_000)]
    )
    x = x.astype(dtype)
    assert errors(reference.tanh(x), np.tanh(x.astype(wide(dtype)))).max() < 2.6


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["erf", "tanh"])
def test_odd_functions_at_the_ends(name, dtype):
    info = np.finfo(dtype)
    x = np.array([0, np.inf, np.nan, info.max, info.smallest_subnormal, info.tiny], dtype)
    found = getattr(reference, name)(x)
    assert found[[0, 1, 3]].tolist() == [0.0, 1.0, 1.0]
    assert np.isnan(found[2])
    assert (np.abs(found[4:] - x[4:]) <= np.abs(x[4:]) * 0.13 + info.smallest_subnormal).all()
    np.testing.assert_array_equal(getattr(reference, name)(-x), -found)
    seam = np.nextafter(np.ones(1, dtype), [0, 1, 2]).astype(dtype)
    assert (np.diff(getattr(reference, name)(seam)) >= 0).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_ends_of_the_range(dtype):
    info = np.finfo(dtype)
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, info.max, -info.max, info.smallest_subnormal], dtype)
    np.testing.assert_array_equal(reference.exp(x), np.array([1, 1, np.inf, 0, np.nan, np.inf, 0, 1], dtype))
    with np.errstate(all="ignore"):
        wanted = np.log(x.astype(wide(dtype))).astype(dtype)
    np.testing.assert_array_equal(reference.log(x), wanted)
    largest, least = (88.72283, -103.97208) if dtype == "f4" else (709.782712893384, -745.1332191019411)
    ends = np.array([largest, np.nextafter(largest, 1e3) + 1e-4, least, least - 1e-4], dtype)
    assert np.isfinite(reference.exp(ends)).tolist() == [True, False, True, True]
    assert (reference.exp(ends) > 0).tolist() == [True, True, True, False]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_exp_is_monotone_around_its_seams(dtype):
    seams = (np.arange(-40, 40) + 0.5) * np.log(2)
    x = (seams[:, None] * (1 + np.linspace(-1, 1, 401) * 1e-5)).astype(dtype)
    assert (np.diff(reference.exp(np.sort(x, axis=1)), axis=1) >= 0).all()


def test_shapes_and_refusals():
    assert reference.exp(np.zeros((2, 3), "f4")).shape == (2, 3)
    assert reference.log(np.float32(1)).shape == ()
    for function in (reference.exp, reference.log, reference.erf, reference.tanh):
        with pytest.raises(dg.DTypeError, match="x has dtype int64, expected float32 or float64"):
            function([1, 2])
