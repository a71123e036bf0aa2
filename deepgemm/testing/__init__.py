"""The one list of problems, which feeds the tests and the benchmarks alike.

Every problem is small, deterministic and named; sizes straddle the vector widths 4, 8 and 16, and values are
such that another order of summation, a missing fused operation or a flushed subnormal changes the result.
"""

from ..matrices import Matrix, list_matrices, load_matrices
from .compare import assert_same, assert_segments
from .dense import dense_cases
from .layouts import LAYOUTS
from .problems import COLUMNS, SEGMENT_LENGTHS, SIZES, WIDTHS, Case, Compressed
from .sparse import sparse_cases
from .values import random_values, with_nonfinite

__all__ = [
    "COLUMNS",
    "LAYOUTS",
    "SEGMENT_LENGTHS",
    "SIZES",
    "WIDTHS",
    "Case",
    "Compressed",
    "Matrix",
    "assert_same",
    "assert_segments",
    "dense_cases",
    "list_matrices",
    "load_matrices",
    "random_values",
    "sparse_cases",
    "with_nonfinite",
]
