"""Peer libraries to be timed beside ours, each held in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy.typing as npt

from ..sparse import CSR
from .peer_worker import PEERS, receive, send

__all__ = ["PEERS", "Peer", "PeerError"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class PeerError(Exception):
    """A peer cannot do the product, or its process died; the message says why in one line."""


class Peer:
    """One peer library in a process of its own, so that its thread pool never spins beside another's.

    Parameters
    ----------
    name : str
        A key of `PEERS`.
    threads : int
        How many threads it may use.

    Attributes
    ----------
    label : str
        Name and version, known after `setup`.
    prepared : float
        Seconds that the peer took to take the operand and to optimise for it.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.threads = threads
        self.label = name
        self.prepared = 0.0
        environment = dict(os.environ)
        environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        # MKL's dispatcher library looks for its parts beside itself only by way of the loader's path.
        folders = [os.path.join(sys.prefix, "lib"), environment.get("LD_LIBRARY_PATH", "")]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(folder for folder in folders if folder)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("peer_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def setup(self, A: CSR, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Hand over the operands and return the peer's result.

        Parameters
        ----------
        A : CSR
            m × k.
        X : ndarray
            k × n, or k.

        Returns
        -------
        ndarray
            m × n, or m.

        Raises
        ------
        PeerError
            If the peer is not installed, refuses the operands or dies of them.
        """
        operands = {
            "data": A.data,
            "indices": A.indices,
            "indptr": A.indptr,
            "shape": A.shape,
            "X": X,
            "threads": self.threads,
        }
        _, self.label, self.prepared, result = self._ask("setup", self.name, operands)
        out: npt.NDArray[Any] = result
        return out

    def time(self, calls: int) -> list[float]:
        """Return the seconds of each of `calls` products, after one that is not timed."""
        _, times = self._ask("time", calls)
        out: list[float] = times
        return out

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, *message: object) -> Any:
        try:
            send(_open(self._process.stdin), message)
            answer = receive(_open(self._process.stdout))
        except (EOFError, OSError):
            status = self._process.wait()
            cause = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise PeerError(f"its process died ({cause})") from None
        if answer[0] == "refused":
            raise PeerError(answer[1])
        return answer


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OSError("the pipe is closed")
    return stream
