"""The cache of layouts: built once, bounded, never in the way of another thread or process."""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from deepgemm.sparse import layouts

import deepgemm as dg


@dataclass
class Fake:
    nbytes: int
    refilled: int = 0

    def refill(self, values):
        return Fake(self.nbytes, self.refilled + 1)


@pytest.fixture
def array(matrix):
    return dg.CSR(matrix)


@pytest.fixture
def bound(monkeypatch):
    gc.collect()
    monkeypatch.setenv("DEEPGEMM_LAYOUT_BYTES", str(layouts.total_nbytes() + 1000))


def test_built_once_and_listed(array):
    cache = array._layouts
    assert cache.get("sell") is None
    built = cache.get_or_build("sell", lambda: Fake(10))
    assert cache.get_or_build("sell", lambda: pytest.fail("built twice")) is built
    assert cache.get("sell") is built
    assert cache.names() == {"sell"}
    assert cache.items() == (("sell", built),)
    assert cache.nbytes == 10


def test_one_thread_builds_and_the_others_wait(array):
    builds = []

    def build():
        builds.append(threading.get_ident())
        time.sleep(0.05)
        return Fake(10)

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(array._layouts.get_or_build("sell", build)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert all(result is results[0] for result in results)


def test_builds_may_nest_and_fail(array):
    cache = array._layouts
    cache.get_or_build("outer", lambda: cache.get_or_build("inner", lambda: Fake(1)))
    assert cache.names() == {"outer", "inner"}
    with pytest.raises(RuntimeError, match="no"):
        cache.get_or_build("broken", lambda: (_ for _ in ()).throw(RuntimeError("no")))
    assert cache.get("broken") is None
    assert cache.get_or_build("broken", lambda: Fake(2)).nbytes == 2


def test_least_recently_used_goes_first(array, bound):
    cache = array._layouts
    cache.get_or_build("a", lambda: Fake(400))
    cache.get_or_build("b", lambda: Fake(400))
    cache.get("a")
    cache.get_or_build("c", lambda: Fake(400))
    assert cache.names() == {"a", "c"}


def test_eviction_reaches_other_arrays_and_their_plans(array, bound, matrix):
    other = dg.CSR(matrix)
    array._layouts.get_or_build("a", lambda: Fake(800))
    array._recent_left = object()  # type: ignore[assignment]
    array._plans["key"] = object()
    other._layouts.get_or_build("b", lambda: Fake(800))
    assert array._layouts.names() == frozenset()
    assert array._recent_left is None
    assert array._plans == {}
    assert other._layouts.names() == {"b"}


def test_too_large_is_returned_but_not_kept(array, bound):
    array._layouts.get_or_build("small", lambda: Fake(10))
    assert array._layouts.get_or_build("large", lambda: Fake(10**6)).nbytes == 10**6
    assert array._layouts.names() == {"small"}


def test_dead_arrays_leave_the_ledger(matrix):
    gc.collect()
    before = layouts.total_nbytes()
    array = dg.CSR(matrix)
    array._layouts.get_or_build("a", lambda: Fake(123))
    assert layouts.total_nbytes() == before + 123
    del array
    gc.collect()
    assert layouts.total_nbytes() == before


def test_with_data_offers_the_old_layouts(array):
    array._layouts.get_or_build("sell", lambda: Fake(10))
    values = np.ones(array.nnz)
    other = array.with_data(values)
    del array
    assert other._layouts.names() == frozenset()
    donor = other._layouts.donor("sell")
    assert donor is not None
    other._layouts.get_or_build("sell", lambda: donor.refill(values))
    assert other._layouts.get("sell").refilled == 1
    assert other._layouts.donor("sell") is None
    third = other.with_data(values).with_data(values)
    assert third._layouts.donor("sell").refilled == 1


def test_other_dtypes_are_offered_places_only(array):
    array._layouts.get_or_build("csc", lambda: Fake(10))
    array._layouts.get_or_build("structure:csc", lambda: Fake(10))
    for dtype in (np.float32, np.float16):
        other = array.astype(dtype)
        assert other._layouts.donor("csc") is None
        assert other._layouts.donor("structure:csc") is array._layouts.get("structure:csc")
        assert other.astype(array.dtype)._layouts.donor("structure:csc") is not None


def test_donors_are_bounded_too(array, bound):
    array._layouts.get_or_build("sell", lambda: Fake(800))
    other = array.with_data(np.ones(array.nnz))
    other._layouts.get_or_build("x", lambda: Fake(900))
    assert other._layouts.donor("sell") is None
    assert array._layouts.names() == frozenset()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_during_a_build_does_not_hang_the_child(array):
    inside, release = threading.Event(), threading.Event()

    def build():
        inside.set()
        release.wait()
        return Fake(1)

    thread = threading.Thread(target=array._layouts.get_or_build, args=("sell", build))
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        os._exit(array._layouts.get_or_build("sell", lambda: Fake(7)).nbytes)
    release.set()
    thread.join()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 7
