"""Typical errors of dense products by dtype, and their speed by dtype and shape, beside NumPy and torch.

    python tests/bench/dense.py errors
    python tests/bench/dense.py speed
    python tests/bench/dense.py packed

Errors are those of normally distributed operands against float64. Speed is the share of what this machine can
do (the smaller of the measured peak of multiply-adds and the measured bandwidth, see `deepgemm calibrate`),
and the ratio to the best peer in the same precision. Each contender runs in a process of its own, so that no
thread pool spins beside another. `packed` compares plans that keep the right operand packed with MKL's and
oneDNN's packed products, where these are installed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from contenders import figures_of
from packed_peers import mkl_packed_call, torch_packed_call

import deepgemm as dg
from deepgemm import reference
from deepgemm.planner import machine as machines

HALVES = "float16 in float16 arithmetic"  # in the order of `gemm_halves`, whatever the CPU
DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", HALVES)
INNER = (64, 1024, 16_384)
SHAPES = {
    "square": [(256, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048)],
    "tall, thin": [(20_000, 64, 64), (50_000, 32, 8), (4096, 4096, 16)],
    "short, wide": [(16, 512, 4096), (64, 256, 6000)],
    "long inner": [(64, 20_000, 64), (100, 6000, 100)],
    "one row": [(1, 1024, 1024), (1, 4096, 4096)],
    "few rows": [(4, 2048, 2048), (16, 4096, 4096)],
    "tiny": [(4, 4, 4), (16, 16, 16), (64, 64, 64)],
    "tiny, 1000 of them": [(4, 4, 4), (16, 16, 16), (64, 64, 64)],
}
TIMED = ("float32", "float64", "float16", "bfloat16", "int8")
# Multiply-adds of one instruction for 8-bit integers, in those of float32.
STEPS = {"int8": 4.0}
SECONDS = 0.15  # of repetitions for each figure
CONTENDERS = ("numpy", "torch", "deepgemm", "plan")
PACKED_PEERS = ("mkl_packed", "torch_packed")
PACKED = ("plan", "any_plan", *PACKED_PEERS)
PACKED_DTYPES = ("float32", "float64", "bfloat16")


def errors() -> None:
    """Print a table in Markdown: root mean square and largest error, and its share of `error_bound`."""
    print("| dtype | result | inner length | typical error | largest error | of the bound |")
    print("|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for name in DTYPES:
        in_halves = name == HALVES
        dtype = dg.dtypes.canonical("float16" if in_halves else name)
        for k in INNER:
            values = rng.standard_normal((2, 64 if in_halves else 256, k))
            A, B = (values * 30).astype(dtype) if dtype.kind == "i" else values.astype(dtype)
            got = reference.matmul_halves(A, B.T) if in_halves else dg.matmul(A, B.T)
            wide = np.longdouble if name == "float64" else np.float64
            exact = A.astype(wide) @ B.T.astype(wide)
            error = np.abs(got.astype(wide) - exact)
            scale = float(np.sqrt(np.mean(exact**2)))
            bound = halves_bound(A, B.T) if in_halves else dg.error_bound(A, B.T)
            share = float(np.max(error / bound)) if bound.max() > 0 else 0.0
            typical, largest = float(np.sqrt(np.mean(error**2))) / scale, float(error.max()) / scale
            print(f"| {name} | {got.dtype} | {k:,} | {typical:.1e} | {largest:.1e} | {share:.1%} |")


def halves_bound(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return what `reference.matmul_halves` states, and the last rounding."""
    a, b, k = np.abs(A.astype(np.float64)), np.abs(B.astype(np.float64)), A.shape[1]
    summed = (68 * 2.0**-11 + k * 2.0**-30) * (a @ b) + k * 2.0**-24
    return summed + 2.0**-11 * (np.abs(A.astype(np.float64) @ B.astype(np.float64)) + summed)


