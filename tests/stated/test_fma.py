"""The fused multiply-add of the reference against exact rational arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from exact import check_fma, exact_fma, random_floats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepgemm import dtypes, reference, testing
from deepgemm.errors import DTypeError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestFma:
    def test_ordinary_values(self, dtype):
        rng = np.random.default_rng(1)
        check_fma(*(random_floats(rng, dtype, 4000, -40, 40) for _ in range(3)))

    def test_whole_exponent_range(self, dtype):
        low, high = (-150, 127) if dtype == np.float32 else (-1074, 1023)
        rng = np.random.default_rng(2)
        check_fma(*(random_floats(rng, dtype, 4000, low, high) for _ in range(3)))

    @pytest.mark.parametrize("distance", [0, 1, 20, 24, 25, 48, 52, 53, 54, 80, 106, 107])
    def test_addend_at_every_distance_from_the_product(self, dtype, distance):
        rng = np.random.default_rng(distance)
        a, b = (random_floats(rng, dtype, 300, -2, 2) for _ in range(2))
        shift = rng.choice([-distance, distance], 300)
        check_fma(a, b, np.ldexp(-(a * b), shift).astype(dtype))

    def test_cancellation_leaves_the_rounding_error_of_the_product(self, dtype):
        rng = np.random.default_rng(3)
        a, b = (random_floats(rng, dtype, 2000, -20, 20) for _ in range(2))
        check_fma(a, b, -(a * b))
        check_fma(a, b, -np.nextafter(a * b, dtype(np.inf)))

    def test_halfway_cases(self, dtype):
        # c is 1, 2, 3 ... ulps of 2**p, and the product half of an ulp and a little more, less, or nothing.
        precision = np.finfo(dtype).nmant
        count = np.arange(1, 65, dtype=dtype)
        c = dtype(2.0**precision) + count
        for a, b in ((0.5, 1.0), (0.5 + 2.0**-20, 1.0), (0.5 - 2.0**-20, 1.0), (1 - 2.0**-20, 0.5)):
            for sign in (1, -1):
                check_fma(np.full_like(c, a), np.full_like(c, sign * b), c)
                check_fma(np.full_like(c, a), np.full_like(c, sign * b), -c)

    def test_subnormal_results(self, dtype):
        low = -126 if dtype == np.float32 else -1022
        rng = np.random.default_rng(4)
        a = random_floats(rng, dtype, 2000, low // 2 - 15, low // 2 + 5)
        b = random_floats(rng, dtype, 2000, low // 2 - 15, low // 2 + 5)
        c = random_floats(rng, dtype, 2000, low - 30, low + 5)
        check_fma(a, b, c)
        check_fma(a, b, np.zeros_like(c))

    def test_overflow(self, dtype):
        top = 127 if dtype == np.float32 else 1023
        rng = np.random.default_rng(5)
        a = random_floats(rng, dtype, 2000, top // 2 - 1, top // 2 + 2)
        b = random_floats(rng, dtype, 2000, top // 2 - 1, top // 2 + 2)
        check_fma(a, b, random_floats(rng, dtype, 2000, top - 3, top))
        largest = np.finfo(dtype).max
        # a*b overflows alone, yet the sum is finite; and sums just below and at the overflow threshold
        check_fma(np.array([largest, largest, 1, 1], dtype), np.array([2, 1, 1, 1], dtype),
                  np.array([-largest, 0, np.ldexp(1.0, top - np.finfo(dtype).nmant - 1),
                            np.ldexp(1.0, top - np.finfo(dtype).nmant - 2)], dtype))  # fmt: skip
        check_fma(np.array([largest] * 3, dtype), np.array([largest] * 3, dtype),
                  np.array([-np.inf, np.inf, np.nan], dtype))  # fmt: skip

    def test_special_values_in_every_combination(self, dtype):
        limits = np.finfo(dtype)
        values = [0.0, 1.0, limits.max, limits.tiny, limits.smallest_subnormal, np.inf, np.nan]
        special = np.array([s * v for v in values for s in (1, -1)], dtype)
        a, b, c = (x.reshape(-1) for x in np.meshgrid(special, special, special))
        check_fma(a, b, c)

    def test_blocks_broadcasting_and_shape(self, dtype):
        a = testing.random_values("a", (300, 1), dtype)
        b = testing.random_values("b", (1, 100), dtype)
        c = testing.random_values("c", (300, 100), dtype)
        result = reference.fma(a, b, c)
        assert result.shape == (300, 100)
        some = np.s_[7::91, 3::40]
        wide = np.broadcast_arrays(a, b, c)
        for x, y, z, got in zip(*(w[some].ravel().tolist() for w in (*wide, result)), strict=True):
            assert got == exact_fma(x, y, z, np.dtype(dtype))
        assert reference.fma(dtype(2), dtype(3), dtype(4)).shape == ()

    def test_matches_the_platform_where_it_has_one(self, dtype):
        if not hasattr(math, "fma"):
            pytest.skip("math.fma needs Python 3.13")
        rng = np.random.default_rng(6)
        a, b, c = (random_floats(rng, np.float64, 2000, -300, 300) for _ in range(3))
        wanted = [math.fma(*t) for t in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]
        assert reference.fma(a, b, c).tolist() == wanted

    def test_warns_of_nothing_and_leaves_operands_alone(self, dtype):
        a = np.array([np.inf, np.finfo(dtype).max, np.finfo(dtype).tiny], dtype)
        before = a.copy()
        with np.errstate(all="raise"):
            reference.fma(a, a, -a)
        assert np.array_equal(a, before)


def test_fma_takes_floats_of_numpy_only():
    with pytest.raises(DTypeError, match="common dtype int64, expected float16, float32 or float64"):
        reference.fma(1, 2, 3)
    with pytest.raises(DTypeError, match="common dtype bfloat16"):
        reference.fma(*[np.ones(1, dtypes.bfloat16)] * 3)
    assert reference.fma(np.float32(1), np.float64(2), np.float32(3)).dtype == np.float64
    assert reference.fma(np.array([2.0], ">f8"), 3.0, 4.0).tolist() == [10.0]


class TestFloat16:
    def test_whole_exponent_range(self):
        rng = np.random.default_rng(7)
        check_fma(*(random_floats(rng, np.float16, 10_000, -25, 15) for _ in range(3)))

    def test_cancellation_and_halfway_cases(self):
        rng = np.random.default_rng(8)
        a, b = (random_floats(rng, np.float16, 4000, -6, 6) for _ in range(2))
        check_fma(a, b, -(a * b))
        check_fma(a, b, np.nextafter(-(a * b), np.float16(np.inf)))
        c = np.arange(1025, 1089).astype(np.float16)
        for half in (0.5, 0.5 + 2.0**-11, 0.5 - 2.0**-11):
            for sign in (1, -1):
                check_fma(np.full_like(c, half), np.full_like(c, sign), c)

    def test_special_values_in_every_combination(self):
        values = [0.0, 1.0, 1 + 2.0**-10, 65504.0, 2.0**-14, 2.0**-14 - 2.0**-24, 2.0**-24, np.inf, np.nan]
        special = np.array([s * v for v in values for s in (1, -1)], np.float16)
        check_fma(*(x.reshape(-1) for x in np.meshgrid(special, special, special)))


@given(*[st.floats(width=64)] * 3)
@example(1 + 2.0**-52, 1 + 2.0**-52, -1.0)
@example(2.0**-537, 2.0**-538, 0.0)  # exactly half of the smallest subnormal: ties to zero
@example(2.0**-537, 2.0**-538 * (1 + 2.0**-52), 0.0)
@example(1e308, 10.0, -1e308)
@settings(deadline=None, max_examples=400)
def test_fma_property_float64(a, b, c):
    check_fma(*(np.array([x]) for x in (a, b, c)))


@given(*[st.floats(width=32)] * 3)
@settings(deadline=None, max_examples=400)
def test_fma_property_float32(a, b, c):
    check_fma(*(np.array([x], np.float32) for x in (a, b, c)))


@given(st.floats(-4, 4), st.floats(-4, 4), st.integers(-3, 3), st.integers(-110, 2))
@settings(deadline=None, max_examples=400)
def test_fma_property_near_cancellation(a, b, ulps, scale):
    c = -(a * b)
    for _ in range(abs(ulps)):
        c = math.nextafter(c, math.copysign(math.inf, ulps))
    check_fma(np.array([a]), np.array([b]), np.array([c]))
    check_fma(np.array([a]), np.array([b]), np.array([math.ldexp(c, scale)]))
