"""Terms that the cost functions of native kernels share; their own constants stay with each kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...planner.machine import Machine
    from ...planner.problem import NormalForm, Problem

DTYPES = ("float32", "float64", "complex64", "complex128")

LINE = 64  # bytes fetched for one element somewhere in memory
# Share of a fetched line's time that a gather of single elements waits for: dozens of them are under way at
# once. Fitted with the constants of csr_vector and sell_vector to 59 matrices, each of float32 and float64.
GATHER_WAIT = 0.2
# What csrc/core/panels.h allows copies of X and Y, and the bytes of a row of a copy.
COPIED_BYTES = 24 << 20
COPIED_SHARE = 12
COPIED_ROW_BYTES = 256
CHAIN_SECONDS = 1e-9  # latency of one FMA: the longest row cannot be faster than its chain


def refuse_dtype(problem: Problem) -> str | None:
    """Return why native arithmetic does not serve the problem's accumulator, if it does not."""
    if problem.accumulator not in DTYPES:
        return f"native arithmetic is {', '.join(DTYPES)}; this product accumulates in {problem.accumulator}"
    return None


def refuse_arithmetic(problem: Problem) -> str | None:
    """Return why a kernel without special arithmetic cannot obey a forced one."""
    if problem.choice.arithmetic is not None:
        return f"has no {problem.choice.arithmetic} arithmetic"
    return None


def vectors(columns: int, problem: Problem, isa_bytes: int) -> int:
    """Return how many registers hold one row of `columns` results, the last one counted in full."""
    return max(1, -(-columns * problem.itemsize // isa_bytes))


def flops(problem: Problem) -> int:
    """Return the real flops of one multiply-add of the problem's dtype."""
    return 8 if problem.accumulator.startswith("complex") else 2


def call_seconds(problem: Problem, machine: Machine, casts: tuple[str, ...] | None = None) -> float:
    """Return what every call costs besides its kernel: the empty call, casts, copies of X and Y.

    Casts read and write each element once and run in NumPy on one thread. Copies are shared by all threads.
    """
    m, k, n = problem.extents
    total = machine.call
    other = (k * n if problem.fixed == "left" else m * k) * problem.itemsize
    casts = problem.casts if casts is None else casts
    if "other" in casts:
        total += machine.read(2 * other, 2 * other)
    elif problem.sparse_sides and not problem.stack:
        x_apart, y_apart = _apart(problem)
        if x_apart:
            total += machine.read(2 * other, 2 * other, problem.threads)
        if y_apart:  # tiles are turned where they lie in L2
            total += machine.read(2 * m * n * problem.itemsize, machine.caches[1], problem.threads)
    if "output" in casts:
        total += machine.read(2 * m * n * problem.itemsize, 2 * m * n * problem.itemsize)
    return total


def _apart(problem: Problem) -> tuple[bool, bool]:
    """Return whether columns of X and Y, as kernels see them, lie apart in memory."""
    form = problem.normal
    if form.n == 1:
        return False, False
    return problem.other_spec.order != ("C" if form.side == "left" else "F"), form.side == "right"


def panels(problem: Problem) -> int:
    """Return in how many panels of columns X is copied; 1 where it is read as it stands.

    Of a turned result, what is not yet written holds the next copy, so panels shrink towards the last column;
    see csrc/core/panels.cpp.
    """
    form, size = problem.normal, problem.itemsize
    x_apart, y_apart = _apart(problem)
    if problem.stack or not x_apart:
        return 1
    operands = (form.k + form.m) * form.n * size + form.nnz * size
    most = max(COPIED_BYTES, operands // COPIED_SHARE) // max(form.k * size, 1)
    count, left = 0, form.n
    while left > 0:
        lent = left * form.m // max(form.k + form.m, 1) if y_apart else 0
        left -= max(min(max(most, lent), COPIED_ROW_BYTES // size), 1)
        count += 1
    return max(count, 1)


def balance(form: NormalForm, threads: int) -> float:
    """Return by how much `threads` speed up rows of uneven length: a row is never cut."""
    if form.nnz == 0:
        return 1.0
    return min(float(threads), max(1.0, form.nnz / max(form.longest, 1)))


def best_threads(
    problem: Problem, machine: Machine, most: int, seconds: Callable[[int], float]
) -> tuple[float, int]:
    """Return the time of one call and its number of threads: all or one, whichever is faster."""
    most = min(problem.threads, max(1, most))
    serial = seconds(1)
    if most > 1 and serial > machine.team:
        shared = seconds(most) + machine.team
        if shared < serial:
            return shared, most
    return serial, 1


def spmv_seconds(
    problem: Problem,
    machine: Machine,
    isa: str,
    busy: float,
    streamed: float,
    near: float,
    threads: int,
    cut: bool = False,
) -> float:
    """Return the seconds of a product with a vector, without the call.

    Parameters
    ----------
    busy : float
        Seconds of one thread with everything in L1.
    streamed : float
        Bytes of S and Y.
    near : float
        Share of entries whose element of X lies in the line that was fetched last.
    threads : int
        How many take part; unless rows are cut, uneven ones keep fewer of them busy.
    cut : bool, optional
        Whether long rows are cut, so that no chain is the limit.

    Notes
    -----
    The larger of two: gathering from where X lives beside the arithmetic, and S streaming by.
    """
    form = problem.normal
    busy = max(busy, form.nnz * flops(problem) / machine.flop_rate(isa, problem.accumulator))
    x_bytes = form.k * problem.itemsize
    if x_bytes > machine.caches[0]:
        busy += machine.read(form.nnz * (1.0 - near) * LINE * GATHER_WAIT, x_bytes)
    share = float(threads) if cut else balance(form, threads)
    chain = 0.0 if cut else form.longest * CHAIN_SECONDS
    moved = machine.read(streamed, streamed + x_bytes, int(share))
    return max(busy / share, moved, chain)
