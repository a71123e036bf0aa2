"""`matmul` and the operator `@`: which kind of product it is, and who does it."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from .. import _core
from ..config import Settings
from ..errors import UnsupportedError
from ..planner import machine as machines
from ..planner.account import FOR_GOOD
from ..planner.decision import decide
from ..planner.ending import finished
from ..planner.plan import build
from ..planner.problem import Side
from ..rounding import rounded
from ..sparse.base import SparseArray, register_product
from ..sparse.core import Factor
from ..sparse.quantized import Quantized
from ..sparse.ragged.products import register_ragged_product
from . import _dense
from . import _kernels as _kernels
from . import _request as request
from . import _specs as specs
from ._budget import budget_of
from ._dense_result import dense_product
from ._epilogue import Epilogue, epilogue_of
from ._kept_plans import planned
from ._sparse_product import sparse_product
from .ragged_product import is_ragged, operand_of_operator, ragged_product
from .sddmm import masked
from .values import weighted

__all__ = ["matmul"]


def matmul(
    A: Any,
    B: Any,
    *,
    out: npt.NDArray[Any] | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
    reproducible: bool = True,
    mask: Any = None,
    values: Any = None,
    dense: bool = False,
    memory_budget: int | str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    C: Any = None,
    scale: Any = None,
    bias: Any = None,
    activation: str | None = None,
    transpose_b: bool = False,
) -> Any:
    """Multiply two matrices, or a matrix and a vector, sparse or dense.

    Each element of the result is one chain of fused multiply-adds over the inner index in ascending
    order, in the accumulator dtype, rounded once at the end: every kernel, ISA and number of threads
    gives the same result. `A @ B` is the same with default options.

    Parameters
    ----------
    A, B : sparse array, Quantized, QuantizedSparse or array_like
        Of shape (m, k) and (k, n), or a vector of length k in place of one of them. Sparse arrays of
        SciPy are used without a copy. Dense operands may be stacks of matrices, as in `numpy.matmul`: the
        last two axes are multiplied, and the axes before them broadcast.
    out : numpy.ndarray, optional
        Where to write the result; its shape and dtype must be those of the result.
    dtype : dtype_like, optional
        Dtype of the result. The accumulator does not depend on it.
    threads : int, optional
        Use at most so many threads (never more than `get_num_threads()`).
    kernel : str, optional
        Force an ISA ("avx2"), one with an arithmetic ("avx512_fp16", which is not reproducible), a kernel
        ("csr_rowwise") or both ("csr_rowwise@avx2").
    reproducible : bool
        False also admits kernels that round in another order, such as SciPy's and a BLAS, and for float16 and
        bfloat16 instructions that round more often, where the CPU has them (`reference.matmul_halves` states
        how far float16 may be off).
    mask : sparse array, optional
        Compute the product of two dense matrices at the entries of this mask only; see `sddmm`, which is the
        same and whose order of rounding is that of dot products.
    values : array_like, optional
        Entries in the place of those of the one sparse operand: a stack of sparse matrices with one
        structure, of leading axes before those of `data`. They broadcast with the leading axes of the
        dense operand. `A.with_data(values)` is the same for a single matrix.
    dense : bool, optional
        Return a dense array for two sparse operands too, as `out=` does. With a dense operand it always is.
    memory_budget : int or str, optional
        Bytes that the result of two sparse operands may take: 4000000000 or "4GiB". By default nine tenths of
        the memory that this process can still have. Each thread needs a few MB more, and one accumulator for
        each column. See `estimate`, `matmul_topk` and `matmul_to_disk`.
    alpha, beta : float, optional
        Factors of the product and of `C`; 1 by default.
    C, scale, bias : array_like, optional
        Real numbers that broadcast with the dense result: what is added `beta` times, what it is multiplied
        by, and what is added then.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last, before the result is rounded to its dtype.
    transpose_b : bool, optional
        For two ragged operands: multiply each segment of A by the transpose of its partner in B.

    Returns
    -------
    numpy.ndarray or CSR
        Dense of shape (m, n), (m,), (n,) or (..., m, n) if one operand is dense; sparse for two sparse
        operands, unless `dense` or `out` say otherwise, and with a mask.
    Ragged or RaggedMatrix
        If an operand is ragged, see below.

    Raises
    ------
    ShapeError
        If the inner extents differ, or an operand is a scalar, or leading axes or a term do not broadcast.
    DTypeError
        If an operand or `out` has a dtype that is not stored, or not the right one.
    FormatError
        If `out` is read-only or shares memory with an operand.
    UnsupportedError
        If no kernel can do the product; the message says why and what to use.
    StaleDataError
        If memory shared with a sparse operand was changed.
    MemoryBudgetError
        If the result of two sparse operands does not fit; it has the predicted entries and bytes.

    Notes
    -----
    O(nnz n) for a sparse operand, O(m k n) for two dense ones, O(multiply-adds) for two sparse ones.
    A quantised operand stands for the float32 matrix `dequantize()`; beside float16 or bfloat16 the result is
    rounded to that dtype, as activations keep theirs. Two that hold whole numbers are summed exactly for each
    group of scales. A sparse quantised operand is multiplied by dense ones only.

    What follows the product is done in the accumulator dtype, for float32 and float64, in this order, each
    step rounded once: ``alpha * x``, ``fma(beta, C, x)``, ``scale * x``, ``x + bias``, the activation; see
    `deepgemm.reference.epilogue`. For two dense operands it costs no pass over the result of its own.
    A `Ragged` times any other operand multiplies all of its rows, without a copy. Two ragged operands are
    multiplied segment by segment, work being split between threads by its amount, not by segment: rows of
    `A[i]` times the matrix `B[i]`, or with `transpose_b` the rows of `B[i]` (attention scores), which gives a
    `RaggedMatrix`; and that times a `Ragged` gives a `Ragged`.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> A = dg.CSR(np.array([[1.0, 0.0], [0.0, 2.0]]))
    >>> dg.matmul(A, np.array([3.0, 4.0]))
    array([3., 8.])
    >>> dg.matmul(np.eye(2, dtype="float32"), A, dtype="float32")
    array([[1., 0.],
           [0., 2.]], dtype=float32)
    >>> dg.matmul(A, np.ones((5, 4, 2, 3))).shape
    (5, 4, 2, 3)
    >>> dg.matmul(A, np.array([3.0, 4.0]), values=[[1.0, 2.0], [10.0, 20.0]])
    array([[ 3.,  8.],
           [30., 80.]])
    >>> dg.matmul(np.ones((5, 1, 4, 3)), np.ones((2, 3, 6))).shape
    (5, 2, 4, 6)
    >>> dg.matmul(np.eye(2), np.array([[1.0, -2.0], [3.0, 4.0]]), bias=[0.5, 0.5], activation="relu")
    array([[1.5, 0. ],
           [3.5, 4.5]])
    >>> dg.matmul(A, A)
    CSR(shape=(2, 2), dtype=float64, nnz=2, density=0.5, memory=36 B)
    >>> dg.matmul(A, A, dense=True)
    array([[1., 0.],
           [0., 4.]])
    >>> q = dg.Ragged(np.ones((3, 4)), [0, 1, 3])
    >>> dg.matmul(q, q, transpose_b=True).to_list()
    [[[4.0]], [[4.0, 4.0], [4.0, 4.0]]]
    """
    if (
        dtype is None
        and threads is None
        and kernel is None
        and reproducible is True
        and mask is None
        and values is None
        and not dense
        and memory_budget is None
        and alpha is None
        and beta is None
        and C is None
        and scale is None
        and bias is None
        and activation is None
        and not transpose_b
    ):
        plain = _core.multiply_plain(A, B, out)
        if plain is not NotImplemented:
            return plain
    ending = epilogue_of("matmul", alpha, beta, C, scale, bias, activation)
    if is_ragged(A) or is_ragged(B):
        unused = {"out": out, "mask": mask, "values": values, "memory_budget": memory_budget}
        for name, option in unused.items():
            if option is not None:
                raise UnsupportedError(f"matmul: {name}= is not taken with a ragged operand")
        if ending is not None:
            raise UnsupportedError(f"matmul: {ending} cannot be applied with a ragged operand")
        return _ragged(A, B, transpose_b, dtype, threads, kernel, reproducible)
    if transpose_b:
        raise UnsupportedError("matmul: transpose_b= is for two ragged operands; write B.T")
    if mask is not None:
        if ending is not None:
            raise UnsupportedError(f"matmul: {ending} cannot be applied with mask=, whose result is sparse")
        for name, option in (("out", out), ("values", values)):
            if option is not None:
                raise UnsupportedError(f"matmul: {name}= is not taken with mask=, whose result is sparse")
        return masked("matmul", mask, A, B, False, dtype, threads, kernel)
    env = request.current_settings()
    wanted = request.options("matmul", dtype, threads, kernel, reproducible, env)
    left = request.operand("matmul", "A", A, stacks=True)
    right = request.operand("matmul", "B" if isinstance(B, Factor) else "X", B, stacks=True)
    request.refuse_pairs("matmul", left, right)
    left, right, wanted = _beside_sparse(left, right, wanted)
    two_sparse = isinstance(left, SparseArray) and isinstance(right, SparseArray)
    if memory_budget is not None and not two_sparse:
        raise UnsupportedError(
            "matmul: memory_budget= is for two sparse operands, whose result has no size known before"
        )
    if ending is not None:
        return _with_epilogue(left, right, out, wanted, env, values, ending)
    if values is not None:
        return weighted(
            "matmul", left, right, values, out, wanted, lambda a, b: _multiply(a, b, None, wanted, env)
        )
    if two_sparse:
        granted = budget_of("matmul", memory_budget)
        if dense or out is not None:
            return dense_product(left, right, out, wanted, env, granted)
        return sparse_product(left, right, wanted, env, granted)
    return _multiply(left, right, out, wanted, env)


def _ragged(
    A: Any,
    B: Any,
    transpose_b: bool,
    dtype: npt.DTypeLike | None,
    threads: int | None,
    kernel: str | None,
    reproducible: bool,
) -> Any:
    if is_ragged(A) and is_ragged(B):
        wanted = request.one_kernel_options("matmul", dtype, threads, kernel)
    else:
        wanted = request.options("matmul", dtype, threads, kernel, reproducible, request.current_settings())
    return ragged_product(
        A,
        B,
        transpose_b,
        wanted,
        lambda rows, right: matmul(
            rows, right, dtype=dtype, threads=threads, kernel=kernel, reproducible=reproducible, dense=True
        ),
    )


def _ragged_operator(left: Any, right: Any) -> Any:
    left, right = operand_of_operator(left), operand_of_operator(right)
    if left is NotImplemented or right is NotImplemented:
        return NotImplemented
    return matmul(left, right)


def _multiply(left: Any, right: Any, out: Any, wanted: request.Options, env: Settings) -> Any:
    if isinstance(left, Quantized) and isinstance(right, Quantized):
        return _both_quantized(left, right, out, wanted, env)
    if isinstance(left, Factor):
        return planned(left, "left", right, wanted, env)(right, out=out)
    if isinstance(right, Factor):
        return planned(right, "right", left, wanted, env)(left, out=out)
    return _both_dense(left, right, out, wanted, env)


def _with_epilogue(
    left: Any,
    right: Any,
    out: Any,
    wanted: request.Options,
    env: Settings,
    values: Any,
    ending: Epilogue,
) -> Any:
    both_sparse = isinstance(left, SparseArray) and isinstance(right, SparseArray)
    if both_sparse or (left.ndim == right.ndim == 1):
        raise UnsupportedError(
            f"matmul: {ending} can follow the product of two dense operands, not both vectors, or of a "
            "sparse or quantised matrix with a dense or quantised one"
        )
    if not isinstance(left, Factor) and not isinstance(right, Factor) and values is None:
        return _dense.multiply("matmul", left, right, out, wanted, env, ending)
    named = request.named_output(left, right, wanted.dtype)
    dtypes = [request.arithmetic_dtype(operand) for operand in (left, right)]
    if values is not None:  # they stand in the place of the sparse operand's own
        entries = request.operand("matmul", "values", values, stacks=True)
        dtypes[isinstance(right, SparseArray)] = entries.dtype
    chain, output = request.output_dtype("matmul", dtypes[0], dtypes[1], 1, named)
    wide = wanted._replace(dtype=chain)
    if values is None:
        product = _multiply(left, right, None, wide, env)
    else:
        product = weighted(
            "matmul", left, right, values, None, wide, lambda a, b: _multiply(a, b, None, wide, env)
        )
    placed = ending.placed(product.shape, chain)
    if out is not None:
        dense_ones = [operand for operand in (left, right) if not isinstance(operand, Factor)]
        _dense.check_out("matmul", out, product.shape, output, *dense_ones, *placed.arrays)
    return finished(product, placed, output, out, wanted.choice.isa, request.thread_count(wanted))


def _left_product(array: Factor, other: Any) -> Any:
    """`array @ other`, where the most recent plan did not fit."""
    value = _operator_operand("X", other)
    if value is NotImplemented:
        return NotImplemented
    env = request.current_settings()
    wanted = request.default_options(env)
    if isinstance(value, Factor):
        return _both_ours(array, value, wanted, env)
    plan = planned(array, "left", value, wanted, env)
    array._recent_left = plan
    return plan(value)


def _right_product(array: Factor, other: Any) -> Any:
    """`other @ array`, where the most recent plan did not fit."""
    value = _operator_operand("A", other)
    if value is NotImplemented:
        return NotImplemented
    env = request.current_settings()
    wanted = request.default_options(env)
    if isinstance(value, Factor):
        return _both_ours(value, array, wanted, env)
    plan = planned(array, "right", value, wanted, env)
    array._recent_right = plan
    return plan(value)


def _operator_operand(name: str, other: Any) -> Any:
    """Return the checked operand; NotImplemented for objects that are no arrays at all."""
    if not isinstance(other, np.ndarray | Factor) and not scipy.sparse.issparse(other):
        with contextlib.suppress(ValueError):  # ragged lists: the message comes from `operand`
            other = np.asarray(other)
            if other.dtype == object:
                return NotImplemented
    return request.operand("matmul", name, other, stacks=True)


def _both_ours(left: Factor, right: Factor, wanted: request.Options, env: Settings) -> Any:
    request.refuse_pairs("matmul", left, right)
    first, second, wanted = _beside_sparse(left, right, wanted)
    if isinstance(first, SparseArray) and isinstance(second, SparseArray):
        return sparse_product(first, second, wanted, env)
    return _multiply(first, second, None, wanted, env)


def _beside_sparse(left: Any, right: Any, wanted: request.Options) -> tuple[Any, Any, request.Options]:
    """Return the operands, a quantised one beside a sparse one as the dense matrix that it stands for.

    Kernels for sparse operands read no quantised ones. The options name the output that the two decide.
    """
    if isinstance(left, SparseArray | Quantized) and isinstance(right, SparseArray | Quantized):
        wanted = wanted._replace(dtype=request.named_output(left, right, wanted.dtype))
    if isinstance(left, SparseArray) and isinstance(right, Quantized):
        request.check_shapes("matmul", left, right)
        return left, right.dequantize(), wanted
    if isinstance(left, Quantized) and isinstance(right, SparseArray):
        request.check_shapes("matmul", left, right)
        return left.dequantize(), right, wanted
    return left, right, wanted


def _both_quantized(
    left: Quantized, right: Quantized, out: Any, wanted: request.Options, env: Settings
) -> Any:
    request.check_shapes("matmul", left, right)
    problem = request.problem_of("matmul", left, right, "left", wanted, env)
    decision = decide(problem, machines.current(env.cache_dir))
    return build(decision, left, right, FOR_GOOD, wanted.threads, env)(right, out=out)


def _both_dense(left: Any, right: Any, out: Any, wanted: request.Options, env: Settings) -> Any:
    if left.ndim > 2 or right.ndim > 2:
        return _dense.multiply("matmul", left, right, out, wanted, env)
    request.check_shapes("matmul", left, right)
    if left.ndim == right.ndim == 1:
        return _dot(left, right, out, wanted)
    machine = machines.current(env.cache_dir)
    structures = (
        specs.zero_structure(left, right, "left", machine, wanted.choice),
        specs.zero_structure(right, left, "right", machine, wanted.choice),
    )
    fixed = dense_fixed(left, right, structures)
    problem = request.problem_of("matmul", left, right, fixed, wanted, env, structures=structures)
    decision = decide(problem, machine)
    plan = build(decision, left, right, FOR_GOOD, wanted.threads, env)
    return plan(right if fixed == "left" else left, out=out)


def _dot(left: Any, right: Any, out: Any, wanted: request.Options) -> Any:
    """Return the product of two vectors: 16 interleaved chains and a tree, the only kernel there is."""
    if out is not None:
        raise UnsupportedError("matmul: out= is not taken for two vectors, whose product is a scalar")
    if wanted.choice.algorithm is not None or wanted.choice.arithmetic is not None:
        raise UnsupportedError(
            f"matmul: {wanted.choice.argument} cannot be obeyed, two vectors have one kernel only"
        )
    chain, output = request.output_dtype("matmul", left.dtype, right.dtype, left.size, wanted.dtype)
    left, right = left.astype(chain, copy=False), right.astype(chain, copy=False)
    if chain.char in "fdFD":
        return rounded(_core.dot(wanted.choice.isa, left, right), output)[()]
    return rounded(np.dot(left, right), output)[()]


def dense_fixed(left: Any, right: Any, structures: tuple[Any, Any]) -> Side:
    """Return which of two dense operands to bind: the one with more zeros, never a vector."""
    if right.ndim == 1:
        return "left"
    if left.ndim == 1:
        return "right"
    return "left" if (structures[0].zero_share or 0.0) > (structures[1].zero_share or 0.0) else "right"


register_product(_left_product, _right_product)
register_ragged_product(_ragged_operator)
