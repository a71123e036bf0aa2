"""Measures the rates of this computer and how far off the kernels' predictions are, in seconds of time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..config import settings
from ..sparse.csr import CSR
from .account import FOR_GOOD
from .candidates import Choice, rank
from .decision import Decision
from .machine import Machine, shipped
from .plan import build
from .problem import OperandSpec, Problem
from .structure import Structure, measure

__all__ = ["calibrate"]

# Time spent on each figure: enough calls for a fastest one that was not disturbed.
SECONDS_EACH = 0.06
# Order of the square product that measures the FMA peak: panels in L2, 0.5 ms in float32.
GEMM_ORDER = 320
# What a packed product of that order reaches of the peak; the peak itself is what cost functions want.
GEMM_SHARE = 0.85
# Operands that correct the kernels: rows, columns, entries in each row, columns of X.
SAMPLES = (
    (4000, 4000, 12, 1),
    (4000, 4000, 12, 32),
    (1500, 1500, 90, 1),
    (1500, 1500, 90, 64),
    (40000, 40000, 8, 1),
)
# A correction outside of this range says that the sample was disturbed rather than the model wrong.
LEAST_SCALE, MOST_SCALE = 0.2, 5.0


def calibrate(progress: Callable[[str], None] | None = None) -> Machine:
    """Measure the rates of this computer with the native kernels; takes seconds.

    Parameters
    ----------
    progress : callable or None
        Called with a line of text before each step.

    Returns
    -------
    Machine
        Not yet saved: `machine.save(calibrate())` makes it count for later plans.
    """
    report = progress or (lambda line: None)
    default = shipped()
    flops = []
    for isa in default.isas:
        report(f"multiply-adds, {isa}")
        flops.append((isa, tuple((dtype, _flop_rate(isa, dtype)) for dtype in ("float32", "float64"))))
    report("bandwidth of each memory level")
    bandwidth, together = _bandwidth(default)
    report("the cost of an empty call and of waking threads")
    call, team = _overheads(default)
    machine = replace(
        default,
        source="measured",
        flops=tuple(flops),
        bandwidth=bandwidth,
        memory_bandwidth=together,
        call=call,
        team=team,
        scales=(),
    )
    return replace(machine, scales=tuple(_scales(machine, report)))


def fastest(run: Callable[[], object], budget: float = SECONDS_EACH) -> float:
    """Return the shortest of as many timed runs as fit into the budget, at least three."""
    run()
    times: list[float] = []
    end = time.perf_counter() + budget
    while len(times) < 3 or (time.perf_counter() < end and len(times) < 10_000):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    before = _core.set_thread_limit(threads)
    try:
        yield
    finally:
        _core.set_thread_limit(before)


def _flop_rate(isa: str, dtype: str) -> float:
    # The scalar target runs at a hundredth of the others: a smaller product takes as long.
    order = GEMM_ORDER if isa != "scalar" else GEMM_ORDER // 5
    a = np.full((order, order), 1.25, dtype)
    runner = _runner(_core.packed_product(_core.pack_right(isa, a, a.dtype), False, a.dtype, a.dtype), a, a)
    out = np.empty_like(a)
    with _limited(1):
        seconds = fastest(lambda: runner(a, out=out))
    return 2.0 * order**3 / seconds / GEMM_SHARE


def _runner(product: _core.Product, other: Any, out: Any) -> _core.Runner:
    runner = _core.Runner()
    runner._bind(
        product=product,
        other_side="left",
        other_shape=other.shape,
        other_dtype=other.dtype,
        out_shape=out.shape,
        out_dtype=out.dtype,
        names=("calibrate", "B", "A"),
    )
    return runner


def _bandwidth(machine: Machine) -> tuple[tuple[float, float, float, float], float]:
    """Return what one core reads from each level, and all cores from memory, with the dot product.

    It reads two streams at a load per FMA; looking for infinities, and NumPy's reductions, were seen to
    reach a half to a tenth of that.
    """
    l1, l2, l3 = machine.caches
    sizes = (l1 // 2, l2 // 2, max(l3 // 4, 2 * l2), max(3 * l3, 64 << 20))
    rates = [_read_rate(np.ones(size // 8), 1) for size in sizes]
    together = max(rates[-1], _read_rate(np.ones(sizes[-1] // 8), machine.cores))
    # Reading inner levels is bound by the call and by the loop; they are not slower than the outer ones.
    for level in (2, 1, 0):
        rates[level] = max(rates[level], rates[level + 1])
    return (rates[0], rates[1], rates[2], rates[3]), together


def _read_rate(values: npt.NDArray[np.float64], threads: int) -> float:
    half = values.size // 2
    pairs = list(
        zip(np.array_split(values[:half], threads), np.array_split(values[half:], threads), strict=True)
    )
    pairs = [(a[: b.size], b[: a.size]) for a, b in pairs]
    if threads == 1:
        return float(values.nbytes / fastest(lambda: _core.dot(None, *pairs[0])))
    # One dot product is serial and releases the lock of the interpreter, so Python's threads will do.
    with ThreadPoolExecutor(threads) as pool:
        return float(
            values.nbytes / fastest(lambda: list(pool.map(lambda pair: _core.dot(None, *pair), pairs)))
        )


def _overheads(machine: Machine) -> tuple[float, float]:
    """Return the seconds of a product with nothing to do, and those that waking the other threads adds."""
    one = np.ones((1, 1))
    empty = _runner(_core.gemm_product(None, one, "right", False, one.dtype, one.dtype), one, one)
    out = np.empty_like(one)
    call = fastest(lambda: empty(one, out=out))
    if machine.cores < 2:
        return call, machine.team
    # The same work on one thread and on all: what it misses of an even split is the cost of the team.
    a = np.ones((96, 96))
    runner = _runner(_core.gemm_product(None, a, "right", False, a.dtype, a.dtype), a, a)
    target = np.empty_like(a)
    shared = fastest(lambda: runner(a, out=target))
    with _limited(1):
        serial = fastest(lambda: runner(a, out=target))
    return call, min(max(shared - serial / machine.cores, 1e-6), 50e-6)


def _scales(machine: Machine, report: Callable[[str], None]) -> Iterator[tuple[str, float]]:
    """Yield for each native kernel the median of measured over predicted time on a few operands."""
    ratios: dict[str, list[float]] = {}
    generator = np.random.default_rng(20)
    for rows, columns, length, width in SAMPLES:
        report(f"kernels on {rows} × {columns}, {length} entries a row, {width} columns")
        array = _random(generator, rows, columns, length)
        other = np.ones((columns, width), np.float32) if width > 1 else np.ones(columns, np.float32)
        for kernel, ratio in _ratios(machine, array, other):
            ratios.setdefault(kernel, []).append(ratio)
    for kernel, found in ratios.items():
        yield kernel, round(min(max(statistics.median(found), LEAST_SCALE), MOST_SCALE), 3)


def _ratios(machine: Machine, array: CSR, other: Any) -> Iterator[tuple[str, float]]:
    problem = _problem(array, other, machine.cores)
    out = np.empty(problem.output_shape, np.float32)
    for candidate in rank(problem, machine):
        if candidate.refused is not None or not candidate.isa or candidate.predicted > SECONDS_EACH:
            continue
        if candidate.layout_bytes > 64 << 20:
            continue  # a dense copy that no planner would buy
        decision = Decision(problem, machine, (candidate,), Choice(candidate, "calibration"))
        plan = build(decision, array, other, FOR_GOOD, None, settings())
        yield candidate.kernel, fastest(partial(plan, other, out=out)) / candidate.predicted


def _problem(array: CSR, other: Any, threads: int) -> Problem:
    left = OperandSpec("csr", array.shape, array.dtype.name, measure(array), array.indices.itemsize)
    right = OperandSpec("dense", other.shape, other.dtype.name, Structure(0, 1.0))
    return Problem(left, right, "float32", "float32", "left", threads=threads)


def _random(generator: np.random.Generator, rows: int, columns: int, length: int) -> CSR:
    indices = np.sort(generator.integers(0, columns, (rows, length)), axis=1).astype(np.int32).ravel()
    indptr = np.arange(0, rows * length + 1, length, dtype=np.int32)
    return CSR(
        (generator.random(rows * length, np.float32), indices, indptr), shape=(rows, columns)
    ).canonical()
