"""Sparse quantised matrices: how they are made, what they hold, show and stand for."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm import reference
from deepgemm.testing import assert_same, random_values

DTYPES = ("int8", "uint8", "int4", "uint4", "float8_e4m3fn", "float8_e5m2")
FORMATS = ("csr", "csc", "coo", "bsr")


def sparse(shape=(12, 21), seed="s", dtype=np.float32, format="csr"):
    """An odd number of entries, an empty row, one of zeros that are stored, and rows of different size."""
    values = random_values(seed, shape, np.float64, zeros=0.6) * 2.0 ** np.arange(-3, shape[0] - 3)[:, None]
    values[1] = 0
    A = scipy.sparse.csr_array(values.astype(np.float32))
    A.data[A.indptr[2] : A.indptr[3]] = 0
    if A.nnz % 2 == 0:
        A = scipy.sparse.csr_array((A.data[:-1], A.indices[:-1], np.minimum(A.indptr, A.nnz - 1)), A.shape)
    if format == "bsr":
        return dg.BSR(A, blocksize=(3, 7)).astype(dtype)
    return dg.CSR(A).asformat(format).astype(dtype)


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("format", FORMATS)
def test_entries_are_those_of_the_dense_matrix(format, dtype, axis):
    for theirs in (np.float32, np.float64, np.float16, dg.bfloat16, np.int16):
        A = sparse(format=format, dtype=theirs)
        for scale_dtype in ("float32", "float16"):
            Aq = dg.quantize(A, dtype, axis=axis, scale_dtype=scale_dtype)
            dense = dg.quantize(A.toarray(), dtype, axis=axis, scale_dtype=scale_dtype)
            assert Aq.format == ("csr" if A.format == "coo" else A.format)
            assert (Aq.nnz, Aq.shape, Aq.dtype) == (A.nnz, A.shape, dense.dtype)
            assert_same(Aq.scales, dense.scales)
            assert_same(Aq.dequantize().toarray(), dense.dequantize())
            values, scales, _ = reference.quantize(
                A.tocsr() if A.format == "coo" else A, dtype, axis=axis, scale_dtype=scale_dtype
            )
            assert_same(Aq.scales, scales)
            assert_same(Aq.values.astype(np.float64).ravel(), values.astype(np.float64))


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dequantize(dtype, axis):
    for format in ("csr", "csc", "bsr"):
        Aq = dg.quantize(sparse(format=format), dtype, axis=axis)
        wanted = reference.dequantize(Aq)
        assert wanted.format == Aq.dequantize().format == format
        assert_same(Aq.dequantize().data, wanted.data)
        assert_same(Aq.data, wanted.data)
        assert_same(dg.dequantize(Aq, "float16").toarray(), wanted.toarray().astype(np.float16))
        assert Aq.dequantize().indices is Aq.indices


def test_four_bits_share_bytes():
    A = sparse()
    Aq = dg.quantize(A, "int4")
    assert A.nnz % 2 == 1
    assert Aq.stored.shape == ((A.nnz + 1) // 2,)
    assert Aq.stored[-1] < 16
    assert Aq.values.shape == A.data.shape
    assert Aq.nbytes == (A.nnz + 1) // 2 + A.indices.nbytes + A.indptr.nbytes + 4
    assert_same(dg.QuantizedSparse(Aq._with_values(Aq.values), Aq.scales, dtype="int4").stored, Aq.stored)


def test_limits_and_what_is_not_finite():
    A = dg.CSR([[1.0, 0.0, -20.0], [np.inf, np.nan, 0.5]])
    Aq = dg.quantize(A, "int8", nonfinite="saturate")
    assert_same(Aq.scales, dg.quantize([[20.0]], "int8").scales)
    assert Aq.values.tolist() == [6, -127, 127, 0, 3]
    limited = dg.quantize(A, "int8", nonfinite="saturate", limits=(-12.7, 1.0))
    assert limited.values[1] == -127
    assert limited.scales[0, 0] >= np.float32(0.1)


def test_rows_of_zeros_have_scale_1():
    Aq = dg.quantize(sparse(), "int8", axis=0)
    assert Aq.scales[1] == Aq.scales[2] == 1
    assert not Aq.values[Aq.indptr[2] : Aq.indptr[3]].any()
    for shape in ((0, 5), (5, 0), (0, 0), (1, 1)):
        for dtype in ("int4", "int8"):
            for axis in (None, 0, 1):
                empty = dg.quantize(dg.CSR(shape), dtype, axis=axis)
                assert empty.dequantize().toarray().shape == shape
                assert (empty @ np.ones((shape[1], 2), np.float32)).shape == (shape[0], 2)
                assert repr(empty)
                assert empty._repr_html_()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("format", ["csr", "csc", "bsr"])
def test_transpose(format, dtype):
    for axis in (None, 0, 1):
        Aq = dg.quantize(sparse(format=format), dtype, axis=axis)
        assert Aq.T.shape == Aq.shape[::-1]
        assert_same(Aq.T.dequantize().toarray(), Aq.dequantize().toarray().T)
        assert Aq.T is Aq.T
        assert Aq.T.T is Aq
    if format != "bsr":
        assert Aq.T.stored is Aq.stored


def test_rows():
    for format in ("csr", "csc", "bsr"):
        Aq = dg.quantize(sparse(format=format), "int4", axis=0)
        dense = Aq.dequantize().toarray()
        for key in (slice(3, 9), [4, 0, 4], np.array([1]), slice(None, None, 3)):
            assert_same(Aq[key].dequantize().toarray(), dense[key])
        assert_same(Aq[-2].dequantize().toarray(), dense[[-2]])
    with pytest.raises(dg.UnsupportedError, match="only rows can be taken"):
        Aq[:, 2]
    with pytest.raises(IndexError):
        Aq[[99]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("format", ["csr", "csc", "bsr"])
def test_copies_are_equal(format, dtype):
    Aq = dg.quantize(sparse(format=format), dtype, axis=1, scale_dtype=dg.bfloat16)
    for other in (Aq.copy(), copy.deepcopy(Aq), pickle.loads(pickle.dumps(Aq))):
        assert (other.format, other.dtype, other.zero_point) == (Aq.format, Aq.dtype, Aq.zero_point)
        assert other.scales.dtype == Aq.scales.dtype
        assert_same(other.stored.view(np.uint8), Aq.stored.view(np.uint8))
        assert_same(other.dequantize().toarray(), Aq.dequantize().toarray())
        assert not np.shares_memory(other.stored, Aq.stored)
    assert copy.copy(Aq) is Aq


def test_parts_of_other_programs():
    codes = scipy.sparse.csr_array(np.array([[3, 0, -2], [0, 7, 0]], np.int8))
    Aq = dg.QuantizedSparse(codes, 0.5)
    assert np.shares_memory(Aq.stored, codes.data)
    assert not np.shares_memory(dg.QuantizedSparse(codes, 0.5, copy=True).stored, codes.data)
    assert_same(Aq.dequantize().toarray(), codes.toarray() * np.float32(0.5))
    shifted = dg.QuantizedSparse(abs(codes), [[1.0], [2.0]], 3, dtype="uint4")
    assert_same(shifted.dequantize().data, np.float32([0, -1, 8]))
    unsorted = scipy.sparse.csr_array(
        (np.int8([1, 2, 3]), np.int32([2, 0, 1]), np.int32([0, 2, 3])), shape=(2, 3)
    )
    assert dg.QuantizedSparse(unsorted, 1.0).values.tolist() == [2, 1, 3]
    wide = dg.QuantizedSparse(codes.astype(np.int64), np.float64(0.1), dtype="int4")
    assert (wide.dtype.name, wide.scales.dtype) == ("int4", np.float32)


def test_what_it_shows():
    Aq = dg.quantize(dg.CSR([[1.0, 0.0, -2.0]]), "int8", axis=0)
    assert repr(Aq) == (
        "QuantizedSparse(csr, shape=(1, 3), dtype=int8, nnz=2, a float32 scale for all, memory=22 B)"
    )
    B = dg.quantize(sparse(format="bsr"), "uint4", axis=1)
    assert repr(B).startswith("QuantizedSparse(bsr of 3 × 7, shape=(12, 21), dtype=uint4, nnz=")
    assert "a float32 scale and zero point for each column" in repr(B)
    page = B._repr_html_()
    assert "bsr of 3 × 7" in page
    assert "how often each value is stored, from 0 to 15" in page
    dg.plan(B, np.ones((21, 3), np.float32), kernel="csr_rowwise")
    assert "csr:float32" in B._repr_html_()
    for text in ("int8", "a float32 scale for all", "csr"):
        assert text in Aq._repr_html_()


def test_it_is_immutable_and_never_dense_silently():
    codes = scipy.sparse.csr_array(np.array([[3, 0, -2], [0, 7, 0]], np.int8))
    Aq = dg.QuantizedSparse(codes, 0.5)
    for part in (Aq.stored, Aq.values, Aq.scales, Aq.indices, Aq.indptr):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 1
    with pytest.raises(TypeError, match="immutable"):
        Aq[0] = 1
    with pytest.raises(TypeError, match="never made dense silently"):
        np.asarray(Aq)
    with pytest.raises(TypeError, match="length of a sparse array is ambiguous"):
        len(Aq)
    codes.data[:] = 1
    for use in (lambda: Aq @ np.ones(3, np.float32), Aq.dequantize, lambda: pickle.dumps(Aq)):
        with pytest.raises(dg.StaleDataError, match="QuantizedSparse: memory that this array shares"):
            use()