def operands(dtype: str, shape: tuple[int, int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    m, k, n = shape
    rng = np.random.default_rng(0)
    stack = (count,) if count > 1 else ()
    A, B = rng.standard_normal((*stack, m, k)), rng.standard_normal((*stack, k, n))
    return tuple((x * (30 if dtype == "int8" else 1)).astype(dg.dtypes.canonical(dtype)) for x in (A, B))


def numpy_call(A: np.ndarray, B: np.ndarray) -> Callable[[], object] | None:
    if A.dtype.char not in "fd":
        return None
    return lambda: np.matmul(A, B)


def torch_call(A: np.ndarray, B: np.ndarray) -> Callable[[], object] | None:
    import torch

    wide = A.dtype.name in ("float16", "bfloat16")
    a, b = (torch.from_numpy(x.astype(np.float32) if wide else x) for x in (A, B))
    if wide:
        a, b = (x.to(getattr(torch, A.dtype.name)) for x in (a, b))
    if A.dtype == np.int8:
        return None if A.ndim > 2 else lambda: torch._int_mm(a, b)
    return lambda: torch.matmul(a, b)


def deepgemm_call(A: np.ndarray, B: np.ndarray) -> Callable[[], object]:
    return lambda: dg.matmul(A, B)


def plan_call(A: np.ndarray, B: np.ndarray, reproducible: bool = True) -> Callable[[], object] | None:
    if A.ndim > 2:
        return None
    plan = dg.plan(A, B, fixed="right", reuse=1000, reproducible=reproducible)
    return lambda: plan(A)


def any_plan_call(A: np.ndarray, B: np.ndarray) -> Callable[[], object] | None:
    return plan_call(A, B, False) if A.dtype.name == "bfloat16" else None


CALLS: dict[str, Callable[[np.ndarray, np.ndarray], Callable[[], object] | None]] = {
    "numpy": numpy_call,
    "torch": torch_call,
    "deepgemm": deepgemm_call,
    "plan": plan_call,
    "any_plan": any_plan_call,
    "mkl_packed": mkl_packed_call,
    "torch_packed": torch_packed_call,
}


def best_seconds(call: Callable[[], object]) -> float:
    call()
    begin = time.perf_counter()
    call()
    repeats = max(1, int(1e-3 / (time.perf_counter() - begin + 1e-9)))
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        for _ in range(repeats):
            call()
        times.append((time.perf_counter() - begin) / repeats)
    return min(times)


def measure(contender: str) -> None:
    """Print the seconds of one contender as JSON."""
    found = {}
    for dtype in TIMED:
        for group, shapes in SHAPES.items():
            for shape in shapes:
                A, B = operands(dtype, shape, 1000 if "1000" in group else 1)
                call = CALLS[contender](A, B)
                if call is not None:
                    found[f"{dtype} {group} {shape}"] = best_seconds(call)
    print(json.dumps(found))


def speed() -> None:
    seconds = figures_of(__file__, CONTENDERS)
    machine = machines.current()
    print("| dtype | shapes | of the roofline | packed | × best peer | × packed |")
    print("|---|---|---|---|---|---|")
    for dtype in TIMED:
        for group, shapes in SHAPES.items():
            rows = [_figures(machine, seconds, dtype, group, shape) for shape in shapes]
            cells = [_geometric_mean(column) for column in zip(*rows, strict=True)]
            print(f"| {dtype} | {group} | {' | '.join(cells)} |")


def packed() -> None:
    """Print, for products with a packed right operand, ours in both orders against the best packed peer."""
    seconds = figures_of(__file__, PACKED)
    print("| dtype | shape | GFLOP/s | × best packed peer | any order | × best packed peer |")
    print("|---|---|---|---|---|---|")
    for dtype in PACKED_DTYPES:
        for group, shapes in SHAPES.items():
            for shape in () if "1000" in group else shapes:
                key = f"{dtype} {group} {shape}"
                peers = [seconds[peer][key] for peer in PACKED_PEERS if key in seconds[peer]]
                cells = []
                for own in (seconds["plan"].get(key), seconds["any_plan"].get(key)):
                    cells.append(f"{2e-9 * float(np.prod(shape)) / own:.0f}" if own else "")
                    cells.append(f"{min(peers) / own:.2f}" if own and peers else "")
                print(f"| {dtype} | {' × '.join(map(str, shape))} | {' | '.join(cells)} |")


def _figures(
    machine: machines.Machine,
    seconds: dict[str, dict[str, float]],
    dtype: str,
    group: str,
    shape: tuple[int, int, int],
) -> tuple[float | None, ...]:
    """Return the shares of the roofline, and the ratios to the best peer, of calls and of packed plans."""
    m, k, n = shape
    count = 1000 if "1000" in group else 1
    chain = "float64" if dtype == "float64" else "float32"
    rate = machine.flop_rate(machine.isas[0], chain) * STEPS.get(dtype, 1.0) * machine.cores
    size = dg.dtypes.canonical(dtype).itemsize
    moved = count * ((m * k + k * n) * size + m * n * (4 if dtype == "int8" else size))
    ideal = max(2.0 * count * m * k * n / rate, machine.read(moved, moved, machine.cores))
    key = f"{dtype} {group} {shape}"
    peers = [seconds[peer][key] for peer in ("numpy", "torch") if key in seconds[peer]]
    ours = [seconds[own].get(key) for own in ("deepgemm", "plan")]
    shares = [ideal / own if own else None for own in ours]
    return (*shares, *(min(peers) / own if own and peers else None for own in ours))


def _geometric_mean(values: tuple[float | None, ...]) -> str:
    known = [value for value in values if value is not None]
    return f"{float(np.exp(np.mean(np.log(known)))):.2f}" if known else ""


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "speed"
    if what in CALLS:
        measure(what)
    else:
        {"errors": errors, "speed": speed, "packed": packed}[what]()
