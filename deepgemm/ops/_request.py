"""Turns what a caller passed to a product into checked operands, specifications and options."""

from __future__ import annotations

import math
import operator
import sys
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import scipy.sparse

from .. import _core
from ..config import KernelChoice, Settings, parse_kernel, refuse_other_kernels, settings
from ..dtypes import accumulator, beside_quantized, canonical, default_output, is_float
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..kernels import registry
from ..planner import machine as machines
from ..planner.account import total_spent
from ..planner.decision import Decision, decide, log
from ..planner.problem import ANY_KERNEL, OperandSpec, Problem, Side, dtype_name
from ..planner.report import Report
from ..planner.structure import Structure
from ..sparse.base import SparseArray
from ..sparse.core import Factor
from ..sparse.interop import from_scipy
from ..sparse.layouts import _default_limit
from ..sparse.quantized import Quantized
from ..sparse.quantized_sparse import QuantizedSparse
from ._specs import LEAST_BLOCK_SAMPLE, NOT_LOOKED_AT, block_sample_of, spec_of, unseen

# The operations that take quantised operands, dense and sparse ones.
TAKE_QUANTIZED = ("matmul", "plan", "error_bound", "quantization_error", "grouped_matmul")
TAKE_QUANTIZED_SPARSE = TAKE_QUANTIZED[:-1]


class Options(NamedTuple):
    """How a product is to be done; hashable, because cached plans are found by it.

    Attributes
    ----------
    dtype : numpy.dtype or None
        Output dtype, if the caller named one.
    threads : int or None
        Upper bound that the caller set.
    choice : KernelChoice
        What is forced by `kernel=` or the environment.
    reproducible : bool
        Whether the stated order is demanded.
    """

    dtype: np.dtype[Any] | None
    threads: int | None
    choice: KernelChoice
    reproducible: bool


def options(
    op: str,
    dtype: npt.DTypeLike | None,
    threads: int | None,
    kernel: str | None,
    reproducible: bool,
    env: Settings,
) -> Options:
    """Check the options of a product."""
    if dtype is None and threads is None and kernel is None and reproducible is True and env.kernel is None:
        return DEFAULT
    if threads is not None:
        threads = positive(op, "threads", threads)
    choice = env.kernel or ANY_KERNEL
    if kernel is not None:
        choice = replace(parse_kernel(kernel, f"{op}: kernel"), argument="kernel")
    if choice.algorithm is not None and choice.algorithm not in registry.names():
        known = ", ".join(registry.names())
        raise ValueError(
            f"{op}: {choice.argument} is {choice.algorithm!r}, which is no kernel; there are: {known}"
        )
    return Options(
        None if dtype is None else canonical(dtype, f"{op}: dtype"), threads, choice, bool(reproducible)
    )


def default_options(env: Settings) -> Options:
    """Return the options of an operator, which takes none."""
    return options("matmul", None, None, None, True, env)


DEFAULT = Options(None, None, ANY_KERNEL, True)
"""What a caller asks for who asks for nothing."""


