"""Observers: what they remember, and that their limits are as good as they say."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import deepgemm as dg
from deepgemm.errors import DTypeError, ShapeError
from deepgemm.ops.observers import BINS
from deepgemm.testing import assert_same

KINDS = {
    "min-max": dg.MinMaxObserver,
    "moving average": dg.MovingAverageObserver,
    "percentile": dg.PercentileObserver,
    "mse": lambda **options: dg.MSEObserver("int8", **options),
}
SCALINGS = [{}, {"axis": 0}, {"axis": 1}, {"axis": 0, "group_size": 5}, {"axis": 1, "group_size": 4}]


@pytest.mark.parametrize("options", SCALINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_limits_fit_quantize(kind, options, tools):
    observer = KINDS[kind](**options)
    batches = [tools.random((7, 13), seed=seed) for seed in range(3)]
    for batch in batches:
        assert observer.observe(batch) is observer
    low, high = observer.limits
    made = dg.quantize(batches[0], "int8", limits=observer.limits, **options)
    assert low.shape == high.shape == made.scales.shape
    assert (low <= high).all()
    assert (np.maximum(-low, high) <= np.abs(batches).max()).all()
    again = pickle.loads(pickle.dumps(observer))
    assert [end.tolist() for end in again.limits] == [low.tolist(), high.tolist()]
    assert repr(observer).startswith(type(observer).__name__)


def test_min_max(tools):
    batches = [tools.random((7, 13), seed=seed) for seed in range(3)]
    observer = dg.MinMaxObserver(axis=0)
    for batch in batches:
        observer.observe(batch)
    assert_same(observer.limits[0][:, 0], np.min(batches, axis=(0, 2)).astype(np.float64))
    assert_same(observer.limits[1][:, 0], np.max(batches, axis=(0, 2)).astype(np.float64))
    one = dg.MinMaxObserver(axis=0).observe(batches[0])
    expected = dg.quantize(batches[0], "int8", axis=0)
    assert_same(dg.quantize(batches[0], "int8", axis=0, limits=one.limits).values, expected.values)


def test_moving_average():
    observer = dg.MovingAverageObserver(0.25)
    for high in (1.0, 5.0, 1.0):
        observer.observe([[0.0, high]])
    assert observer.limits[1].tolist() == [[1.75]]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_percentile(scale):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((40, 2500)) * scale
    observer = dg.PercentileObserver(99.0)
    for batch in np.split(x, 4):
        observer.observe(batch)
    low, high = (float(end[0, 0]) for end in observer.limits)
    inside = np.mean((x >= low) & (x <= high))
    assert 0.99 <= inside < 0.992
    assert low < -2.4 * scale
    assert high > 2.4 * scale
    whole = dg.PercentileObserver(100).observe(x).limits
    assert whole[0] == x.min()
    assert whole[1] == x.max()


def test_histograms_do_not_depend_on_the_order():
    batches = [np.random.default_rng(i + 9).standard_normal((3, 50)) * 10.0**i for i in (-4, 2, 0, -1)]
    batches.append(np.zeros((3, 50)))
    found = []
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]):
        observer = dg.PercentileObserver(95, axis=0)
        for i in order:
            observer.observe(batches[i])
        found.append(observer)
    for observer in found[1:]:
        assert_same(observer._bins, found[0]._bins)
        assert_same(observer.limits[1], found[0].limits[1])
    assert found[0]._bins.shape == (3, BINS)
    assert (found[0]._bins.sum(axis=1) == 250).all()


@pytest.mark.parametrize("dtype", ["int8", "int4", "uint4", "int2", "float8_e4m3fn"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_mse_is_better_than_min_max(dtype, symmetric):
    if dtype.startswith("float8") and not symmetric:
        pytest.skip("float8 has no zero points")
    x = np.random.default_rng(0).standard_t(3, (4, 5000)).astype(np.float32) + 0.2
    best = dg.MSEObserver(dtype, symmetric, axis=0).observe(x).limits
    plain = dg.MinMaxObserver(axis=0).observe(x).limits

    def error(limits):
        values, _ = dg.fake_quantize(x, dtype, axis=0, symmetric=symmetric, limits=limits)
        return ((values.astype(np.float64) - x) ** 2).mean(axis=1)

    assert (error(best) <= error(plain) * 1.01).all()
    if dtype in ("int4", "uint4"):
        assert (error(best) < 0.5 * error(plain)).all()


@pytest.mark.parametrize("values", [[[0.0, 0.0]], [[3.0, 3.0]], [[-5.0, -1.0]], [[1.0, 5.0]]])
@pytest.mark.parametrize("symmetric", [True, False])
def test_mse_of_few_values(values, symmetric):
    observer = dg.MSEObserver("int8", symmetric).observe(values)
    made = dg.quantize(values, "int8", symmetric=symmetric, limits=observer.limits)
    assert np.abs(made.dequantize() - values).max() <= 0.03


def test_bad_input():
    for make in KINDS.values():
        with pytest.raises(ValueError, match="nothing was observed yet"):
            _ = make().limits
        with pytest.raises(
            ValueError, match=r"Observer: x has an infinity or nan in the block at row 0, column 0$"
        ):
            make().observe([[1.0, np.inf]])
        with pytest.raises(
            ShapeError, match=r"x has \(3, 1\) blocks, but what was observed before had \(2, 1\)"
        ):
            make(axis=0).observe(np.ones((2, 4))).observe(np.ones((3, 4)))
        with pytest.raises(ValueError, match="Observer: axis is 5"):
            make(axis=5)
        with pytest.raises(ValueError, match="group_size needs axis=0"):
            make(group_size=5)
        with pytest.raises(ShapeError, match="x has 1 dimension"):
            make().observe([1.0])
    with pytest.raises(ValueError, match="momentum is 0, expected above 0 and up to 1"):
        dg.MovingAverageObserver(0)
    for observer in (dg.MovingAverageObserver, dg.PercentileObserver):
        with pytest.raises(dg.DTypeError, match=r"is 'int8', expected a real number"):
            observer("int8")
    with pytest.raises(ValueError, match="percentile is 101"):
        dg.PercentileObserver(101)
    with pytest.raises(DTypeError, match="MSEObserver: dtype is int16"):
        dg.MSEObserver("int16")
    with pytest.raises(TypeError):
        dg.Observer()
