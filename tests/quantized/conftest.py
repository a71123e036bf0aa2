"""Quantised matrices of every kind, for several of these tests."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

import deepgemm as dg

DTYPES = ("int8", "uint8", "int4", "uint4", "int2", "uint2", "float8_e4m3fn", "float8_e5m2")
SCALINGS = {
    "one": {},
    "rows": {"axis": 0},
    "columns": {"axis": 1},
    "row groups": {"axis": 0, "group_size": 5},
    "column groups": {"axis": 1, "group_size": 4},
}


def every_kind():
    """Yield the options of `quantize` for each dtype and way of scaling."""
    for dtype, (name, scaling), symmetric in itertools.product(DTYPES, SCALINGS.items(), (True, False)):
        if symmetric or not dtype.startswith("float8"):
            title = f"{dtype}, {name}, {'symmetric' if symmetric else 'zero points'}"
            yield pytest.param({"dtype": dtype, "symmetric": symmetric, **scaling}, id=title)


def random_matrix(shape, dtype="float32", seed=""):
    """A matrix with rows of very different size, one of zeros and a constant one."""
    generator = np.random.default_rng(zlib.crc32(f"{shape} {seed}".encode()))
    values = generator.standard_normal(shape) * 2.0 ** generator.integers(-3, 4, (shape[0], 1)) + 0.3
    if shape[0] > 3:
        values[1], values[2] = 0.0, 1.7
    return values.astype(dtype)


@pytest.fixture(params=list(every_kind()))
def kind(request):
    return request.param


@pytest.fixture
def matrix():
    return random_matrix((7, 13))


@pytest.fixture
def tools():
    """The functions above, because test modules cannot import a conftest."""

    class Tools:
        every = staticmethod(every_kind)
        random = staticmethod(random_matrix)
        dtypes = DTYPES

        @staticmethod
        def quantized(shape, kind, seed=""):
            return dg.quantize(random_matrix(shape, seed=seed), **kind)

    return Tools
