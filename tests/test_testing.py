"""The problem list keeps its promises, so that the tests that use it mean something."""

from __future__ import annotations

import numpy as np
import pytest

from deepgemm import dtypes, reference, testing

STORED = [
    "?",
    "i1",
    "u1",
    "i4",
    "f4",
    "f8",
    "F",
    "D",
    "f2",
    *map(str, (dtypes.bfloat16, dtypes.float8_e4m3fn)),
]


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_sparse_cases_are_valid_named_and_repeatable(dtype, index_dtype):
    cases = testing.sparse_cases(dtype, index_dtype)
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        parts = case.make()
        assert (parts.dtype, parts.indices.dtype, parts.indptr.dtype) == (dtype, index_dtype, index_dtype)
        assert len(parts.indptr) == parts.shape[0] + 1
        parts.to_scipy().check_format(full_check=True)
        for one, two in zip(parts.parts, case.make().parts, strict=True):
            testing.assert_same(one, two, case.name)
        same = parts.to_scipy()
        assert ("unsorted" in case.tags) == (not same.has_sorted_indices), case.name
        same.sum_duplicates()
        assert ("duplicates" in case.tags) == (same.nnz < parts.nnz), case.name
        assert ("large" in case.tags) == (parts.nnz > 10_000), case.name


def test_sizes_straddle_the_vector_widths():
    for width in testing.WIDTHS:
        assert {0, 1, width - 1, width, width + 1, 4 * width + 3} <= set(testing.SIZES)
        assert {width - 1, width, width + 1, 4 * width + 3} <= set(testing.COLUMNS)


@pytest.mark.parametrize("dtype", ["f4", "f8", "F"])
def test_values_tell_orders_apart(dtype):
    """A chain in descending order, or without fusing, gives another result on most elements."""
    A, X = testing.random_values("A", (20, 60), dtype), testing.random_values("X", (60, 20), dtype)
    ascending = reference.matmul(A, X)
    assert np.mean(ascending != reference.matmul(A[:, ::-1], X[::-1])) > 0.5
    unfused = np.zeros_like(ascending)
    for k in range(60):
        unfused += A[:, k, None] * X[k]
    assert np.mean(ascending != unfused) > 0.5


@pytest.mark.parametrize("dtype", ["f4", "f8", "F"])
def test_subnormal_problem_has_subnormal_results(dtype):
    parts = next(case for case in testing.sparse_cases(dtype) if "subnormal" in case.tags).make()
    result = reference.matmul(parts, testing.random_values("X", (parts.shape[1], 4), dtype)).real
    tiny = np.finfo(dtype).tiny
    assert np.mean((result != 0) & (np.abs(result) < tiny)) > 0.1


@pytest.mark.parametrize("layout", testing.LAYOUTS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (1, 1), (5, 4), (7,)])
def test_layouts_keep_the_values(layout, shape):
    values = testing.random_values("L", shape, "f4")
    before = values.copy()
    view = testing.LAYOUTS[layout](values)
    testing.assert_same(view, before, layout)
    testing.assert_same(values, before)
    assert not np.shares_memory(view, values)


def test_layouts_are_what_they_say():
    values = testing.random_values("L", (6, 5), "f8")
    laid = {name: layout(values) for name, layout in testing.LAYOUTS.items()}
    assert laid["F"].flags.f_contiguous
    assert laid["row-stride"].strides[0] == 2 * 5 * 8
    assert laid["column-stride"].strides[1] == 3 * 8
    assert laid["negative-rows"].strides[0] < 0
    assert laid["negative-columns"].strides[1] < 0
    assert laid["unaligned-vectors"].ctypes.data % 16 == 8
    assert not laid["misaligned"].flags.aligned
    assert not laid["read-only"].flags.writeable


def test_assert_same_names_what_differs():
    same = testing.assert_same
    same(np.float32([0.0, np.nan, np.inf]), np.float32([-0.0, -np.nan, np.inf]))
    with pytest.raises(AssertionError, match=r"here: dtype is float32, expected float64"):
        same(np.zeros(1, "f4"), np.zeros(1), "here")
    with pytest.raises(AssertionError, match=r"shape is \(1, 1\), expected \(1,\)"):
        same(np.zeros((1, 1)), np.zeros(1))
    with pytest.raises(
        AssertionError, match=r"1 of 4 elements differ, first at \[1, 0\]: got 3.0, expected 4.0"
    ):
        same(np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 2.0], [4.0, 5.0]]))
    with pytest.raises(AssertionError, match="1 of 1 elements differ"):
        same(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(AssertionError, match="1 of 1 elements differ"):
        same(np.array([complex(1, np.nan)]), np.array([complex(np.nan, 1)]))
    same(np.array([complex(1, np.nan)]), np.array([complex(1, np.nan)]))


def test_with_nonfinite_has_each_special_value():
    special = testing.with_nonfinite(np.zeros((4, 4), np.float32))
    assert np.isnan(special).any()
    assert np.isposinf(special).any()
    assert np.isneginf(special).any()


def test_matrices_need_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("DEEPGEMM_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match="DEEPGEMM_DATA_DIR is not set"):
        testing.list_matrices()
    monkeypatch.setenv("DEEPGEMM_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="which has no MANIFEST"):
        next(testing.load_matrices())


def test_matrices_are_read_by_their_manifest(monkeypatch, tmp_path):
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind" / "a.mtx").write_text(
        "%%MatrixMarket matrix coordinate real general\n2 3 2\n1 1 1.5\n2 3 -2\n"
    )
    (tmp_path / "MANIFEST.csv").write_text(
        "file,kind,rows,cols,nnz\nkind/a.mtx,fem,2,3,2\nkind/b.txt,text,1,1,1\nkind/c.mtx.gz,lp,9,9,90\n"
    )
    monkeypatch.setenv("DEEPGEMM_DATA_DIR", str(tmp_path))
    assert [m.name for m in testing.list_matrices()] == ["kind/a", "kind/c"]
    assert [m.name for m in testing.list_matrices(min_nnz=3)] == ["kind/c"]
    assert [m.name for m in testing.list_matrices(kinds=("fem",))] == ["kind/a"]
    ((name, matrix),) = testing.load_matrices(max_nnz=2)
    assert name == "kind/a"
    assert matrix.toarray().tolist() == [[1.5, 0, 0], [0, 0, -2]]
