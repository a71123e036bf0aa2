"""How many threads products use, as set by the process, a block, an argument and threadpoolctl."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg


@pytest.fixture(autouse=True)
def restore():
    before = dg.get_num_threads()
    yield
    dg.set_num_threads(before)


def test_process_wide():
    dg.set_num_threads(3)
    assert dg.get_num_threads() == 3


@pytest.mark.parametrize("n", [0, -1])
def test_at_least_one(n):
    with pytest.raises(ValueError, match=f"set_num_threads: n is {n}, expected at least 1"):
        dg.set_num_threads(n)
    with pytest.raises(ValueError, match=f"threads: n is {n}, expected at least 1"), dg.threads(n):
        pass


def test_whole_numbers():
    with pytest.raises(
        ValueError, match="set_num_threads: n is 'two', expected a whole number of at least 1"
    ):
        dg.set_num_threads("two")  # type: ignore[arg-type]


def test_context_restores_also_after_errors():
    dg.set_num_threads(4)
    with dg.threads(3):
        assert dg.get_num_threads() == 3
        with dg.threads(2):
            assert dg.get_num_threads() == 2
        assert dg.get_num_threads() == 3
    with pytest.raises(KeyError), dg.threads(1):
        raise KeyError
    assert dg.get_num_threads() == 4


def test_context_takes_the_place_of_the_process_number():
    dg.set_num_threads(2)
    with dg.threads(8):
        assert dg.get_num_threads() == 8
        dg.set_num_threads(3)
        assert dg.get_num_threads() == 8
    assert dg.get_num_threads() == 3


def test_context_belongs_to_its_thread():
    dg.set_num_threads(4)
    seen = []
    with dg.threads(1):
        thread = threading.Thread(target=lambda: seen.append(dg.get_num_threads()))
        thread.start()
        thread.join()
    assert seen == [4]


def test_results_do_not_depend_on_it():
    A = dg.CSR(scipy.sparse.random_array((3000, 3000), density=0.01, rng=np.random.default_rng(0)))
    X = np.random.default_rng(1).standard_normal((3000, 24))
    results = []
    for n in (1, 2, 3, 8):
        dg.set_num_threads(n)
        results.append(A @ X)
        results.append(dg.matmul(A, X, threads=n))
    assert all(np.array_equal(results[0], other) for other in results)


def test_the_argument_is_an_upper_bound():
    A = dg.CSR(scipy.sparse.random_array((3000, 3000), density=0.01, rng=np.random.default_rng(0)))
    X = np.ones((3000, 64))
    dg.set_num_threads(2)
    assert dg.plan(A, X).problem.threads == 2
    assert dg.plan(A, X, threads=1).problem.threads == 1
    assert dg.plan(A, X, threads=9).problem.threads == 2
    with dg.threads(1):
        assert dg.plan(A, X).problem.threads == 1


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        cwd=os.path.dirname(os.__file__),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_defaults_from_the_environment():
    code = "import deepgemm as dg; print(dg.get_num_threads())"
    assert run(code, OMP_NUM_THREADS="1") == ["1"]
    assert run(code, OMP_NUM_THREADS="1", DEEPGEMM_NUM_THREADS="5") == ["5"]


@pytest.mark.parametrize("first", ["threadpoolctl", "deepgemm"])
def test_threadpoolctl_sees_and_limits_the_pool(first):
    pytest.importorskip("threadpoolctl")
    code = f"""
import sys, {first}
import deepgemm as dg
assert {first != "deepgemm"} or "threadpoolctl" not in sys.modules
import threadpoolctl
dg.set_num_threads(4)
pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "deepgemm"]
print(len(pools), pools[0]["num_threads"])
with threadpoolctl.threadpool_limits(2):
    print(dg.get_num_threads())
with threadpoolctl.threadpool_limits(1, user_api="deepgemm"):
    print(dg.get_num_threads())
print(dg.get_num_threads())
"""
    assert run(code) == ["1", "4", "2", "1", "4"]


def test_the_import_hook_leaves_no_trace():
    pytest.importorskip("threadpoolctl")
    code = """
import deepgemm, sys, inspect
import threadpoolctl, importlib
assert not [f for f in sys.meta_path if "deepgemm" in type(f).__module__]
assert "threadpool_limits" in inspect.getsource(threadpoolctl)
importlib.reload(threadpoolctl)
print("fine")
"""
    assert run(code) == ["fine"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_the_child_of_a_fork_multiplies():
    code = """
import os, numpy as np, deepgemm as dg
rng = np.random.default_rng(0)
A = dg.CSR(rng.random((800, 800)) * (rng.random((800, 800)) < .2)); X = rng.random((800, 64))
dg.set_num_threads(4)
expected = A @ X
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(A @ X, expected) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code) == ["0"]
