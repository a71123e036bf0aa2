"""Products leave the process as they found it, and what else the process does leaves products alone.

Forks, other Python threads, a changed floating-point environment and idle workers must not change a result.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import deepgemm as dg
from deepgemm import _core, reference, testing

pytestmark = pytest.mark.usefixtures("three_threads")


@pytest.fixture(scope="module")
def problem():
    """A sparse array with work for several threads, operands, and the products expected."""
    parts = next(case for case in testing.sparse_cases("f4") if case.name == "large").make()
    operands = [testing.random_values(f"X{i}", (parts.shape[1], 200), "f4") for i in range(4)]
    return dg.CSR(parts.parts, shape=parts.shape), operands, [reference.matmul(parts, X) for X in operands]


def run_alone(script):
    """Run a script in a process of its own, which may hang or die."""
    if not hasattr(os, "fork"):
        pytest.skip("this platform has no fork")
    command = [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else []), "-c"]
    text = textwrap.dedent(PREAMBLE) + textwrap.dedent(script)
    done = subprocess.run([*command, text], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PREAMBLE = """
    import os, sys, threading, time, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own remark about fork and threads
    import numpy as np
    import deepgemm as dg
    from deepgemm import testing
    dg.set_num_threads(3)
    parts = next(case for case in testing.sparse_cases("f4") if case.name == "large").make()
    A = dg.CSR(parts.parts, shape=parts.shape)
    X = testing.random_values("X", (A.shape[1], 200), "f4")
    with dg.threads(1):
        wanted = A @ X
    plan = dg.plan(A, X, kernel="csr_rowwise", threads=3)
    def right():
        return bool((plan(X) == wanted).all() and (A @ X == wanted).all())
    def wait(child):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(child, 9)
        return "hangs"
"""


# --- fork ---


def test_products_go_on_after_a_fork():
    script = """
    assert right()
    child = os.fork()
    if child == 0:
        grandchild = os.fork() if right() else os._exit(1)
        if grandchild == 0:
            os._exit(0 if right() else 2)
        os._exit(3 if not right() else 0 if wait(grandchild) == 0 else 4)
    assert right()
    print(wait(child))
    assert right()
    """
    assert run_alone(script) == "0"


def test_fork_while_other_threads_multiply():
    """The pool's lock may be held, and its job half done, at the moment of the fork."""
    script = """
    stop = threading.Event()
    failures = []
    def multiply():
        while not stop.is_set():
            if not right():
                failures.append(1)
    threads = [threading.Thread(target=multiply) for _ in range(2)]
    for thread in threads:
        thread.start()
    codes = set()
    for _ in range(15):
        child = os.fork()
        if child == 0:
            os._exit(0 if right() else 1)
        codes.add(wait(child))
    stop.set()
    for thread in threads:
        thread.join()
    print(codes, failures)
    """
    assert run_alone(script) == "{0} []"


def test_multiprocessing_by_fork():
    script = """
    import multiprocessing
    assert right()
    def work(i):
        return right()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(pool.map_async(work, range(12)).get(timeout=60).count(True))
    """
    assert run_alone(script) == "12"


def test_exit_while_workers_are_busy_or_asleep():
    assert run_alone("print(right())") == "True"
    assert run_alone("print(right()); time.sleep(0.05)") == "True"
    script = """
    def multiply():
        while True:
            plan(X)
    threading.Thread(target=multiply, daemon=True).start()
    time.sleep(0.1)
    """
    for _ in range(3):
        run_alone(script)


# --- threads ---


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_as_many_threads_as_asked_for():
    script = """
    before = len(os.listdir("/proc/self/task"))
    with dg.threads(1):
        dg.plan(A, X, kernel="csr_rowwise")(X)
    alone = len(os.listdir("/proc/self/task"))
    plan(X)
    print(alone - before, len(os.listdir("/proc/self/task")) - before)
    """
    assert run_alone(script) == "0 2"


@pytest.mark.parametrize("kernel", ["csr_rowwise", "csr_scatter", "gemm_packed", None])
def test_many_python_threads_at_once(problem, kernel):
    """They share the operand, its layouts and one plan; who finds the pool busy works alone."""
    array, operands, wanted = problem
    plan = dg.plan(array, operands[0], kernel=kernel, threads=3)

    def work(i):
        X, Y = operands[i % 4], wanted[i % 4]
        out = np.empty_like(Y)
        testing.assert_same(plan(X), Y, "plan")
        plan(X, out=out)
        testing.assert_same(out, Y, "out")
        testing.assert_same(dg.matmul(array, X, kernel=kernel), Y, "matmul")
        testing.assert_same(array @ X, Y, "operator")
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(80)))


def test_layouts_are_built_once_by_threads_that_want_them_together(problem):
    array = dg.CSR(problem[0].to_scipy())
    x = testing.random_values("x", array.shape[1], "f4")
    wanted = reference.matmul(array.to_scipy(), x)
    barrier = threading.Barrier(6)

    def work(_):
        barrier.wait()
        plan = dg.plan(array, x, kernel="sell_vector")
        testing.assert_same(plan(x), wanted)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len([name for name in array._layouts.names() if name.startswith("sell")]) == 1


