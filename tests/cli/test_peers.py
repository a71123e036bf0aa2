"""Peers in their own processes: right results, plain refusals, and survivors of a death."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from deepgemm.datasets import uniform

from deepgemm.cli.peers import PEERS, Peer, PeerError

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scipy_peer() -> Iterator[Peer]:
    with Peer("scipy", 1) as peer:
        yield peer


@pytest.mark.parametrize("name", PEERS)
def test_results_and_times(name: str) -> None:
    A = uniform(40, 30, 0.2, dtype=np.float64)
    X = np.random.default_rng(0).standard_normal((30, 5))
    with Peer(name, 1) as peer:
        for other in (X, X[:, 0].copy()):
            try:
                result = peer.setup(A, other)
            except PeerError as error:
                pytest.skip(str(error))
            assert result.shape == (40, *other.shape[1:])
            assert np.allclose(result, A.toarray() @ other)
            assert peer.label != name
            assert peer.prepared > 0
            times = peer.time(4)
            assert len(times) == 4
            assert min(times) > 0


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128"])
def test_mkl_in_other_dtypes(dtype: str) -> None:
    A = uniform(40, 30, 0.2, dtype=dtype)
    X = np.random.default_rng(0).standard_normal((30, 5)).astype(dtype)
    with Peer("mkl", 1) as peer:
        try:
            result = peer.setup(A, X)
        except PeerError as error:
            pytest.skip(str(error))
    assert np.allclose(result, A.toarray() @ X, atol=1e-5)


def test_a_dtype_that_a_peer_lacks(scipy_peer: Peer) -> None:
    A = uniform(40, 30, 0.2, dtype=np.float16)
    with pytest.raises(PeerError, match="SciPy has no float16"):
        scipy_peer.setup(A, np.ones((30, 2), np.float16))


def test_a_dense_copy_that_would_be_too_large() -> None:
    A = uniform(30_000, 30_000, 1e-6, dtype=np.float64)
    with Peer("numpy", 1) as peer, pytest.raises(PeerError, match=r"a dense copy would take 7.2 GB"):
        peer.setup(A, np.ones(30_000))


def test_a_peer_that_dies(scipy_peer: Peer) -> None:
    A = uniform(4, 3, 0.5)
    scipy_peer.setup(A, np.ones(3, np.float32))
    os.kill(scipy_peer._process.pid, signal.SIGTERM)
    with pytest.raises(PeerError, match=rf"its process died \(signal {signal.SIGTERM:d}\)"):
        scipy_peer.time(1)


def test_errors_of_a_peer_arrive_in_one_line(scipy_peer: Peer) -> None:
    with pytest.raises(PeerError, match=r"^ValueError: ") as caught:
        scipy_peer.setup(uniform(4, 3, 0.5), np.ones((7, 2), np.float32))
    assert "\n" not in str(caught.value)
    # The process is still there.
    assert scipy_peer.setup(uniform(4, 3, 0.5), np.ones((3, 2), np.float32)).shape == (4, 2)


def test_processes_end(scipy_peer: Peer) -> None:
    scipy_peer.close()
    assert scipy_peer._process.poll() == 0
    scipy_peer.close()


def test_bench_with_a_peer(bench_command: Command, market_file: Path) -> None:
    arguments = ("--matrix", market_file, "--rounds", 1, "--kernels", "csr_rowwise", "--peers", "scipy")
    status, out, err = bench_command(*arguments)
    assert (status, err) == (0, "")
    assert "* SciPy" in " ".join(out.split())
    found = json.loads(bench_command(*arguments, "--json", "-")[1])["results"][-1]
    assert found["peer"]
    assert found["seconds"] > 0
    assert found["error"] < 1e-6
