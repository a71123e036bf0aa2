"""exp and log as stated: within one unit in the last place of the true value, everywhere."""

from __future__ import annotations

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
    for function in (reference.exp, reference.log):
        with pytest.raises(dg.DTypeError, match="x has dtype int64, expected float32 or float64"):
            function([1, 2])
