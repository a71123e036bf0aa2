"""The look for inf and nan that crossing kernels rely on finds one anywhere, in any layout of memory."""

from __future__ import annotations

import numpy as np
import pytest

from deepgemm import _core, testing

# What is not aligned is copied before it gets there.
LAYOUTS = [name for name in testing.LAYOUTS if name != "misaligned"]
SHAPES = [(1, 1), (1, 17), (40, 3), (300, 8), (7, 130), (3, 40_000)]


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_value_anywhere(shape, dtype, layout):
    generator = np.random.default_rng(1)
    X = testing.random_values("finite", shape, dtype)
    assert _core.all_finite(testing.LAYOUTS[layout](X))
    for value in (np.inf, -np.inf, np.nan):
        Y = X.copy()
        Y.flat[generator.integers(Y.size)] = complex(0, value) if dtype in "FD" else value
        assert not _core.all_finite(testing.LAYOUTS[layout](Y))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_nothing_is_finite(shape):
    assert _core.all_finite(np.empty(shape))
