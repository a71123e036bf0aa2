"""Products of dense arrays that need no plan: stacks, and those with an epilogue."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..config import Settings
from ..errors import DTypeError, FormatError, ShapeError, UnsupportedError
from ..planner.decision import log
from ..planner.ending import Placed
from ..planner.report import Report
from ..rounding import rounded
from . import _request as request
from ._epilogue import Epilogue

__all__ = ["check_out", "check_stacks", "multiply"]

Array = npt.NDArray[Any]

# Steps that NumPy may take to tell whether two arrays overlap.
MOST_WORK = 10000


def multiply(
    op: str,
    left: Array,
    right: Array,
    out: Array | None,
    wanted: request.Options,
    env: Settings,
    epilogue: Epilogue | None = None,
) -> Array:
    """Return the product of two arrays, of which not both are vectors, by the rules of `numpy.matmul`.

    One call of the core for all members; operands are read where they stand.

    Raises
    ------
    ShapeError
        If the inner extents differ, leading axes do not broadcast, or a term or `out` does not fit.
    DTypeError, FormatError
        If `out` cannot take the result.
    UnsupportedError
        If a kernel is forced that does not serve such products, or the dtype has no epilogue.
    """
    shape = check_stacks(op, left, right)
    chain, output = request.output_dtype(op, left.dtype, right.dtype, left.shape[-1], wanted.dtype)
    placed = None if epilogue is None else epilogue.placed(shape, chain)
    serving = "numpy_blas"
    if chain.char in "fdFD":
        serving = "gemm_packed"
    elif _core.serves_dense(left.dtype, right.dtype, output):
        serving = "gemm_integers"
    _check_forced(op, wanted, serving)
    if out is not None:
        check_out(op, out, shape, output, left, right, *(placed.arrays if placed else ()))
    if env.verbose:
        at = "" if serving == "numpy_blas" else f" at {wanted.choice.isa or _core.best_isa()}"
        log(Report(f"no plan for {op}", (("chosen", serving + at),)))
    if serving == "numpy_blas":
        # No order of summation can change the result of other integers, or of bool.
        wide = np.matmul(left.astype(chain, copy=False), right.astype(chain, copy=False))
        return _delivered(wide, output, out)
    threads = request.thread_count(wanted)
    return _native(left, right, out, shape, chain, output, wanted.choice.isa, threads, placed)


def check_stacks(op: str, left: Array, right: Array) -> tuple[int, ...]:
    """Return the shape of the product of two arrays, of which not both are vectors."""
    inner, rows = left.shape[-1], right.shape[0] if right.ndim == 1 else right.shape[-2]
    if inner != rows:
        have = "columns" if left.ndim > 1 else "elements"
        against = "rows" if right.ndim > 1 else "elements"
        raise ShapeError(f"{op}: A has {inner} {have} but X has {rows} {against}")
    try:
        batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"{op}: the leading axes of A, {left.shape[:-2]}, and of X, {right.shape[:-2]}, do not broadcast"
        ) from None
    return (*batch, *left.shape[-2:-1], *(right.shape[-1:] if right.ndim > 1 else ()))


def _native(
    left: Array,
    right: Array,
    out: Array | None,
    shape: tuple[int, ...],
    chain: np.dtype[Any],
    output: np.dtype[Any],
    isa: str | None,
    threads: int,
    placed: Placed | None,
) -> Array:
    direct = _core.serves_dense(left.dtype, right.dtype, output)
    if not direct:  # what packing does not widen
        left, right = left.astype(chain, copy=False), right.astype(chain, copy=False)
    left, right = _addressable(left), _addressable(right)
    dtype = output if direct else chain
    usable = out is not None and direct and _stepped(out)
    result = out if usable and out is not None else np.empty(shape, dtype)
    terms = None if placed is None else tuple(placed)
    _core.multiply_dense(isa, left, right, result, threads, terms)
    return result if usable else _delivered(result, output, out)


def _delivered(result: Array, output: np.dtype[Any], out: Array | None) -> Array:
    if out is None:
        return rounded(result, output)
    np.copyto(out, rounded(result, output))
    return out


def _stepped(array: Array) -> bool:
    """Whether kernels can address the array: aligned, and stepped in whole elements."""
    return array.flags.aligned and not any(stride % array.itemsize for stride in array.strides)


def _addressable(array: Array) -> Array:
    return array if _stepped(array) else array.copy()


def _check_forced(op: str, wanted: request.Options, serving: str) -> None:
    choice = wanted.choice
    if choice.arithmetic is not None or choice.algorithm not in (None, serving):
        raise UnsupportedError(
            f"{op}: {choice.argument} cannot be obeyed, {serving} does stacks of dense operands and products "
            f"with an epilogue of these dtypes; a plan (fixed=) may take other kernels"
        )


def check_out(op: str, out: Any, shape: tuple[int, ...], output: np.dtype[Any], *operands: Array) -> None:
    """Check where a result is to be written, as plans do in C++."""
    if not isinstance(out, np.ndarray):
        raise DTypeError(f"{op}: out must be a numpy.ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ShapeError(f"{op}: out has shape {out.shape}, expected {shape}")
    if out.dtype != output or not out.dtype.isnative:
        raise DTypeError(f"{op}: out has dtype {out.dtype}, expected {output}")
    if not out.flags.writeable:
        raise FormatError(f"{op}: out is read-only")
    if out.size and any(s == 0 and extent > 1 for s, extent in zip(out.strides, out.shape, strict=True)):
        raise FormatError(f"{op}: out has elements that share memory (stride 0)")
    if any(_overlap(out, operand) for operand in operands):
        raise FormatError(f"{op}: out shares memory with an operand; pass a separate array")


def _overlap(out: Array, operand: Array) -> bool:
    """Whether two arrays have an element in common; what cannot be told within bounds counts as yes."""
    try:
        return np.shares_memory(out, operand, max_work=MOST_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
