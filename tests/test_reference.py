"""The reference against exact rational arithmetic, SciPy's integers and its own words."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepgemm import dtypes, reference, testing
from deepgemm.errors import DTypeError, FormatError, ShapeError

FORMATS = {  # precision in bits, exponent of the smallest subnormal, largest finite value
    np.dtype(np.float64): (53, -1074, float(np.finfo(np.float64).max)),
    np.dtype(np.float32): (24, -149, float(np.finfo(np.float32).max)),
    np.dtype(np.float16): (11, -24, 65504.0),
    dtypes.bfloat16: (8, -133, float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)),
    dtypes.float8_e5m2: (3, -16, 57344.0),
    dtypes.float8_e4m3fn: (4, -9, 448.0),
}


def round_exactly(value: Fraction, dtype: np.dtype) -> float:
    """Round a rational number to nearest even by its definition, independently of any library."""
    precision, lowest, largest = FORMATS[dtype]
    if value == 0:
        return 0.0
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - precision + 1, lowest)
    result = round(magnitude / unit) * unit  # Python rounds halves of a Fraction to even
    if result > Fraction(largest):
        result = math.nan if dtype == dtypes.float8_e4m3fn else math.inf
    return math.copysign(float(result), 1 if value > 0 else -1)


def exact_fma(a: float, b: float, c: float, dtype: np.dtype) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        with np.errstate(all="ignore"):
            return float(np.float64(a) * np.float64(b) + np.float64(c))
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        product_sign = math.copysign(1, a) * math.copysign(1, b)
        both_zero = (a == 0 or b == 0) and c == 0
        return -0.0 if both_zero and product_sign < 0 and math.copysign(1, c) < 0 else 0.0
    return round_exactly(exact, dtype)


def identical(got: float, wanted: float) -> bool:
    """Equality that tells zeros apart by their sign."""
    if math.isnan(wanted):
        return math.isnan(got)
    return got == wanted and math.copysign(1, got) == math.copysign(1, wanted)


def check_fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    result = reference.fma(a, b, c)
    assert result.dtype == a.dtype
    for x, y, z, got in zip(a.tolist(), b.tolist(), c.tolist(), result.tolist(), strict=True):
        wanted = exact_fma(x, y, z, a.dtype)
        assert identical(got, wanted), (
            f"fma({x.hex()}, {y.hex()}, {z.hex()}) = {got.hex()}, not {wanted.hex()}"
        )


def random_floats(rng: np.random.Generator, dtype: type, count: int, low: int, high: int) -> np.ndarray:
    mantissa = rng.uniform(1, 2, count) * rng.choice([-1, 1], count)
    with np.errstate(all="ignore"):
        return np.ldexp(mantissa, rng.integers(low, high + 1, count)).astype(dtype)


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


def test_fma_takes_float32_and_float64_only():
    with pytest.raises(DTypeError, match="common dtype int64, expected float32 or float64"):
        reference.fma(1, 2, 3)
    with pytest.raises(DTypeError, match="common dtype float16"):
        reference.fma(*[np.float16(1)] * 3)
    assert reference.fma(np.float32(1), np.float64(2), np.float32(3)).dtype == np.float64
    assert reference.fma(np.array([2.0], ">f8"), 3.0, 4.0).tolist() == [10.0]


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


# --- rounding ---


@pytest.mark.parametrize("target", FORMATS, ids=str)
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_rounded_is_one_rounding(source, target):
    precision, lowest, largest = FORMATS[target]
    if precision > np.finfo(source).nmant + 1:
        pytest.skip("widening")
    rng = np.random.default_rng(7)
    tie = 1 + np.arange(1, 2 ** min(precision, 11), 2) * 2.0**-precision  # halfway between two neighbours
    little = 2.0**-22 if source == np.float32 else 2.0**-45
    edge = np.array([1, 1 + 2.0**-20, 1 + 2.0 ** -(precision + 1), 1 + 2.0**-precision, 1.9]) / 2
    values = [tie, tie + little, tie - little]
    values += [x * 2.0**lowest for x in (tie, tie + little, tie * 0.75)]
    values += [
        random_floats(rng, source, 300, lowest - 3, lowest + 12),
        random_floats(rng, source, 300, -5, 5),
    ]
    with np.errstate(all="ignore"):
        values = np.concatenate([*values, largest * edge * 2])
        values = np.concatenate([values, -values]).astype(source)
    values = values[np.isfinite(values)]
    result = reference.rounded(values, target)
    assert result.dtype == target
    for value, got in zip(values.tolist(), result.astype(np.float64).tolist(), strict=True):
        wanted = round_exactly(Fraction(value), target)
        assert got == wanted or (math.isnan(got) and math.isnan(wanted)), (value.hex(), got, wanted)


def test_rounded_beats_astype_where_that_rounds_twice():
    value = np.array([1 + 2.0**-8 + 2.0**-40])
    assert float(reference.rounded(value, dtypes.bfloat16)[0]) == 1 + 2.0**-7
    # If ml_dtypes ever mends this, the docstring of `rounded` has to change.
    assert float(value.astype(dtypes.bfloat16)[0]) == 1


@pytest.mark.parametrize("target", FORMATS, ids=str)
@pytest.mark.parametrize("source", [np.int64, np.uint64])
def test_rounded_integers(source, target):
    rng = np.random.default_rng(8)
    values = np.concatenate(
        [rng.integers(0, 2**62, 200), 2**53 + np.arange(5), 2**62 + 2**54 + np.arange(3), np.arange(9)]
    )
    values = (
        np.concatenate([values, -values]).astype(source)
        if source == np.int64
        else values.astype(source) * 2 + 1
    )
    result = reference.rounded(values, target).astype(np.float64)
    for value, got in zip(values.tolist(), result.tolist(), strict=True):
        wanted = round_exactly(Fraction(value), target)
        assert got == wanted or (math.isnan(got) and math.isnan(wanted)), (value, got, wanted)


def test_rounded_special_values_and_complex():
    special = np.array([np.inf, -np.inf, np.nan, 0.0])
    testing.assert_same(reference.rounded(special, np.float16), special.astype(np.float16))
    assert np.isnan(reference.rounded(special, dtypes.float8_e4m3fn)[:3].astype(float)).all()
    assert reference.rounded(np.array([1 + 2j]), np.complex64).tolist() == [1 + 2j]


@pytest.mark.parametrize(
    ("source", "target"), [("c16", "f8"), ("f8", "i4"), ("i8", "?"), ("f4", "?"), ("c8", "i1")]
)
def test_rounded_refuses_to_drop_parts_of_a_number(source, target):
    with pytest.raises(DTypeError, match="cannot hold results computed in"):
        reference.rounded(np.zeros(1, source), target)


# --- matmul ---


def slow_chain(left, right, accumulator, ks=None):
    """One element of the product, in Python numbers, step by step."""
    single = np.dtype(np.float32 if accumulator in (np.float32, np.complex64) else np.float64)

    def step(a, b, c):  # fmt: skip
        return exact_fma(a, b, c, single)

    if accumulator.kind != "c":
        total = 0.0
        for k in range(len(left)) if ks is None else ks:
            total = step(float(left[k]), float(right[k]), total)
        return total
    re = im = 0.0
    for k in range(len(left)) if ks is None else ks:
        a, b = complex(left[k]), complex(right[k])
        re = step(-a.imag, b.imag, step(a.real, b.real, re))
        im = step(a.imag, b.real, step(a.real, b.imag, im))
    return complex(re, im)


def slow_matmul(A, B, accumulator, mask=None):
    result = np.zeros((A.shape[0], B.shape[1]), accumulator)
    for i in range(A.shape[0]):
        ks = None if mask is None else np.flatnonzero(mask[i])
        for j in range(B.shape[1]):
            result[i, j] = slow_chain(A[i], B[:, j], accumulator, ks)
    return result


PAIRS = [
    ("f4", "f4", "f4"),
    ("f8", "f8", "f8"),
    ("F", "F", "F"),
    ("D", "D", "D"),
    ("f4", "f8", "f8"),
    ("f4", "F", "F"),
    ("f8", "F", "D"),
    ("i4", "f4", "f8"),
    ("i8", "F", "D"),
    ("i2", "f4", "f4"),
    ("?", "f4", "f4"),
    ("f2", "f4", "f4"),
    ("f2", dtypes.bfloat16, "f4"),
    (dtypes.float8_e4m3fn, dtypes.float8_e5m2, "f4"),
    (dtypes.bfloat16, "f8", "f8"),
]


@pytest.mark.parametrize(("left", "right", "accumulator"), PAIRS, ids=str)
def test_dense_chain(left, right, accumulator):
    A = testing.random_values("A", (3, 20), left)
    B = testing.random_values("B", (20, 4), right)
    result = reference.matmul(A, B)
    assert result.dtype == accumulator
    testing.assert_same(result, slow_matmul(A, B, np.dtype(accumulator)))


@pytest.mark.parametrize(("left", "right", "accumulator"), PAIRS, ids=str)
def test_sparse_chain_on_both_sides(left, right, accumulator):
    case = {case.name: case for case in testing.sparse_cases(left)}["inner-19"].make()
    dense = testing.random_values("A", case.shape, left)
    mask = np.zeros(case.shape, bool)
    rows = np.repeat(np.arange(case.shape[0]), np.diff(case.indptr))
    mask[rows, case.indices] = True
    dense[rows, case.indices] = case.data
    X = testing.random_values("X", (19, 3), right)
    wanted = slow_matmul(dense, X, np.dtype(accumulator), mask)
    testing.assert_same(reference.matmul(case, X), wanted)
    # the transposed product has the dense operand on its left, which matters to complex numbers only
    wanted = np.zeros((3, 13), accumulator)
    for i in range(3):
        for j in range(13):
            wanted[i, j] = slow_chain(X[:, i], dense[j], np.dtype(accumulator), np.flatnonzero(mask[j]))
    testing.assert_same(reference.matmul(X.T, case.transposed), wanted)


@pytest.mark.parametrize("storage", ["f2", dtypes.bfloat16], ids=str)
def test_half_storage_is_accumulated_in_float32_and_rounded_once(storage):
    A, B = testing.random_values("A", (5, 200), storage), testing.random_values("B", (200, 6), storage)
    wide = reference.matmul(A, B, dtype=np.float32)
    testing.assert_same(wide, reference.matmul(A.astype("f4"), B.astype("f4")))
    result = reference.matmul(A, B)
    assert result.dtype == storage
    testing.assert_same(result, wide.astype(storage))


def test_output_dtype_of_a_float64_chain_is_rounded_once():
    A = np.array([[1.0, 2.0**-8 + 2.0**-40]])
    assert float(reference.matmul(A, np.ones(2), dtype=dtypes.bfloat16)[0]) == 1 + 2.0**-7


def test_the_order_is_ascending_fused_and_from_zero():
    x = 1 + 2.0**-30
    assert float(reference.matmul(np.array([[-1.0, x]]), np.array([1.0, x]))[0]) == 2.0**-29 + 2.0**-60
    assert float(reference.matmul(np.array([[x, -1.0]]), np.array([x, 1.0]))[0]) == 2.0**-29  # x*x came first


@pytest.mark.parametrize("dtype", ["i1", "u1"])
def test_small_integers_are_exact(dtype):
    A = np.full((2, 3000), np.iinfo(dtype).max, dtype)
    assert reference.matmul(A, A.T).tolist() == [[3000 * int(np.iinfo(dtype).max) ** 2] * 2] * 2
    assert reference.matmul(A, A.T).dtype == np.int32
    long = np.full((1, 140_000), np.iinfo(dtype).min or 255, dtype)
    result = reference.matmul(long, long[0])
    assert result.dtype == np.int64
    assert result.tolist() == [140_000 * int(long[0, 0]) ** 2]


INTEGERS = ["?", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("left", INTEGERS)
@pytest.mark.parametrize("right", INTEGERS)
def test_other_integers_and_bool_follow_scipy(left, right):
    A = testing.sparse_cases(left)
    for name in ("rows-17", "stored-zeros", "unsorted", "all-zero"):
        case = next(case for case in A if case.name == name).make()
        X = testing.random_values("X", (case.shape[1], 4), right)
        if {left, right} == {"u8", "i8"} or ("u8" in (left, right) and left[0] + right[0] in ("iu", "ui")):
            continue  # float64 there: a chain, in another order than SciPy's
        wanted = case.to_scipy() @ X
        testing.assert_same(reference.matmul(case, X), wanted, name)
        testing.assert_same(reference.matmul(X.T, case.transposed), np.ascontiguousarray(wanted.T), name)
        testing.assert_same(reference.matmul(case.to_scipy().toarray(), X), wanted, name)


def test_integers_wrap_in_their_common_dtype():
    A = np.array([[300, 300]], np.int16)
    assert reference.matmul(A, A[0]).tolist() == [(180_000 + 2**15) % 2**16 - 2**15]


FORMATS_OF_SCIPY = ["csr", "csc", "coo", "bsr", "lil", "dok"]


@pytest.mark.parametrize("kind", FORMATS_OF_SCIPY)
@pytest.mark.parametrize("array", [True, False], ids=["array", "matrix"])
def test_every_scipy_format(kind, array):
    matrix = next(c for c in testing.sparse_cases("f8") if c.name == "block").make().to_scipy()
    X = testing.random_values("X", (72, 3), "f8")
    other = matrix.asformat(kind) if array else scipy.sparse.csr_matrix(matrix).asformat(kind)
    testing.assert_same(reference.matmul(other, X), reference.matmul(matrix, X))
    testing.assert_same(reference.matmul(X.T, other), reference.matmul(X.T, matrix))


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "f2", dtypes.bfloat16], ids=str)
def test_unsorted_entries_and_duplicates_are_made_canonical_first(dtype):
    for name in ("duplicates", "unsorted", "unsorted-duplicates"):
        case = next(c for c in testing.sparse_cases(dtype) if c.name == name).make()
        accumulator = dtypes.accumulator(case.dtype, case.dtype)
        dense = np.zeros(case.shape, accumulator)
        mask = np.zeros(case.shape, bool)
        for row in range(case.shape[0]):
            for entry in range(case.indptr[row], case.indptr[row + 1]):
                dense[row, case.indices[entry]] += case.data[entry].astype(accumulator)
                mask[row, case.indices[entry]] = True
        X = testing.random_values("X", (case.shape[1], 3), dtype)
        stored = dense.astype(case.dtype)
        wanted = slow_matmul(stored, X, accumulator, mask)
        testing.assert_same(reference.matmul(case, X), wanted.astype(X.dtype), name)


def test_duplicates_are_summed_in_storage_order():
    # (big + small) - big loses small; (big - big) + small does not: COO keeps the order of the caller.
    for data, wanted in (([2.0**60, 1.0, -(2.0**60)], 0.0), ([2.0**60, -(2.0**60), 1.0], 1.0)):
        A = scipy.sparse.coo_array((data, ([0, 0, 0], [1, 1, 1])), shape=(1, 2))
        assert reference.matmul(A, np.ones(2)).tolist() == [wanted]


def test_duplicates_of_small_integers_must_fit():
    A = scipy.sparse.coo_array((np.int8([100, 100]), ([0, 0], [0, 0])), shape=(1, 1))
    with pytest.raises(FormatError, match="a sum that int8 cannot hold"):
        reference.matmul(A, np.int8([1]))


def test_structural_zeros_are_skipped_and_stored_ones_multiplied():
    X = np.array([[np.inf], [1.0], [np.nan]])
    structural = scipy.sparse.csr_array(([2.0], ([0], [1])), shape=(1, 3))
    stored = scipy.sparse.csr_array(([2.0, 0.0], ([0, 0], [1, 2])), shape=(1, 3))
    assert reference.matmul(structural, X).tolist() == [[2.0]]
    assert np.isnan(reference.matmul(stored, X)).all()
    assert np.isnan(reference.matmul(structural.toarray(), X)).all()
    block = scipy.sparse.bsr_array((np.array([[[2.0, 0.0]]]), [0], [0, 1]), shape=(1, 2))
    assert np.isnan(reference.matmul(block, np.array([1.0, np.inf]))).all()


def test_both_operands_sparse():
    B = next(c for c in testing.sparse_cases("f8") if c.name == "rows-19").make()
    A = next(c for c in testing.sparse_cases("f8") if c.name == "inner-19").make()
    testing.assert_same(reference.matmul(A, B), reference.matmul(A, B.to_scipy().toarray()))
    inf = scipy.sparse.csr_array([[np.inf]])
    assert reference.matmul(inf, scipy.sparse.csr_array((1, 1))).tolist() == [[0.0]]


def test_vectors_and_shapes():
    A = testing.random_values("A", (4, 6), "f8")
    S = scipy.sparse.csr_array(A)
    row, column = A[:, 0].copy(), A[0].copy()
    for operand in (A, S):
        assert reference.matmul(operand, column).shape == (4,)
        assert reference.matmul(row, operand).shape == (6,)
        testing.assert_same(
            reference.matmul(operand, column), reference.matmul(operand, column[:, None])[:, 0]
        )
        testing.assert_same(reference.matmul(row, operand), reference.matmul(row[None], operand)[0])
    assert reference.matmul([[1, 2]], [[3], [4]]).tolist() == [[11]]


@pytest.mark.parametrize("shape", [(0, 0, 0), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 0, 1)])
@pytest.mark.parametrize("sparse", [False, True])
def test_empty_operands(shape, sparse):
    m, k, n = shape
    A = scipy.sparse.csr_array((m, k)) if sparse else np.zeros((m, k))
    testing.assert_same(reference.matmul(A, np.ones((k, n))), np.zeros((m, n)))
    testing.assert_same(reference.matmul(np.ones((n, k)), A.T), np.zeros((n, m)))


def test_operands_are_left_alone_and_results_are_c_ordered():
    case = next(c for c in testing.sparse_cases("f8") if c.name == "unsorted-duplicates").make()
    before = [part.copy() for part in case.parts]
    X = testing.random_values("X", (12, 5), "f8")
    assert reference.matmul(case, X).flags.c_contiguous
    assert reference.matmul(X.T, case.transposed).flags.c_contiguous
    assert all(np.array_equal(part, old) for part, old in zip(case.parts, before, strict=True))


def test_matmul_refusals():
    with pytest.raises(ShapeError, match="matmul: A has 300 columns but B has 299 rows"):
        reference.matmul(np.zeros((2, 300)), np.zeros((299, 2)))
    with pytest.raises(ShapeError, match="B has 3 dimensions, expected 1 or 2"):
        reference.matmul(np.zeros((2, 2)), np.zeros((2, 2, 2)))
    with pytest.raises(DTypeError, match="A has dtype object"):
        reference.matmul(np.array([[None]]), np.zeros((1, 1)))
    with pytest.raises(
        DTypeError, match="dtype is float64, which cannot hold results computed in complex128"
    ):
        reference.matmul(np.array([[1j]]), np.zeros((1, 1)), dtype=np.float64)


# --- dot ---


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 67])
def test_dot_is_sixteen_chains_and_a_tree(dtype, length):
    x, y = testing.random_values("x", length, dtype), testing.random_values("y", length, dtype)
    accumulator = np.dtype(dtype)
    lanes = [slow_chain(x[lane::16], y[lane::16], accumulator) for lane in range(16)]
    lanes = list(np.array(lanes, accumulator))
    for width in (8, 4, 2, 1):
        lanes = [lanes[lane] + lanes[lane + width] for lane in range(width)]
    result = reference.dot(x, y)
    assert result.shape == ()
    testing.assert_same(result, np.asarray(lanes[0]))
    testing.assert_same(reference.matmul(x, y), result)


def test_dot_integers_bool_and_output():
    x = np.full(40, 100, np.int8)
    assert (int(reference.dot(x, x)), reference.dot(x, x).dtype) == (400_000, np.int32)
    assert reference.dot([True, False], [False, True]).item() is False
    assert reference.dot([True] * 20, [False] * 19 + [True]).item() is True
    assert reference.dot(np.float16([1, 2]), np.float16([3, 4])).dtype == np.float16
    with pytest.raises(ShapeError, match="x has 2 elements but y has 3"):
        reference.dot([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match="operands have 2 and 1 dimensions"):
        reference.dot([[1.0]], [1.0])
