"""Views to and from SciPy, torch, Arrow and awkward."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.testing import SEGMENT_LENGTHS as LENGTHS
from deepgemm.testing import assert_segments as same

IDS = dg.Ragged(
    np.arange(sum(LENGTHS), dtype=np.int32), np.concatenate(([0], np.cumsum(LENGTHS))).astype("i4")
)


def test_a_ragged_of_ids_is_a_csr_pattern():
    matrix = IDS.to_csr(columns=40)
    assert matrix.shape == (len(LENGTHS), 40)
    assert np.shares_memory(matrix.indices, IDS.values)
    assert np.shares_memory(matrix.indptr, IDS.offsets)
    assert matrix.dtype == np.float32
    back = dg.Ragged.from_csr(matrix)
    assert back.equals(IDS)
    assert np.shares_memory(back.values, IDS.values)
    weights = IDS.with_values(np.linspace(0, 1, IDS.total))
    weighted = IDS.to_csr(data=weights)
    assert np.shares_memory(weighted.data, weights.values)
    assert dg.Ragged.from_csr(weighted, part="data").equals(weights)
    for kind in (scipy.sparse.csr_array, scipy.sparse.csr_matrix):
        theirs = kind(matrix.to_scipy())
        assert np.shares_memory(dg.Ragged.from_csr(theirs).values, theirs.indices)
    assert dg.Ragged.from_csr(weighted.tocsc()).equals(IDS)


def test_csr_with_gaps_and_other_widths():
    gaps = IDS[:, :2]
    assert gaps.to_csr().toarray().sum() == gaps.total
    assert gaps.to_csr(data=gaps * 2).nnz == gaps.total
    assert IDS.astype(np.uint16).to_csr().nnz == IDS.total
    with pytest.raises(
        dg.DTypeError, match=r"to_csr: values are float64 with rows of shape \(\), expected integer"
    ):
        IDS.astype(np.float64).to_csr()
    with pytest.raises(dg.ShapeError, match=r"to_csr: data has shape \(3,\), expected \(31,\)"):
        IDS.to_csr(data=np.ones(3))
    with pytest.raises(dg.ShapeError, match="to_csr: data has segments of other lengths"):
        IDS.to_csr(data=IDS[::-1])
    with pytest.raises(dg.FormatError, match=r"indices\[3\] is 3 but the matrix has 3 columns"):
        IDS.to_csr(columns=3)
    with pytest.raises(dg.FormatError, match="from_csr: part is 'x', expected"):
        dg.Ragged.from_csr(IDS.to_csr(), part="x")


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch")

    def test_there_and_back(self, ragged, parts):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # no complaint about memory that is not writable
            tensor = ragged.to_torch()
        assert tensor.values().data_ptr() == ragged.values.ctypes.data
        for found, expected in zip(tensor.unbind(), parts, strict=True):
            np.testing.assert_array_equal(found.numpy(), expected)
        back = dg.Ragged.from_torch(tensor)
        same(back, parts)
        assert np.shares_memory(back.values, ragged.values)
        assert back.offsets.dtype == ragged.offsets.dtype

    @pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float16", "int8", "bool", "complex64"])
    def test_dtypes(self, torch, name):
        r = dg.Ragged(np.ones(3), [0, 1, 3]).astype(getattr(dg, name, name))
        tensor = r.to_torch()
        assert tensor.dtype == getattr(torch, name)
        assert dg.Ragged.from_torch(tensor).equals(r)

    def test_values_and_cu_seqlens(self, torch):
        values = torch.arange(6.0, requires_grad=True)
        offsets = torch.tensor([0, 2, 6], dtype=torch.int32)
        r = dg.Ragged.from_torch(values, offsets)
        assert r.to_list() == [[0, 1], [2, 3, 4, 5]]
        assert r.values.ctypes.data == values.data_ptr()
        assert r.offsets.dtype == np.int32
        assert dg.Ragged.from_torch(values.bfloat16(), offsets).dtype == dg.bfloat16
        assert dg.Ragged.from_torch(values, [0, 6]).to_list() == [list(range(6))]
        assert dg.Ragged([]).to_torch().size(0) == 0

    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
    def test_refusals(self, torch):
        plain, nested = torch.ones(3), dg.Ragged([[1.0]]).to_torch()
        for arguments, error, message in [
            ((np.ones(3),), dg.FormatError, "tensor is a ndarray, expected a torch.Tensor"),
            ((plain,), dg.FormatError, "tensor is not nested, so offsets are needed"),
            ((nested, [0, 1]), dg.FormatError, "tensor is nested, so it has offsets of its own"),
            ((plain.to("meta"), [0, 3]), dg.UnsupportedError, "tensor is on meta, expected cpu"),
            ((plain, [0, 2]), dg.FormatError, "offsets end at 2, but values has 3 rows"),
        ]:
            with pytest.raises(error, match=message):
                dg.Ragged.from_torch(*arguments)
        turned = dg.Ragged([np.ones((2, 3))]).to_torch().transpose(1, 2)
        with pytest.raises(dg.UnsupportedError, match="the ragged axis of tensor is not its second one"):
            dg.Ragged.from_torch(turned)
        with pytest.raises(dg.FormatError, match=r"layout torch.strided, expected torch.jagged"):
            dg.Ragged.from_torch(torch.nested.nested_tensor([plain], layout=torch.strided))


class TestArrow:
    @pytest.fixture(autouse=True)
    def pa(self):
        return pytest.importorskip("pyarrow")

    def test_there_and_back(self, pa, ragged, parts):
        lists = ragged.to_arrow()
        assert isinstance(lists, pa.ListArray if ragged.offsets.dtype == np.int32 else pa.LargeListArray)
        assert lists.to_pylist() == ragged.to_list()
        back = dg.Ragged.from_arrow(lists)
        same(back, parts)
        assert back.values.dtype == ragged.dtype
        if not ragged.has_gaps:
            assert np.shares_memory(back.values, ragged.values)
        same(dg.Ragged.from_arrow(lists[3:6]), parts[3:6])
        same(dg.Ragged.from_arrow(pa.chunked_array([lists[:2], lists[2:]])), parts)

    def test_other_types(self, pa):
        bits = dg.Ragged(np.array([True, False, True]), [0, 1, 3])
        assert dg.Ragged.from_arrow(bits.to_arrow()).equals(bits)
        half = bits.astype(np.float16)
        assert dg.Ragged.from_arrow(half.to_arrow()).equals(half)
        assert dg.Ragged.from_arrow(pa.array([[], []])).to_list() == [[], []]
        with pytest.raises(dg.DTypeError, match="to_arrow: values have dtype bfloat16, which Arrow lacks"):
            bits.astype(dg.bfloat16).to_arrow()

    def test_refusals(self, pa):
        for array, error, message in [
            (pa.array([1, 2]), dg.FormatError, "got int64, expected a list or large_list array"),
            ([[1]], dg.FormatError, "got <class 'list'>, expected|got list, expected"),
            (pa.array([[1], None]), dg.FormatError, "segment 1 is null"),
            (pa.array([[1], [2, None]]), dg.FormatError, "value 2 is null"),
            (pa.array([["a"]]), dg.DTypeError, "values have type string, expected numbers"),
        ]:
            with pytest.raises(error, match=message):
                dg.Ragged.from_arrow(array)


class TestAwkward:
    @pytest.fixture(autouse=True)
    def ak(self):
        return pytest.importorskip("awkward")

    def test_there_and_back(self, ak, ragged, parts):
        lists = ragged.to_awkward()
        assert lists.to_list() == ragged.to_list()
        back = dg.Ragged.from_awkward(lists)
        same(back, parts)
        if not ragged.has_gaps:
            assert np.shares_memory(back.values, ragged.values)

    def test_refusals(self, ak):
        with pytest.raises(dg.FormatError, match="expected lists of varying length"):
            dg.Ragged.from_awkward(ak.Array([1, 2]))
        with pytest.raises(dg.DTypeError, match="values have dtype bfloat16, which awkward lacks"):
            dg.Ragged([[1.0]]).astype(dg.bfloat16).to_awkward()


@pytest.mark.parametrize(
    ("method", "package"), [("torch", "torch"), ("arrow", "pyarrow"), ("awkward", "awkward")]
)
def test_what_is_not_installed_is_said(method, package, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    title = {"torch": "PyTorch"}.get(package, package)
    with pytest.raises(dg.UnsupportedError, match=f"needs {title}, which is not installed"):
        getattr(IDS, f"to_{method}")()
    with pytest.raises(dg.UnsupportedError, match=f"needs {title}, which is not installed"):
        getattr(dg.Ragged, f"from_{method}")(None)
    assert importlib.util is not None
