"""Every operation in plain NumPy, in the order in which it is stated to round: the specification.

Kernels are compared with these functions by ``==``. Nothing here is fast for its own sake; the loops run
over the steps of a chain, and each step is vectorised over the output elements. The statements themselves
are in `deepgemm.stated`, one idea in each file.
"""

from .fma import fma
from .rounding import rounded
from .stated.attention import ragged_attention
from .stated.bag_gradients import adagrad, embedding_bag_grad, rowwise_adagrad, sgd
from .stated.bags import embedding_bag
from .stated.elementary import erf, exp, log, tanh
from .stated.epilogue import epilogue
from .stated.gating import topk_gating
from .stated.halves import matmul_halves
from .stated.lanes import dot, sddmm
from .stated.products import matmul
from .stated.quantised import dequantize, quantize
from .stated.ragged_products import grouped_matmul, ragged_matmul
from .stated.reductions import means, normalized, norms, sums, variances
from .stated.segments import (
    segment_argmax,
    segment_argmin,
    segment_cumsum,
    segment_layer_norm,
    segment_log_softmax,
    segment_max,
    segment_mean,
    segment_min,
    segment_softmax,
    segment_sum,
)
from .stated.sparse_products import matmul_sparse, matmul_topk
from .stated.stacks import matmul_stack
from .stated.symmetric import gram, sandwich

__all__ = [
    "adagrad",
    "dequantize",
    "dot",
    "embedding_bag",
    "embedding_bag_grad",
    "epilogue",
    "erf",
    "exp",
    "fma",
    "gram",
    "grouped_matmul",
    "log",
    "matmul",
    "matmul_halves",
    "matmul_sparse",
    "matmul_stack",
    "matmul_topk",
    "means",
    "normalized",
    "norms",
    "quantize",
    "ragged_attention",
    "ragged_matmul",
    "rounded",
    "rowwise_adagrad",
    "sandwich",
    "sddmm",
    "segment_argmax",
    "segment_argmin",
    "segment_cumsum",
    "segment_layer_norm",
    "segment_log_softmax",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_softmax",
    "segment_sum",
    "sgd",
    "sums",
    "tanh",
    "topk_gating",
    "variances",
]
