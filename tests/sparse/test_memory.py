"""Memory is shared where it can be, and nothing of the caller's is ever written."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.errors import FormatError, StaleDataError

PARTS = {"csr": ("data", "indices", "indptr"), "csc": ("data", "indices", "indptr")}
PARTS |= {"bsr": PARTS["csr"], "coo": ("data", "row", "col")}
CLASSES = {"csr": dg.CSR, "csc": dg.CSC, "coo": dg.COO, "bsr": dg.BSR}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("family", ["array", "matrix"])
def test_scipy_in_and_out_shares_every_part(name, family, matrix):
    given = getattr(scipy.sparse, f"{name}_{family}")(matrix)
    made = CLASSES[name](given)
    back = made.to_scipy()
    assert type(back) is getattr(scipy.sparse, f"{name}_array")
    for part in PARTS[name]:
        assert np.shares_memory(getattr(given, part), getattr(made, part)), part
        assert np.shares_memory(getattr(given, part), getattr(back, part)), part
        assert not getattr(made, part).flags.writeable
        assert getattr(given, part).flags.writeable


def test_int64_indices_are_not_narrowed_on_the_way_out(matrix):
    made = dg.CSR((matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)))
    assert np.shares_memory(made.to_scipy().indices, made.indices)
    narrow = made.to_scipy(index_dtype=np.int32)
    assert narrow.indices.dtype == narrow.indptr.dtype == np.int32
    assert {part.dtype for part in made.tocoo().to_scipy(index_dtype=np.int32).coords} == {np.dtype(np.int32)}


def test_parts_are_shared_and_copied_on_request(matrix):
    parts = (matrix.data, matrix.indices, matrix.indptr)
    made = dg.CSR(parts, shape=matrix.shape)
    assert all(np.shares_memory(a, b) for a, b in zip(parts, made._arrays, strict=True))
    for private in (
        dg.CSR(parts, shape=matrix.shape, copy=True),
        made.copy(),
        copy.deepcopy(made),
        dg.CSR(matrix, copy=True),
    ):
        assert not any(np.shares_memory(a, b) for a, b in zip(parts, private._arrays, strict=True))
        assert not any(part.flags.writeable for part in private._arrays)
    assert copy.copy(made) is made
    assert made.tocsr() is made
    assert made.tocsr(copy=True) is not made


def test_transpose_and_with_data_share(matrix):
    made = dg.CSR(matrix)
    assert all(np.shares_memory(a, b) for a, b in zip(made._arrays, made.T._arrays, strict=True))
    assert type(made.T) is dg.CSC
    assert made.T.T is made
    assert made.T is made.T
    values = np.arange(matrix.nnz, dtype=np.float32)
    other = made.with_data(values)
    assert np.shares_memory(other.data, values)
    assert np.shares_memory(other.indices, made.indices)
    assert values.flags.writeable
    assert other.dtype == np.float32
    coo = made.tocoo()
    assert np.shares_memory(coo.data, made.data)
    assert np.shares_memory(coo.col, made.indices)
    assert np.shares_memory(coo.T.row, coo.col)


def test_transpose_leaves_no_reference_cycle(matrix):
    made = dg.CSR(matrix, copy=True)
    transposed = made.T
    watch = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert watch() is None
        assert transposed.T.T is transposed
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")
def test_nothing_of_the_callers_is_written():
    indices = np.array([2, 0, 2, 1, 1], np.int32)
    indptr = np.array([0, 3, 5], np.int32)
    data = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    given = scipy.sparse.csr_array((data, indices, indptr), shape=(2, 3))
    before = [part.copy() for part in (data, indices, indptr)]
    made = dg.CSR(given)
    assert not made.has_canonical_format
    (
        made.canonical(),
        made.toarray(),
        made.tocsc(),
        made.tocoo(),
        made.tobsr((1, 1)),
        made.max(axis=0),
        made.sum(),
    )
    made + made, made * made, made.maximum(made), made == made, made[0], made[:, [0, 2]], made.T.toarray()
    dg.sparse.vstack([made, given]), made + given, made.maximum(given), made.equals(made.tocsc())
    for part, old in zip((given.data, given.indices, given.indptr), before, strict=True):
        np.testing.assert_array_equal(part, old)
    assert np.shares_memory(given.indices, made.indices)


def test_read_only_input(matrix):
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.setflags(write=False)
    made = dg.CSR(matrix)
    assert made.data is matrix.data
    np.testing.assert_array_equal((made + made).toarray(), 2 * matrix.toarray())
    np.testing.assert_array_equal(made.max(axis=1).toarray(), matrix.toarray().max(axis=1, keepdims=True))


def test_memory_mapped_input(matrix, tmp_path):
    mapped = []
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(matrix, name))
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    made = dg.CSR(tuple(mapped), shape=matrix.shape)
    for part, given in zip(made._arrays, mapped, strict=True):
        assert np.shares_memory(part, given)
        assert type(part) is np.ndarray
    np.testing.assert_array_equal(made.toarray(), matrix.toarray())


def test_what_cannot_be_shared_is_copied(matrix):
    strided = np.repeat(matrix.data, 2)[::2]
    swapped = matrix.data.astype(">f8")
    raw = np.empty(matrix.nnz * 8 + 1, np.uint8)
    misaligned = raw[1:].view(np.float64)
    misaligned[:] = matrix.data
    for data in (strided, swapped, misaligned, matrix.data.tolist()):
        made = dg.CSR((data, matrix.indices, matrix.indptr), shape=matrix.shape)
        assert made.dtype == np.float64
        assert made.dtype.isnative
        assert made.data.flags.aligned
        assert made.data.flags.c_contiguous
        np.testing.assert_array_equal(made.toarray(), matrix.toarray())


def test_spare_capacity_is_ignored():
    made = dg.CSR((np.arange(5.0), np.array([0, 1, 2, 99, -1]), np.array([0, 1, 3])), shape=(2, 3))
    assert made.nnz == 3
    np.testing.assert_array_equal(made.toarray(), [[0, 0, 0], [0, 1, 2]])


def test_everything_is_read_only(sparse):
    for name in PARTS[sparse.format]:
        with pytest.raises(ValueError, match="read-only"):
            getattr(sparse, name)[...] = 0
        with pytest.raises(AttributeError):
            setattr(sparse, name, np.zeros(1))
    with pytest.raises(AttributeError):
        sparse.shape = (1, 1)
    with pytest.raises(TypeError, match="is immutable; with_data"):
        sparse[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        sparse.to_scipy().data[...] = 0


def test_in_place_operators_make_new_arrays(matrix):
    made = same = dg.CSR(matrix)
    made *= 2
    assert made is not same
    np.testing.assert_array_equal(same.toarray(), matrix.toarray())


@pytest.mark.parametrize("change", ["data", "indices"])
def test_changed_memory_is_noticed(change, matrix):
    made = dg.CSR(matrix)
    getattr(matrix, change)[...] = getattr(matrix, change)[::-1].copy()
    for use in (
        made.toarray,
        made.tocsc,
        made.to_scipy,
        made.sum,
        lambda: made[0],
        lambda: made * 2,
        lambda: dg.CSC(made),
    ):
        with pytest.raises(StaleDataError, match="CSR: memory that this array shares was changed"):
            use()


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, dg.bfloat16, np.int8, np.complex128, np.bool_], ids=str
)
def test_pickle_out_of_band(dtype, sparse):
    given = sparse.astype(dtype)
    buffers = []
    stream = pickle.dumps(given, protocol=5, buffer_callback=buffers.append)
    assert len(buffers) == 3
    assert all(
        np.shares_memory(np.frombuffer(b, np.uint8), a) for b, a in zip(buffers, given._arrays, strict=True)
    )
    back = pickle.loads(stream, buffers=buffers)
    assert type(back) is type(given)
    assert all(np.shares_memory(a, b) for a, b in zip(back._arrays, given._arrays, strict=True))
    assert back.equals(given)
    assert not back.data.flags.writeable
    assert given.to_scipy() is not None


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_in_band(protocol, sparse):
    back = pickle.loads(pickle.dumps(sparse, protocol))
    assert back.equals(sparse)
    assert back.format == sparse.format


def test_pickles_carry_no_layouts_and_are_validated(matrix):
    made = dg.CSR(matrix)
    small = len(pickle.dumps(made, 5))
    made._layouts.get_or_build("big", lambda: np.zeros(10**6))  # type: ignore[arg-type,return-value]
    assert len(pickle.dumps(made, 5)) == small
    function, (cls, _, dtype, data, structure) = made.__reduce__()
    with pytest.raises(FormatError, match=r"CSR: indices\[\d\] is \d but the matrix has 2 columns"):
        function(cls, (4, 2), dtype, data, structure)
