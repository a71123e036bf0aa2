"""Arrays that several of these tests use."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg


@pytest.fixture
def matrix() -> scipy.sparse.csr_array:
    """A small canonical SciPy array with an empty row and an empty column."""
    dense = np.array(
        [
            [0.0, 1.5, 0.0, -2.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [3.0, 4.0, 0.0, 0.0, 0.5],
            [0.0, 0.0, 0.0, 7.0, 0.0],
        ]
    )
    return scipy.sparse.csr_array(dense)


@pytest.fixture(params=["csr", "csc", "coo", "bsr"])
def sparse(request, matrix):
    """The same matrix in each of our formats."""
    return dg.CSR(matrix).asformat(request.param)
