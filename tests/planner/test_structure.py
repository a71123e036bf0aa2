"""What is measured of operands agrees with what NumPy counts."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.planner.structure import Structure, block_fill, measure, measure_dense


@pytest.fixture(scope="module")
def skewed():
    rng = np.random.default_rng(3)
    lengths = np.minimum(200, rng.pareto(1.0, 300).astype(int))
    rows = [np.sort(rng.choice(200, length, replace=False)) for length in lengths]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return scipy.sparse.csr_array((np.ones(indptr[-1]), np.concatenate(rows), indptr), shape=(300, 200))


def test_row_figures(skewed):
    found = measure(dg.CSR(skewed))
    lengths = np.diff(skewed.indptr)
    assert found.nnz == skewed.nnz
    assert found.density == pytest.approx(skewed.nnz / 60_000)
    assert found.max_row == lengths.max()
    assert found.empty_rows == (lengths == 0).sum()
    assert found.skew == pytest.approx(lengths.std() / lengths.mean())
    rows = np.repeat(np.arange(300), lengths)
    assert found.bandwidth == np.abs(rows - skewed.indices).max()
    assert found.major == "row"
    assert found.quantiles[0] == lengths.min()
    assert found.quantiles[-1] == lengths.max()
    assert list(found.quantiles) == sorted(found.quantiles)


def test_columns_are_measured_for_csc(skewed):
    found = measure(dg.CSC(skewed))
    assert found.major == "col"
    assert found.max_row == np.bincount(skewed.indices, minlength=200).max()


@pytest.mark.parametrize("format", ["coo", "bsr"])
def test_uncompressed_formats_count_their_rows(skewed, format):
    blocks = scipy.sparse.csr_array(skewed[:, :200])
    array = dg.CSR(blocks).asformat(format)
    found = measure(array)
    expected = measure(array.tocsr())
    assert (found.nnz, found.max_row, found.empty_rows) == (
        expected.nnz,
        expected.max_row,
        expected.empty_rows,
    )


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (3, 3)])
@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_empty(shape, format):
    array = dg.CSR(shape).asformat(format)
    found = dg.structure(array)
    assert found.nnz == 0
    assert found.density == 0
    assert found.max_row == 0
    repr(found)


def test_zero_share():
    dense = np.zeros((200, 300), np.float32)
    dense[:, ::4] = 1.0
    assert measure_dense(dense).zero_share == pytest.approx(0.75, abs=0.05)
    assert measure_dense(dense, 0).zero_share is None
    assert dg.structure(np.ones((3, 4))).zero_share == 0.0


def test_block_fill_is_exact_on_small_arrays():
    rng = np.random.default_rng(5)
    pattern = np.kron(rng.random((10, 10)) < 0.3, np.ones((4, 4)))
    fills = dict(block_fill(dg.CSR(pattern)))
    assert fills[4, 4] == 1.0
    assert fills[2, 2] == 1.0
    touched = np.add.reduceat(np.add.reduceat(pattern, range(0, 40, 8), 0), range(0, 40, 8), 1) > 0
    assert fills[8, 8] == pytest.approx(pattern.sum() / (touched.sum() * 64))


def test_block_fill_of_a_large_array_is_sampled():
    array = dg.CSR(scipy.sparse.random_array((20_000, 100), density=0.05, rng=np.random.default_rng(1)))
    assert dict(block_fill(array))[2, 2] == pytest.approx(0.27, abs=0.03)


def test_json_round_trip(skewed):
    found = replace(measure(dg.CSR(skewed)), block_fill=(((2, 2), 0.5),))
    assert Structure.from_dict(json.loads(json.dumps(asdict(found)))) == found


def test_shown(skewed):
    text = repr(dg.structure(dg.CSR(skewed)))
    assert f"{skewed.nnz:,} (density" in text
    assert "median" in text
    assert "16 × 16" in text
    html = dg.structure(dg.CSR(skewed))._repr_html_()
    assert html.startswith("<div>")
    assert "background:" in html
    assert "zeros among sampled elements  0.0%" in repr(dg.structure(np.ones((2, 2))))
    assert "unsorted" in repr(dg.structure(dg.CSR(([1.0, 2.0], [1, 0], [0, 2]), shape=(1, 2))))


def test_not_an_operand():
    with pytest.raises(dg.ShapeError, match="structure: A has 3 dimensions, expected 1 or 2"):
        dg.structure(np.zeros((2, 2, 2)))