def positive(op: str, name: str, value: object, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    try:
        number = operator.index(cast(Any, value))
    except TypeError:
        raise ValueError(f"{op}: {name} is {value!r}, expected a whole number of at least {least}") from None
    if number < least:
        raise ValueError(f"{op}: {name} is {number}, expected at least {least}")
    return number


def operand(op: str, name: str, value: Any, stacks: bool = False) -> Any:
    """Return one of our own arrays, or a plain array in native byte order.

    Plain arrays have one or two dimensions, or with `stacks` any more.
    """
    if isinstance(value, SparseArray):
        return value
    if isinstance(value, Quantized | QuantizedSparse):
        takers = TAKE_QUANTIZED if isinstance(value, Quantized) else TAKE_QUANTIZED_SPARSE
        if op not in takers:
            raise UnsupportedError(
                f"{op}: {name} is quantised, which only {', '.join(takers)} take; dequantize() it first"
            )
        return value
    if scipy.sparse.issparse(value):
        return from_scipy(f"{op}: {name}", value)
    if type(value) is not np.ndarray:
        if isinstance(value, np.ma.MaskedArray):
            raise DTypeError(f"{op}: {name} is a masked array; fill it first, for example with .filled(0)")
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ShapeError(f"{op}: {name} is no array: {error}") from None
    if value.dtype.char not in "fd":  # the two that need no look at the list
        dtype = canonical(value.dtype, f"{op}: {name}")
        if dtype != value.dtype or not value.dtype.isnative:
            value = value.astype(dtype)
    elif not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    if value.ndim == 0 or (value.ndim > 2 and not stacks):
        if value.ndim == 0:
            raise ShapeError(f"{op}: {name} is a scalar, expected a vector or a matrix; use * to scale")
        raise ShapeError(f"{op}: {name} has {value.ndim} dimensions, expected 1 or 2")
    return value


def matrix(op: str, name: str, value: Any) -> Any:
    """Return a sparse array or a plain array of two dimensions."""
    array = operand(op, name, value)
    if array.ndim != 2:
        raise ShapeError(f"{op}: {name} has {array.ndim} dimension, expected 2")
    return array


def sparse_operand(op: str, name: str, value: Any) -> SparseArray:
    """Return one of our sparse arrays, shared with SciPy's where it was one."""
    array = operand(op, name, value)
    if not isinstance(array, SparseArray):
        raise UnsupportedError(f"{op}: {name} is dense, expected a sparse array; CSR({name}) makes one")
    return array


def check_shapes(op: str, left: Any, right: Any) -> None:
    """Raise unless the inner extents agree."""
    inner, rows = left.shape[-1], right.shape[0]
    if inner != rows:
        name = "B" if isinstance(right, Factor) else "X"
        have = "columns" if left.ndim == 2 else "elements"
        against = "rows" if right.ndim == 2 else "elements"
        raise ShapeError(f"{op}: A has {inner} {have} but {name} has {rows} {against}")
    if left.ndim == right.ndim == 1 and op == "plan":
        raise UnsupportedError(
            f"{op}: both operands are vectors; use matmul(x, y), or x[None, :] for a matrix of one row"
        )


def refuse_pairs(op: str, left: Any, right: Any) -> None:
    """Raise if a sparse quantised operand stands beside one that is sparse or quantised itself."""
    ours = isinstance(left, Factor) and isinstance(right, Factor)
    if ours and (isinstance(left, QuantizedSparse) or isinstance(right, QuantizedSparse)):
        raise UnsupportedError(
            f"{op}: A is a {type(left).__name__} and B a {type(right).__name__}, which have no product; a "
            "QuantizedSparse is multiplied by dense arrays: use dequantize() of it, or toarray() or "
            "dequantize() of the other one"
        )


def output_dtype(
    op: str, left: np.dtype[Any], right: np.dtype[Any], inner: int, wanted: np.dtype[Any] | None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the accumulator and the output dtype."""
    chain, default = _dtypes(left, right)
    if default is None:
        default = default_output(left, right, inner)
    if wanted is None or wanted == default:
        return chain, default
    if _rank(wanted) < _rank(chain):
        raise DTypeError(f"{op}: dtype is {wanted}, but the product is {chain}, which it cannot hold")
    return chain, wanted


def can_hold(wide: np.dtype[Any], narrow: np.dtype[Any]) -> bool:
    """Whether values of `narrow` are numbers that `wide` has, up to rounding."""
    return _rank(wide) >= _rank(narrow)


def thread_count(wanted: Options) -> int:
    """Return how many threads a product without a plan may use."""
    limit = _core.limit()
    return limit if wanted.threads is None else min(limit, wanted.threads)


def one_kernel_options(
    op: str, dtype: npt.DTypeLike | None, threads: int | None, kernel: str | None
) -> Options:
    """Return the options of an operation that has one kernel for each ISA, so that nothing is planned.

    With DEEPGEMM_VERBOSE that kernel is logged, as plans are.

    Raises
    ------
    UnsupportedError
        If a kernel of another operation, or another arithmetic, is forced.
    """
    env = current_settings()
    wanted = options(op, dtype, threads, kernel, True, env)
    if wanted is DEFAULT and not env.verbose:
        return wanted
    refuse_other_kernels(op, wanted.choice)
    if env.verbose:
        log(
            Report(
                f"no plan for {op}",
                (("chosen", f"its one kernel at {wanted.choice.isa or _core.best_isa()}"),),
            )
        )
    return wanted


def _rank(dtype: np.dtype[Any]) -> int:
    """Return which numbers a dtype holds: truth values, whole, real or complex ones."""
    if is_float(dtype):
        return 2
    return {"b": 0, "i": 1, "u": 1, "c": 3}[dtype.kind]


@lru_cache(maxsize=256)
def _dtypes(left: np.dtype[Any], right: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any] | None]:
    """Return the accumulator, and the default output unless the inner length decides."""
    short, long = default_output(left, right, 0), default_output(left, right, 2**62)
    return accumulator(left, right), short if short == long else None


def arithmetic_dtype(array: Any) -> np.dtype[Any]:
    """Return the dtype that an operand has in a product: quantised values stand for float32 numbers."""
    return _FLOAT32 if isinstance(array, Quantized | QuantizedSparse) else array.dtype


_FLOAT32 = np.dtype(np.float32)


def named_output(left: Any, right: Any, wanted: np.dtype[Any] | None) -> np.dtype[Any] | None:
    """Return the output dtype that the caller named, or that the operand beside a quantised one decides."""
    quantised = [isinstance(array, Quantized | QuantizedSparse) for array in (left, right)]
    if wanted is not None or quantised[0] == quantised[1]:
        return wanted
    return beside_quantized(right.dtype if quantised[0] else left.dtype)


def problem_of(
    op: str,
    left: Any,
    right: Any,
    fixed: Side,
    wanted: Options,
    env: Settings,
    *,
    reuse: int | None = None,
    measured: tuple[tuple[str, float], ...] = (),
    structures: tuple[Structure, Structure] = (NOT_LOOKED_AT, NOT_LOOKED_AT),
    stack: tuple[int, ...] = (),
    kept_stack: tuple[int, ...] = (),
    epilogue: str = "",
) -> Problem:
    """Return the problem that the planner is asked to solve."""
    named = named_output(left, right, wanted.dtype)
    chain, output = output_dtype(op, arithmetic_dtype(left), arithmetic_dtype(right), right.shape[0], named)
    elements = math.prod(left.shape[:-1]) * math.prod(right.shape[1:]) * max(math.prod(stack[:-2]), 1)
    if elements * output.itemsize > sys.maxsize:
        raise MemoryError(f"{op}: a result of {elements:,} elements of {output} exceeds every memory")
    owner = left if fixed == "left" else right
    accounts = owner._accounts if isinstance(owner, Factor) else None
    spent = total_spent(accounts.values()) if accounts else ()
    limit = _core.limit()
    left_sparse, right_sparse = (isinstance(x, SparseArray | QuantizedSparse) for x in (left, right))
    looks = 0
    if left_sparse != right_sparse:
        other = right if left_sparse else left
        looks = block_sample_of(
            owner, other.size // max(owner.shape[left_sparse], 1), wanted.choice, reuse, env
        )
    return Problem(
        spec_of(left, looks, structures[0]),
        spec_of(right, looks, structures[1]),
        dtype_name(chain),
        dtype_name(output),
        fixed,
        reuse,
        limit if wanted.threads is None else min(limit, wanted.threads),
        wanted.reproducible,
        wanted.choice,
        spent,
        measured,
        _layout_limit(env),
        stack=stack,
        epilogue=epilogue,
        kept_stack=kept_stack,
    )


def decided_once(
    op: str,
    specs: tuple[OperandSpec, OperandSpec],
    dtypes: tuple[np.dtype[Any], np.dtype[Any]],
    wanted: Options,
    env: Settings,
    mask: OperandSpec | None = None,
) -> Decision:
    """Return the decision for an operation that keeps no account: for one call, conversions included.

    `dtypes` are those of the chain and of the result. With DEEPGEMM_VERBOSE it is logged.
    """
    problem = Problem(
        *specs,
        dtype_name(dtypes[0]),
        dtype_name(dtypes[1]),
        "right",
        reuse=1,
        threads=thread_count(wanted),
        reproducible=wanted.reproducible,
        choice=wanted.choice,
        layout_limit=_layout_limit(env),
        op=op,
        mask=mask,
    )
    decision = decide(problem, machines.current(env.cache_dir))
    if env.verbose:
        log(decision.explain())
    return decision


def problem_again(
    problem: Problem, owner: Factor, measured: tuple[tuple[str, float], ...], env: Settings
) -> Problem | None:
    """Return the problem at the present state of its owner's account; None if more than that has changed."""
    cache, known = owner._layouts, problem.fixed_spec
    if known.layouts != tuple(sorted(cache.names())) or _layout_limit(env) != problem.layout_limit:
        return None
    if unseen(owner):
        columns, choice = problem.normal.n, problem.choice  # one operand is sparse, so there is a normal form
        if block_sample_of(owner, columns, choice, None, env) >= LEAST_BLOCK_SAMPLE:
            return None
    return problem.at(total_spent(owner._accounts.values()), measured)


def _layout_limit(env: Settings) -> int:
    return _LAYOUT_LIMIT if env.layout_bytes is None else env.layout_bytes


_LAYOUT_LIMIT = _default_limit()


def current_settings() -> Settings:
    """Return the settings; here so that every operation reads them in one way."""
    return settings()