def test_other_python_threads_go_on_during_a_product():
    A = testing.random_values("A", (500, 500), "f8")
    X = testing.random_values("X", (500, 300), "f8")
    plan = dg.plan(A, X, fixed="left", kernel="gemm_packed@scalar", threads=1)  # slow on purpose
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        start = time.perf_counter()
        while time.perf_counter() - start < 0.2:
            begin = time.perf_counter()
            plan(X)
            end = time.perf_counter()
    finally:
        stop.set()
        thread.join()
    if end - begin < 0.02:
        pytest.skip("the product is over before anything else could happen")
    # With the lock held there would be none.
    assert sum(begin + 0.002 < moment < end - 0.002 for moment in ticks) >= 3


@pytest.mark.parametrize("pause", [0.0, 0.0005, 0.02])
def test_calls_after_idleness_are_right(problem, pause):
    """Workers poll for a moment and then sleep: both ways to wake them."""
    array, operands, wanted = problem
    plan = dg.plan(array, operands[0], kernel="csr_rowwise", threads=3)
    for i in range(30):
        time.sleep(pause)
        testing.assert_same(plan(operands[i % 4]), wanted[i % 4])


def test_limits_hold_for_the_thread_that_sets_them():
    seen = []
    with dg.threads(1):
        thread = threading.Thread(target=lambda: seen.append(dg.get_num_threads()))
        thread.start()
        thread.join()
        assert dg.get_num_threads() == 1
    assert seen == [3]
    assert dg.get_num_threads() == 3


# --- the floating-point environment ---

FLUSH_TO_ZERO, DENORMALS_ARE_ZERO, ROUND_UP = 0x8000, 0x0040, 0x4000


def _libm():
    """The C library's floating-point environment: on x86-64 Linux MXCSR is its last word."""
    if platform.machine() not in ("x86_64", "AMD64") or not sys.platform.startswith("linux"):
        pytest.skip("the layout of fenv_t is known for x86-64 Linux only")
    try:
        library = ctypes.CDLL("libm.so.6")
        return library.fegetenv, library.fesetenv
    except (OSError, AttributeError) as error:
        pytest.skip(f"no C library to change MXCSR with: {error}")


def _mxcsr(get):
    environment = (ctypes.c_uint32 * 8)()
    assert get(environment) == 0
    return environment


@contextmanager
def mxcsr(bits):
    """Set bits of MXCSR in this thread; gives a function that tells whether they are still set."""
    get, set_ = _libm()
    before = _mxcsr(get)
    changed = _mxcsr(get)
    changed[7] |= bits
    assert set_(changed) == 0
    try:
        yield lambda: _mxcsr(get)[7] & bits == bits
    finally:
        set_(before)


@pytest.mark.parametrize("bits", [FLUSH_TO_ZERO | DENORMALS_ARE_ZERO, ROUND_UP], ids=["flush", "round-up"])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_do_not_depend_on_the_callers_floating_point_environment(bits, threads):
    tiny = np.finfo("f4").tiny
    small = testing.random_values("A", (300, 200), "f4", zeros=0.9) * tiny
    X = testing.random_values("X", (200, 100), "f4")
    array = dg.CSR(small)
    wanted = reference.matmul(small, X)
    assert ((wanted != 0) & (np.abs(wanted) < tiny)).any()
    plans = {}
    for kernel in ("csr_rowwise", "csr_tiled", "csr_scatter", "gemm_packed"):
        for isa in _core.cpu_info()["usable"]:
            plans[kernel, isa] = dg.plan(array, X, kernel=f"{kernel}@{isa}", threads=threads)
    vector = X[:, 0].copy()
    for kernel in ("csr_vector", "sell_vector"):
        plans[kernel, ""] = dg.plan(array, vector, kernel=kernel, threads=threads)
    probe = np.full(1, tiny)

    results = {}
    with mxcsr(bits) as still_set:
        if bits & FLUSH_TO_ZERO:
            assert (probe * np.float32(0.5))[0] == 0, "the change has no effect"
        for name, plan in plans.items():
            results[name] = plan(X if name[1] else vector)
            assert still_set(), f"{name} did not restore MXCSR"
        array_from_dense = dg.matmul(small, X)
    for name, result in results.items():
        testing.assert_same(result, wanted if name[1] else wanted[:, 0], str(name))
    testing.assert_same(array_from_dense, wanted)


def test_workers_do_not_inherit_the_environment_of_the_thread_that_started_them():
    script = f"""
    import ctypes, platform
    if platform.machine() not in ("x86_64", "AMD64") or not sys.platform.startswith("linux"):
        print("skip")
        sys.exit()
    B = dg.CSR(A.toarray() * np.finfo("f4").tiny)
    plan = dg.plan(B, X, kernel="csr_rowwise", threads=3)
    with dg.threads(1):
        wanted = plan(X)
    libm = ctypes.CDLL("libm.so.6")
    environment = (ctypes.c_uint32 * 8)()
    libm.fegetenv(environment)
    before = environment[7]
    environment[7] |= {FLUSH_TO_ZERO | DENORMALS_ARE_ZERO}
    libm.fesetenv(environment)
    results = [plan(X) for _ in range(20)]  # the first of them starts the workers
    environment[7] = before
    libm.fesetenv(environment)
    print(all((result == wanted).all() for result in results))
    """
    printed = run_alone(script)
    if printed == "skip":
        pytest.skip("the layout of fenv_t is known for x86-64 Linux only")
    assert printed == "True"
