"""What the planner is told of each operand, and how closely each may be looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..config import KernelChoice, Settings
from ..planner import machine as machines
from ..planner.problem import OperandSpec, Scaling, Side, dtype_name
from ..planner.structure import DENSE_SAMPLE, LEAST_FILL, Structure, block_fill, measure, measure_dense
from ..sparse.base import SparseArray
from ..sparse.quantized import Quantized
from ..sparse.quantized_sparse import QuantizedSparse

# Seconds to look at one element somewhere in a dense operand, and the share of the product's time that
# looking for zeros may take (DESIGN section 6).
SAMPLE_SECONDS = 10e-9
SAMPLE_SHARE = 0.01
LEAST_SAMPLE = 256
# Seconds to look at one entry for all shapes of blocks, seconds that one entry costs in any product with a
# vector, and how many entries are worth a look, and looked at at most.
BLOCK_SECONDS = 30e-9
ENTRY_SECONDS = 0.1e-9
LEAST_BLOCK_SAMPLE = 512
MOST_BLOCK_SAMPLE = 4096
# Without a hint, blocks are looked for when a plan is thought over. Thinking for that alone takes about
# `THINKING_SECONDS`, which is worth it after so many seconds of products.
THINKING_SECONDS = 1e-4
LOOK_SECONDS = (LEAST_BLOCK_SAMPLE * BLOCK_SECONDS + THINKING_SECONDS) / SAMPLE_SHARE


def sparse_spec(array: SparseArray, block_sample: int = 0) -> OperandSpec:
    """Return what the planner needs to know of a sparse operand; its blocks are sampled if that pays."""
    cache = array._layouts
    arrays = array._arrays
    return OperandSpec(
        array.format,
        array.shape,
        dtype_name(array.dtype),
        _structure(array, block_sample),
        arrays[1].itemsize,
        layouts=tuple(sorted(cache.names())),
        donors=tuple(sorted(cache._donated)) if cache._donated else (),
        blocksize=cast(Any, array).blocksize if array.format == "bsr" else None,
    )


def _structure(array: Any, block_sample: int) -> Structure:
    structure = measure(array)
    if block_sample >= LEAST_BLOCK_SAMPLE and unseen(array):
        array._block_fill = block_fill(array, block_sample, LEAST_FILL)
    return replace(structure, block_fill=array._block_fill) if array._block_fill else structure


def unseen(array: Any) -> bool:
    """Whether nobody has looked yet how far the entries of an operand fill blocks."""
    sparse = isinstance(array, SparseArray | QuantizedSparse)
    return sparse and array.format == "csr" and array._block_fill is None


def block_sample_of(array: Any, columns: int, choice: KernelChoice, reuse: int | None, env: Settings) -> int:
    """Return how many entries to look at for blocks: for a hundredth of the time that products take.

    Without a hint that is the time that they have taken: as much again may follow.
    """
    if (choice.algorithm or "").startswith("bsr_"):
        return MOST_BLOCK_SAMPLE
    if reuse is None:
        seconds = sum(account.seconds for account in array._accounts.values())
    else:
        machine = machines.current(env.cache_dir)
        each = 2 * columns / machine.flop_rate(machine.isas[0], "float32")
        seconds = reuse * array.nnz * max(ENTRY_SECONDS, each) / machine.cores
    return int(min(seconds * SAMPLE_SHARE / BLOCK_SECONDS, MOST_BLOCK_SAMPLE))


def quantized_spec(array: Quantized) -> OperandSpec:
    """Return what the planner needs to know of a quantised operand."""
    return OperandSpec(
        "quantized",
        array.shape,
        dtype_name(array.dtype),
        Structure(array.size, 1.0),
        order="C" if array.stored.flags.c_contiguous else "F",
        layouts=tuple(sorted(array._layouts.names())),
        scaling=Scaling(
            array.block,
            dtype_name(array.scales.dtype),
            array.zero_points is not None,
            array.offsets is not None,
        ),
    )


def quantized_sparse_spec(array: QuantizedSparse, block_sample: int = 0) -> OperandSpec:
    """Return what the planner needs to know of a sparse quantised operand."""
    return OperandSpec(
        array.format,
        array.shape,
        dtype_name(array.dtype),
        _structure(array, block_sample),
        array.indices.itemsize,
        layouts=tuple(sorted(array._layouts.names())),
        blocksize=array.blocksize if array.format == "bsr" else None,
        scaling=Scaling(array.block, dtype_name(array.scales.dtype), array.zero_point != 0, False),
    )


NOT_LOOKED_AT = Structure(0, 1.0)


def dense_spec(array: np.ndarray[Any, Any], structure: Structure = NOT_LOOKED_AT) -> OperandSpec:
    """Return what the planner needs to know of a dense operand."""
    flags = array.flags
    order = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "strided"
    return OperandSpec("dense", array.shape, dtype_name(array.dtype), structure, order=order)


def zero_structure(
    array: Any, other: Any, side: Side, machine: machines.Machine, choice: KernelChoice
) -> Structure:
    """Return the structure of a dense operand, having looked for zeros within 1 % of the product's time.

    Not looked at is an operand of a product so short that a hundredth of it shows nothing, unless the
    kernel that skips zeros is forced.
    """
    if array.ndim != 2 or array.dtype.char not in "fdFD":
        return NOT_LOOKED_AT
    inner = other.shape[0] if side == "left" else other.shape[-1]
    work = 2.0 * array.size * (other.size // max(inner, 1))
    rate = machine.flop_rate(machine.isas[0], "float32") * machine.cores
    samples = int(min(DENSE_SAMPLE, work / rate * SAMPLE_SHARE / SAMPLE_SECONDS))
    if choice.algorithm == "dense_as_csr":
        samples = DENSE_SAMPLE
    return measure_dense(array, samples) if samples >= LEAST_SAMPLE else NOT_LOOKED_AT


def spec_of(array: Any, block_sample: int, structure: Structure) -> OperandSpec:
    if isinstance(array, SparseArray):
        return sparse_spec(array, block_sample)
    if isinstance(array, QuantizedSparse):
        return quantized_sparse_spec(array, block_sample)
    if isinstance(array, Quantized):
        return quantized_spec(array)
    return dense_spec(array, structure)
