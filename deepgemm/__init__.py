"""Sparse and dense matrix products that plan, explain and repeat themselves exactly."""

from . import optim
from .dtypes import bfloat16, float8_e4m3fn, float8_e5m2
from .errors import (
    DTypeError,
    FormatError,
    MemoryBudgetError,
    ShapeError,
    StaleDataError,
    UnsupportedError,
)
from .ops.embedding_bag import embedding_bag
from .ops.embedding_bag_grad import embedding_bag_grad
from .ops.error_bound import error_bound
from .ops.estimate import Estimate, estimate
from .ops.explain import explain
from .ops.gram import gram, sandwich
from .ops.group_by_expert import ExpertGroups, group_by_expert
from .ops.grouped_matmul import grouped_matmul
from .ops.inspect import show_kernels, show_machine, structure
from .ops.matmul import matmul
from .ops.matmul_to_disk import matmul_to_disk
from .ops.matmul_topk import matmul_topk
from .ops.observers import MinMaxObserver, MovingAverageObserver, MSEObserver, Observer, PercentileObserver
from .ops.plan import plan
from .ops.quantization_error import QuantizationError, quantization_error
from .ops.quantize import dequantize, fake_quantize, quantize
from .ops.quantize_table import quantize_table
from .ops.ragged_attention import ragged_attention
from .ops.sddmm import sddmm
from .ops.threads import get_num_threads, set_num_threads, threads
from .ops.topk_gating import topk_gating
from .planner.plan import Plan
from .sparse import (
    BSR,
    COO,
    CSC,
    CSR,
    Quantized,
    QuantizedSparse,
    Ragged,
    RaggedMatrix,
    SparseArray,
    block_diag,
    hstack,
    open_matrix,
    vstack,
)

__version__ = "0.1.0"

__all__ = [
    "BSR",
    "COO",
    "CSC",
    "CSR",
    "DTypeError",
    "Estimate",
    "ExpertGroups",
    "FormatError",
    "MSEObserver",
    "MemoryBudgetError",
    "MinMaxObserver",
    "MovingAverageObserver",
    "Observer",
    "PercentileObserver",
    "Plan",
    "QuantizationError",
    "Quantized",
    "QuantizedSparse",
    "Ragged",
    "RaggedMatrix",
    "ShapeError",
    "SparseArray",
    "StaleDataError",
    "UnsupportedError",
    "__version__",
    "bfloat16",
    "block_diag",
    "dequantize",
    "embedding_bag",
    "embedding_bag_grad",
    "error_bound",
    "estimate",
    "explain",
    "fake_quantize",
    "float8_e4m3fn",
    "float8_e5m2",
    "get_num_threads",
    "gram",
    "group_by_expert",
    "grouped_matmul",
    "hstack",
    "matmul",
    "matmul_to_disk",
    "matmul_topk",
    "open_matrix",
    "optim",
    "plan",
    "quantization_error",
    "quantize",
    "quantize_table",
    "ragged_attention",
    "sandwich",
    "sddmm",
    "set_num_threads",
    "show_kernels",
    "show_machine",
    "structure",
    "threads",
    "topk_gating",
    "vstack",
]
