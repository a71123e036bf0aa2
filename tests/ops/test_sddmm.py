"""`sddmm` and `matmul(mask=)`: exact on every ISA and number of threads, and refusals by message."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import _core, reference, testing

ISAS = _core.cpu_info()["usable"]
DTYPES = ("f4", "f8", "F", "D")
INNER = (0, 1, 7, 15, 16, 17, 32, 67)


pytestmark = pytest.mark.usefixtures("three_threads")


def operands(shape, inner, dtype, name="x"):
    X = testing.random_values(f"X{name}", (shape[0], inner), dtype)
    Y = testing.random_values(f"Y{name}", (inner, shape[1]), dtype)
    return X, Y


def check(mask, X, Y, **options):
    scaled = options.get("scaled", False)
    data, indices, indptr = reference.sddmm(mask, X, Y, scaled=scaled, dtype=options.get("dtype"))
    found = dg.sddmm(mask, X, Y, **options)
    assert isinstance(found, dg.CSR)
    assert found.shape == mask.shape
    assert found.has_canonical_format
    assert np.array_equal(found.indices, indices)
    assert np.array_equal(found.indptr, indptr)
    assert found.dtype == data.dtype
    assert np.array_equal(found.data, data, equal_nan=data.dtype.kind in "fc")
    return found


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_kernel_is_exact(dtype, isa, threads):
    for case in testing.sparse_cases("f4"):
        parts = case.make()
        inner = INNER[len(case.name) % len(INNER)]
        for index in ("i4", "i8"):
            mask = dg.CSR(
                (parts.data, parts.indices.astype(index), parts.indptr.astype(index)), shape=parts.shape
            )
            X, Y = operands(parts.shape, inner, dtype)
            check(mask, X, Y, kernel=isa, threads=threads)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inner", INNER)
def test_inner_lengths_and_layouts(dtype, inner, isa):
    mask = scipy.sparse.random_array((23, 31), density=0.4, format="csr", rng=np.random.default_rng(1))
    X, Y = operands(mask.shape, inner, dtype)
    for name, layout in testing.LAYOUTS.items():
        check(mask, layout(X.copy()), Y, kernel=isa)
        check(mask, X, layout(Y.copy()), kernel=isa)
        assert name


@pytest.mark.parametrize("isa", ISAS)
def test_not_finite_values_stay_in_their_lanes(isa):
    mask = scipy.sparse.csr_array(np.ones((5, 9)))
    X, Y = operands(mask.shape, 37, "f4")
    check(mask, testing.with_nonfinite(X, "a"), testing.with_nonfinite(Y, "b"), kernel=isa)


def test_it_is_matmul_with_a_mask_and_the_dot_product():
    mask = dg.CSR(scipy.sparse.random_array((9, 8), density=0.5, format="csr", rng=np.random.default_rng(2)))
    X, Y = operands(mask.shape, 50, "f4")
    found = dg.sddmm(mask, X, Y)
    assert dg.matmul(X, Y, mask=mask).equals(found)
    coo = found.tocoo()
    for i, j, value in zip(coo.row, coo.col, coo.data, strict=True):
        assert dg.matmul(X[i], Y[:, j]) == value


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("dtype", ["f4", "F", "i4", "?"])
def test_scaled_by_masks_of_every_format(format, dtype):
    rng = np.random.default_rng(3)
    mask = scipy.sparse.random_array((12, 18), density=0.3, format="csr", rng=rng)
    mask.data = testing.random_values(
        "mask", mask.nnz, "?" if dtype == "?" else "i2" if dtype == "i4" else dtype
    )
    mask = mask.asformat(format)
    X, Y = operands(mask.shape, 21, dtype)
    for scaled in (False, True):
        check(mask, X, Y, scaled=scaled)
        check(dg.SparseArray.asformat(dg.CSR(mask), format), X, Y, scaled=scaled)


def test_duplicates_are_one_place_and_order_does_not_matter():
    data = np.array([1.0, 2.0, 4.0, 8.0])
    mask = dg.CSR((data, [2, 0, 2, 1], [0, 3, 4]), shape=(2, 3))
    X, Y = operands((2, 3), 5, "f8")
    assert check(mask, X, Y).nnz == 3
    scaled = check(mask, X, Y, scaled=True)
    assert scaled.data[1] == 5.0 * dg.matmul(X[0], Y[:, 2])
    full = dg.CSR((np.full(3, 100, "i1"), [0, 0, 0], [0, 3]), shape=(1, 1))
    assert dg.sddmm(full, X[:1], Y[:, :1]).nnz == 1  # 300 exceeds int8, which only a scaled product reads
    with pytest.raises(dg.FormatError, match="duplicate entries sum to 300, which int8 cannot hold"):
        dg.sddmm(full, X[:1], Y[:, :1], scaled=True)


def test_stored_zeros_are_entries():
    mask = dg.CSR((np.zeros(2), [0, 1], [0, 1, 2]), shape=(2, 2))
    assert dg.sddmm(mask, np.ones((2, 3)), np.ones((3, 2))).data.tolist() == [3.0, 3.0]
    assert dg.sddmm(mask, np.ones((2, 3)), np.ones((3, 2)), scaled=True).data.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (4, 5)])
@pytest.mark.parametrize("inner", [0, 3])
def test_empty(shape, inner):
    X, Y = operands(shape, inner, "f4")
    found = check(dg.CSR(shape), X, Y)
    assert found.nnz == 0


@pytest.mark.parametrize("dtype", ["f2", dg.bfloat16, "i1", "u1", "i8", "?"])
def test_other_dtypes(dtype):
    mask = scipy.sparse.random_array((6, 7), density=0.5, format="csr", rng=np.random.default_rng(4))
    X, Y = operands(mask.shape, 19, dtype)
    check(mask, X, Y)
    check(mask, X, Y, dtype="c16")


def test_mixed_dtypes():
    mask = scipy.sparse.random_array((6, 7), density=0.5, format="csr", rng=np.random.default_rng(5))
    X, Y = operands(mask.shape, 19, "f4")
    check(mask, X, Y.astype("f8"))
    check(mask, X, Y.astype("F"))
    check(mask.astype("f8"), X, Y, scaled=True)


def test_a_row_of_a_million_and_millions_of_empty_rows():
    rng = np.random.default_rng(6)
    wide = dg.CSR((np.ones(10**6, "f4"), np.arange(10**6, dtype="i4"), np.array([0, 0, 10**6, 10**6])))
    X, Y = rng.standard_normal((3, 2), dtype="f4"), rng.standard_normal((2, 10**6), dtype="f4")
    one = dg.sddmm(wide, X, Y, threads=1)
    assert dg.sddmm(wide, X, Y, threads=3).equals(one)
    assert one.data[12345] == reference.dot(X[1], Y[:, 12345])
    indptr = np.zeros(2 * 10**6 + 1, "i4")
    indptr[-1] = 2
    tall = dg.CSR((np.ones(2), [0, 1], indptr), shape=(2 * 10**6, 2))
    values = dg.sddmm(tall, np.broadcast_to(np.arange(3.0), (2 * 10**6, 3)), np.ones((3, 2)))
    assert values.data.tolist() == [3.0, 3.0]


def test_few_entries_of_many_columns_and_unaligned_operands():
    mask = dg.CSR((np.ones(3), [5, 999, 5], [0, 2, 3]), shape=(2, 1000))
    X, Y = operands(mask.shape, 18, "f8")
    check(mask, X, Y)
    raw = np.zeros(X.nbytes + 1, "u1")
    shifted = raw[1:].view("f8").reshape(X.shape)
    shifted[...] = X
    check(mask, shifted, Y)
    record = np.zeros(X.shape, [("a", "u1"), ("b", "f8")])
    record["b"] = X
    check(mask, record["b"], Y)


def test_structure_is_shared_and_operands_stay_as_they_were():
    mask = dg.CSR(np.eye(4))
    X, Y = operands((4, 4), 6, "f4")
    before = X.copy(), Y.copy()
    found = dg.sddmm(mask, X, Y)
    assert np.shares_memory(found.indices, mask.indices)
    assert np.array_equal(before[0], X)
    assert np.array_equal(before[1], Y)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mask": np.eye(4)}, dg.FormatError, "mask is dense, expected a sparse array; CSR"),
        ({"X": scipy.sparse.eye_array(4, 6)}, dg.FormatError, "X is a .*, expected a dense array"),
        ({"X": np.ones(6)}, dg.ShapeError, "X has 1 dimension, expected 2"),
        ({"X": np.ones((4, 5))}, dg.ShapeError, "X has 5 columns but Y has 6 rows"),
        ({"X": np.ones((3, 6))}, dg.ShapeError, "mask has 4 rows but X has 3"),
        ({"Y": np.ones((6, 3))}, dg.ShapeError, "mask has 4 columns but Y has 3"),
        ({"Y": np.ones((6, 4), object)}, dg.DTypeError, "Y has dtype object, expected one of"),
        ({"threads": 0}, ValueError, "threads is 0, expected at least 1"),
        ({"dtype": "i4"}, dg.DTypeError, "dtype is int32, but the product is float64"),
        ({"kernel": "csr_rowwise"}, dg.UnsupportedError, "sddmm: kernel asks for csr_rowwise, which cannot"),
        ({"kernel": "neon"}, dg.UnsupportedError, "neon does not run on this CPU"),
    ],
)
def test_refusals(change, error, message):
    given = {"mask": dg.CSR(np.eye(4)), "X": np.ones((4, 6)), "Y": np.ones((6, 4)), **change}
    options = {name: given[name] for name in given if name not in ("mask", "X", "Y")}
    with pytest.raises(error, match=message.format(op="sddmm")):
        dg.sddmm(given["mask"], given["X"], given["Y"], **options)
    with pytest.raises(error, match=message.format(op="matmul")):
        dg.matmul(given["X"], given["Y"], mask=given["mask"], **options)


def test_more_refusals():
    mask = dg.CSR(np.eye(4, dtype="D"))
    with pytest.raises(
        dg.DTypeError, match="sddmm: the mask's values are complex128, but the product is float"
    ):
        dg.sddmm(mask, np.ones((4, 6)), np.ones((6, 4)), scaled=True)
    with pytest.raises(dg.UnsupportedError, match="matmul: out= is not taken with mask="):
        dg.matmul(np.eye(4), np.eye(4), mask=mask, out=np.eye(4))
    shared = np.ones(4)
    stale = dg.CSR((shared, np.arange(4), np.arange(5)))
    shared[:] = 2
    with pytest.raises(dg.StaleDataError):
        dg.sddmm(stale, np.eye(4), np.eye(4))
