"""Every kind of malformed input gets the class of error and the message that name what is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.errors import DTypeError, FormatError, ShapeError, UnsupportedError

ONE, TWO = np.array([1.0]), np.array([1.0, 2.0])


def refuses(error: type[Exception], message: str):
    return pytest.raises(error, match="^" + re.escape(message))


PARTS = [
    # data, indices, indptr, shape, error, message
    (TWO, [0, 300], [0, 2], (1, 300), FormatError, "CSR: indices[1] is 300 but the matrix has 300 columns"),
    (TWO, [0, -3], [0, 2], (1, 3), FormatError, "CSR: indices[1] is -3, expected at least 0"),
    (TWO, [0, 1], [0, 2, 1], (2, 3), FormatError, "CSR: indptr[2] is 1, less than indptr[1] which is 2"),
    (TWO, [0, 1], [0, 5, 2], (2, 3), FormatError, "CSR: indptr[2] is 2, less than indptr[1] which is 5"),
    (TWO, [0, 1], [1, 2], (1, 3), FormatError, "CSR: indptr[0] is 1, expected 0"),
    (TWO, [0, 1], [0, 3], (1, 3), FormatError, "CSR: indptr[1] is 3 but there are 2 indices"),
    (TWO, [0, 1], [0, -1], (1, 3), FormatError, "CSR: indptr[1] is -1, less than indptr[0] which is 0"),
    (TWO, [0, 1], [0, 2], (4, 3), FormatError, "CSR: indptr has 2 entries, expected 5 (rows + 1)"),
    (TWO, [0, 1], [], None, FormatError, "CSR: indptr is empty, expected at least one entry"),
    (TWO, [0], [0, 1], (1, 3), FormatError, "CSR: data has 2 entries but indices has 1"),
    (TWO, [[0, 1]], [0, 2], (1, 3), FormatError, "CSR: indices has 2 dimensions, expected 1"),
    ([TWO], [0, 1], [0, 2], (1, 3), FormatError, "CSR: data has 2 dimensions, expected 1"),
    (TWO, [0.0, np.nan], [0, 2], (1, 3), DTypeError,
     "CSR: indices has dtype float64, expected int32 or int64 (indices[1] is nan)"),
    (TWO, [0.0, 1.0], [0, 2], (1, 3), DTypeError, "CSR: indices has dtype float64, expected int32 or int64"),
    (TWO, [False, True], [0, 2], (1, 3), DTypeError, "CSR: indices has dtype bool, expected int32 or int64"),
    (TWO, np.array([0, 1], object), [0, 2], (1, 3), DTypeError,
     "CSR: indices has dtype object, expected int32 or int64"),
    (TWO, ["a", "b"], [0, 2], (1, 3), DTypeError, "CSR: indices has dtype <U1, expected int32 or int64"),
    (TWO, np.array([0, 2**64 - 1], np.uint64), [0, 2], (1, 3), FormatError,
     "CSR: indices[1] is 18446744073709551615, more than int64 can hold"),
    (np.array([1, 2], object), [0, 1], [0, 2], (1, 3), DTypeError,
     "CSR: data has dtype object, expected one of: bool,"),
    (np.ones(2, np.longdouble), [0, 1], [0, 2], (1, 3), DTypeError,
     "CSR: data has dtype float128, expected one of:"),
    (["x", "y"], [0, 1], [0, 2], (1, 3), DTypeError, "CSR: data has dtype <U1, expected one of:"),
    ([[1.0], [1.0, 2.0]], [0, 1], [0, 2], (1, 3), FormatError, "CSR: data does not form an array:"),
    (np.ma.array(TWO, mask=[0, 1]), [0, 1], [0, 2], (1, 3), DTypeError,
     "CSR: data is a masked array; fill its masked entries first"),
    (TWO, [0, 1], [0, 2], (-1, 3), ShapeError, "CSR: shape[0] is -1, expected 0 to 9223372036854775807"),
    (TWO, [0, 1], [0, 2], (1, 2**63), ShapeError, "CSR: shape[1] is 9223372036854775808, expected 0 to"),
    (TWO, [0, 1], [0, 2], (1.5, 3), ShapeError, "CSR: shape[0] is 1.5, expected an integer"),
    (TWO, [0, 1], [0, 2], (1, 2, 3), ShapeError, "CSR: shape (1, 2, 3) has 3 dimensions, expected 2"),
    (TWO, [0, 1], [0, 2], 7, ShapeError, "CSR: shape is 7, expected (rows, columns)"),
    (TWO, [0, 1], [0, 2], "ab", ShapeError, "CSR: shape is 'ab', expected (rows, columns)"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "indices", "indptr", "shape", "error", "message"), PARTS, ids=lambda _: "")
def test_csr_parts(data, indices, indptr, shape, error, message):
    if "float128" in message and np.dtype(np.longdouble).itemsize != 16:
        pytest.skip("long double has another name here")
    with refuses(error, message):
        dg.CSR((data, indices, indptr), shape=shape)


def test_csc_and_bsr_name_themselves_and_their_axes():
    with refuses(FormatError, "CSC: indices[1] is 3 but the matrix has 3 rows"):
        dg.CSC((TWO, [0, 3], [0, 2]), shape=(3, 1))
    with refuses(FormatError, "CSC: indptr has 2 entries, expected 4 (columns + 1)"):
        dg.CSC((TWO, [0, 1], [0, 2]), shape=(3, 3))
    blocks = np.ones((1, 2, 3))
    with refuses(FormatError, "BSR: indices[0] is 2 but the matrix has 2 block columns"):
        dg.BSR((blocks, [2], [0, 1]), shape=(2, 6))
    with refuses(FormatError, "BSR: indptr has 2 entries, expected 3 (block rows + 1)"):
        dg.BSR((blocks, [1], [0, 1]), shape=(4, 6))
    with refuses(ShapeError, "BSR: shape (3, 6) is not divisible by blocksize (2, 3)"):
        dg.BSR((blocks, [1], [0, 1]), shape=(3, 6))
    with refuses(ShapeError, "BSR: blocksize is (3, 2), but data has blocks of (2, 3)"):
        dg.BSR((blocks, [1], [0, 1]), shape=(2, 6), blocksize=(3, 2))
    with refuses(FormatError, "BSR: data has 1 dimensions, expected 3"):
        dg.BSR((ONE, [0], [0, 1]))
    with refuses(ShapeError, "BSR: shape (4, 4) is not divisible by blocksize (3, 2)"):
        dg.BSR(np.eye(4), blocksize=(3, 2))
    with refuses(ShapeError, "CSR.tobsr: shape (4, 4) is not divisible by blocksize (3, 2)"):
        dg.CSR(np.eye(4)).tobsr((3, 2))
    with refuses(ShapeError, "BSR: blocksize is (0, 1), expected at least (1, 1)"):
        dg.BSR(np.eye(4), blocksize=(0, 1))
    with refuses(ShapeError, "BSR: blocksize is 2, expected (rows, columns)"):
        dg.BSR(np.eye(4), blocksize=2)
    with refuses(ShapeError, "BSR: blocksize is (0, 3), expected at least (1, 1)"):
        dg.BSR((np.ones((1, 0, 3)), [0], [0, 1]))


def test_coo_parts():
    with refuses(FormatError, "COO: row[1] is 3 but the matrix has 3 rows"):
        dg.COO((TWO, ([0, 3], [0, 0])), shape=(3, 2))
    with refuses(FormatError, "COO: col[0] is -1, expected at least 0"):
        dg.COO((TWO, ([0, 1], [-1, 0])), shape=(3, 2))
    with refuses(FormatError, "COO: row[0] is -2, expected at least 0"):
        dg.COO((TWO, ([-2, 1], [0, 0])))
    with refuses(FormatError, "COO: data has 2 entries but col has 1"):
        dg.COO((TWO, ([0, 1], [0])))
    with refuses(DTypeError, "COO: row has dtype float64, expected int32 or int64 (row[0] is nan)"):
        dg.COO((TWO, ([np.nan, 1], [0, 0])))
    with refuses(ShapeError, "COO: shape cannot be inferred from no entries; give shape="):
        dg.COO(([], ([], [])))
    with refuses(FormatError, "COO: the coordinates are not (row, col), two index arrays"):
        dg.COO((TWO, [0, 1, 2]))
    with refuses(FormatError, "COO: the coordinates are not (row, col), two index arrays"):
        dg.CSR((TWO, None))
    with refuses(FormatError, "COO: got a tuple of 3"):
        dg.COO((TWO, [0], [0]))


@pytest.mark.parametrize("kind", [dg.CSR, dg.CSC, dg.COO, dg.BSR])
def test_other_arguments(kind):
    name = kind.__name__
    with refuses(
        ShapeError, f"{name}: the dense operand has 1 dimensions, expected 2; reshape(1, -1) makes it a row"
    ):
        kind(np.ones(3))
    with refuses(ShapeError, f"{name}: the dense operand has 3 dimensions, expected 2"):
        kind(np.ones((2, 2, 2)))
    with refuses(ShapeError, f"{name}: the dense operand has 0 dimensions, expected 2"):
        kind(5.0)
    with refuses(DTypeError, f"{name}: data has dtype object, expected one of: bool,"):
        kind(np.array([[1, None]], object))
    with refuses(FormatError, f"{name}: got a tuple of 4, expected"):
        kind((1, 2, 3, 4))
    with refuses(ShapeError, f"{name}: shape[1] is -4, expected 0 to"):
        kind((3, -4))
    with refuses(ShapeError, f"{name}: shape is (2, 3), but the dense operand has shape (2, 2)"):
        kind(np.eye(2), shape=(2, 3))
    with refuses(ShapeError, f"{name}: shape is (2, 3), but the sparse operand has shape (2, 2)"):
        kind(scipy.sparse.csr_array(np.eye(2)), shape=(2, 3))
    with refuses(DTypeError, f"{name}: dtype has dtype object, expected one of:"):
        kind(np.eye(2), dtype=object)
    with pytest.raises(MemoryError):
        kind((2**50, 2)).tocsr()


def test_one_dimensional_scipy_arrays():
    flat = scipy.sparse.coo_array(np.ones(3))
    if flat.ndim == 1:
        with refuses(ShapeError, "CSR: the SciPy array has 1 dimensions, expected 2"):
            dg.CSR(flat)


def test_malformed_scipy_arrays_are_caught_before_scipy_crashes():
    for name in ("csr", "csc", "coo", "bsr"):
        bad = getattr(scipy.sparse, f"{name}_array")(np.ones((3, 4)))
        part = "row" if name == "coo" else "indices"
        getattr(bad, part)[0] = 10**6
        for kind in (dg.CSR, dg.CSC, dg.COO, dg.BSR):
            with pytest.raises(
                FormatError, match=rf"^{name.upper()}: {part}\[0\] is 1000000 but the matrix has "
            ):
                kind(bad)
        with pytest.raises(FormatError):
            dg.CSR(np.ones((3, 4))) + bad


def test_methods(sparse):
    name = type(sparse).__name__
    with refuses(FormatError, f"{name}.with_data: values has shape (1,), expected {sparse.data.shape}"):
        sparse.with_data(ONE)
    with refuses(DTypeError, f"{name}.with_data: values has dtype object"):
        sparse.with_data(sparse.data.astype(object))
    with refuses(DTypeError, f"{name}.astype: dtype has dtype"):
        sparse.astype("U3")
    with refuses(DTypeError, f"{name}.astype: float64 cannot become int8 under casting='safe'"):
        sparse.astype(np.int8, casting="safe")
    with refuses(FormatError, "asformat: format is 'dia', expected one of: bsr, coo, csc, csr"):
        sparse.asformat("dia")
    with refuses(FormatError, "transpose: axes is (0, 1), expected None or (1, 0)"):
        sparse.transpose((0, 1))
    with refuses(DTypeError, f"{name}.to_scipy: indices up to "):
        dg.COO((np.ones(1), ([2**40], [0]))).asformat("coo").to_scipy(
            index_dtype=np.int32
        ) if name == "COO" else (sparse.to_scipy(index_dtype=np.float32))
    with refuses(UnsupportedError, f"adding 1 to every place of a {name} would make it dense"):
        sparse + 1
    with refuses(UnsupportedError, f"{name} ** 0 would be dense"):
        sparse**0
    with refuses(UnsupportedError, f"{name} / {name} would be dense"):
        sparse / sparse
    with refuses(ShapeError, f"{name}.__add__: shapes (4, 5) and (2, 2) do not match"):
        sparse + dg.CSR(np.eye(2))
    with refuses(ShapeError, f"{name}.multiply: shapes (4, 5) and (3, 4) do not match"):
        sparse * np.ones((3, 4))
    with refuses(ShapeError, f"{name}.__add__: the other operand has 3 dimensions, expected at most 2"):
        sparse + np.ones((2, 2, 2))
    with refuses(DTypeError, f"{name}.__add__: the other operand has dtype"):
        sparse + np.full((4, 5), "a")
    with refuses(TypeError, "the length of a sparse array is ambiguous"):
        len(sparse)
    with refuses(ValueError, "the truth value of a sparse array is ambiguous"):
        bool(sparse)
    with refuses(TypeError, f"{name} is never made dense silently; use .toarray(), or .to_scipy() for SciPy"):
        np.asarray(sparse)
    with pytest.raises(TypeError, match="unhashable"):
        hash(sparse)
    with pytest.raises(TypeError):
        sparse + "text"
    with pytest.raises(TypeError):
        np.ones((4, 5)) / sparse
    with pytest.raises(TypeError):
        np.exp(sparse)
    with pytest.raises(TypeError):
        np.add.reduce(sparse)
    with pytest.raises((TypeError, ValueError)):  # SciPy wraps our TypeError
        scipy.sparse.csr_array(sparse)


def test_indices(sparse):
    name = type(sparse).__name__
    with refuses(IndexError, "row 4 is out of range for 4 rows"):
        sparse[4]
    with refuses(IndexError, "column -6 is out of range for 5 columns"):
        sparse[:, -6]
    with refuses(IndexError, f"{name} takes one or two indices, got 3"):
        sparse[0, 0, 0]
    with refuses(IndexError, f"{name} has two dimensions and cannot get another by np.newaxis"):
        sparse[None]
    with refuses(IndexError, f"{name}: indices must be integers, slices or masks, got 'a'"):
        sparse["a"]
    with refuses(IndexError, f"{name}: indices must be integers, slices or masks, got 0.5"):
        sparse[0.5]
    with pytest.raises(IndexError):
        sparse[[0, 9]]
    with pytest.raises(IndexError):
        sparse[99, 0]
    with pytest.raises(IndexError):
        sparse[[True, False]]
    with pytest.raises(IndexError, match="a sparse index must be a mask of bool, got float64"):
        sparse[sparse]
    with pytest.raises(ValueError, match="cannot reshape"):
        sparse.reshape(3, 3)


def test_stacking():
    wide, tall = dg.CSR(np.eye(2, 3)), dg.CSR(np.eye(3, 2))
    with refuses(ShapeError, "vstack: block 0 has 3 columns but block 1 has 2"):
        dg.sparse.vstack([wide, tall])
    with refuses(ShapeError, "hstack: block 0 has 2 rows but block 1 has 3"):
        dg.sparse.hstack([wide, tall])
    with refuses(FormatError, "vstack: expected at least one matrix, got none"):
        dg.sparse.vstack([])
    with refuses(FormatError, "hstack: expected a list of matrices, got one CSR"):
        dg.sparse.hstack(wide)
