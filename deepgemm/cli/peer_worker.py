"""The process in which one peer library is timed: run as a script, it knows nothing of deepgemm.

Messages are pickles over stdin and stdout, each after its length. A peer's own output goes to stderr, so
that it cannot spoil them.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import glob
import importlib
import os
import pickle
import struct
import sys
import time
import warnings
from collections.abc import Callable
from typing import IO, Any

import numpy as np

__all__ = ["LARGEST_DENSE", "PEERS", "receive", "send", "timed"]

Product = Callable[[], Any]
Operands = dict[str, Any]

# A dense copy of the sparse operand beyond this would time the memory, or exhaust it.
LARGEST_DENSE = 400 * 10**6  # bytes


class RefusedError(Exception):
    """The peer cannot do the product; the message says why."""


def send(stream: IO[bytes], message: object) -> None:
    """Write one message."""
    body = pickle.dumps(message, protocol=5)
    stream.write(struct.pack("<q", len(body)))
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; raises EOFError when the other side has gone."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    (size,) = struct.unpack("<q", head)
    body = stream.read(size)
    if len(body) < size:
        raise EOFError
    return pickle.loads(body)


def timed(call: Product, calls: int) -> list[float]:
    """Return the seconds of each of `calls` calls, after one that is not timed."""
    call()
    out = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        out.append(time.perf_counter() - start)
    return out


# --- the peers: each imports its library and returns (name and version, what prepares the product)


def _scipy(operands: Operands) -> tuple[str, Callable[[], Product]]:
    import scipy
    import scipy.sparse

    dense = operands["X"]
    if operands["data"].dtype.char not in "?bBhHiIlLqQfdFD":
        raise RefusedError(f"SciPy has no {operands['data'].dtype}")

    def prepare() -> Product:
        parts = (operands["data"], operands["indices"], operands["indptr"])
        matrix = scipy.sparse.csr_array(parts, shape=operands["shape"])
        return lambda: matrix @ dense

    return f"SciPy {scipy.__version__}", prepare


def _numpy(operands: Operands) -> tuple[str, Callable[[], Product]]:
    import scipy.sparse

    rows, columns = operands["shape"]
    size = rows * columns * operands["data"].itemsize
    if operands["data"].dtype.char not in "fdFD":
        raise RefusedError(f"BLAS has no {operands['data'].dtype}")
    if size > LARGEST_DENSE:
        raise RefusedError(f"a dense copy would take {size / 1e9:.3g} GB")

    def prepare() -> Product:
        parts = (operands["data"], operands["indices"], operands["indptr"])
        full = scipy.sparse.csr_array(parts, shape=operands["shape"]).toarray()
        dense = operands["X"]
        return lambda: full @ dense

    return f"NumPy {np.__version__} dense", prepare


def _torch(operands: Operands) -> tuple[str, Callable[[], Product]]:
    try:
        torch: Any = importlib.import_module("torch")  # untyped: checkers must not need it
    except ImportError:
        raise RefusedError("torch is not installed") from None
    torch.set_num_threads(operands["threads"])

    def prepare() -> Product:
        parts = (torch.from_numpy(operands[name]) for name in ("indptr", "indices", "data"))
        matrix = torch.sparse_csr_tensor(*parts, operands["shape"])
        dense = torch.from_numpy(operands["X"])
        return lambda: (matrix @ dense).numpy()

    return f"torch {torch.__version__.partition('+')[0]} CSR", prepare


def _mkl(operands: Operands) -> tuple[str, Callable[[], Product]]:
    library = _load_mkl()
    if operands["data"].dtype.char not in "fdFD":
        raise RefusedError(f"MKL has no {operands['data'].dtype}")
    text = ctypes.create_string_buffer(200)
    library.mkl_get_version_string(text, ctypes.c_int(200))
    words = text.value.decode("ascii", "replace").split()
    version = next((word.partition("-")[0] for word in words if word[:1].isdigit()), "?")
    return f"MKL {version}", lambda: _MklCsr(library, operands).product()


PEERS: dict[str, Callable[[Operands], tuple[str, Callable[[], Product]]]] = {
    "scipy": _scipy,
    "numpy": _numpy,
    "mkl": _mkl,
    "torch": _torch,
}


# --- MKL's inspector-executor, straight from its C interface (Intel oneMKL reference, "Inspector-executor
# --- sparse BLAS routines"), because every Python wrapper of it adds copies or leaves out the inspection


class _Descr(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("mode", ctypes.c_int), ("diag", ctypes.c_int)]


class _Complex64(ctypes.Structure):
    _fields_ = [("real", ctypes.c_float), ("imag", ctypes.c_float)]


class _Complex128(ctypes.Structure):
    _fields_ = [("real", ctypes.c_double), ("imag", ctypes.c_double)]


_NON_TRANSPOSE = ctypes.c_int(10)
_ROW_MAJOR = ctypes.c_int(101)
_ZERO_BASED = ctypes.c_int(0)
_AGGRESSIVE = ctypes.c_int(81)  # layouts may take memory of their own, as ours may
_EXPECTED_CALLS = ctypes.c_int(1000)
_SCALARS: dict[str, tuple[str, Any]] = {
    "f": ("s", ctypes.c_float),
    "d": ("d", ctypes.c_double),
    "F": ("c", _Complex64),
    "D": ("z", _Complex128),
}


def _load_mkl() -> ctypes.CDLL:
    patterns = ("lib/libmkl_rt.so*", "lib/libmkl_rt*.dylib", "Library/bin/mkl_rt*.dll")
    found = [
        path
        for prefix in dict.fromkeys((sys.prefix, sys.base_prefix))
        for pattern in patterns
        for path in sorted(glob.glob(os.path.join(prefix, pattern)), reverse=True)
    ]
    system = ctypes.util.find_library("mkl_rt")
    for path in (*found, *([system] if system else [])):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise RefusedError(f"libmkl_rt was not found in {sys.prefix}: pip install mkl")


def _pointer(array: np.ndarray[Any, Any], offset: int = 0) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data + offset)


class _MklCsr:
    """An optimised handle of MKL's, with the arrays that it points to."""

    def __init__(self, library: ctypes.CDLL, operands: Operands) -> None:
        if max(*operands["shape"], len(operands["data"])) >= 2**31:
            raise RefusedError("MKL's usual interface has 32-bit indices")
        self.data = np.ascontiguousarray(operands["data"])
        self.dense = np.ascontiguousarray(operands["X"])
        self.indices = operands["indices"].astype(np.int32)
        self.indptr = operands["indptr"].astype(np.int32)
        self.rows, columns = operands["shape"]
        self.library = library
        self.letter, self.scalar = _SCALARS[self.data.dtype.char]
        self.handle = ctypes.c_void_p()
        self.general = _Descr(20, 0, 0)
        self._call(
            "create_csr",
            ctypes.byref(self.handle),
            _ZERO_BASED,
            ctypes.c_int(self.rows),
            ctypes.c_int(columns),
            _pointer(self.indptr),
            _pointer(self.indptr, 4),
            _pointer(self.indices),
            _pointer(self.data),
        )
        if self.dense.ndim == 1:
            self._call("set_mv_hint", self.handle, _NON_TRANSPOSE, self.general, _EXPECTED_CALLS, typed=False)
        else:
            width = ctypes.c_int(self.dense.shape[1])
            hint = (self.handle, _NON_TRANSPOSE, self.general, _ROW_MAJOR, width, _EXPECTED_CALLS)
            self._call("set_mm_hint", *hint, typed=False)
        self._call("set_memory_hint", self.handle, _AGGRESSIVE, typed=False)
        self._call("optimize", self.handle, typed=False)

    def product(self) -> Product:
        one, zero = self.scalar(1), self.scalar(0)
        out = np.empty((self.rows, *self.dense.shape[1:]), self.data.dtype)
        start = (_NON_TRANSPOSE, one, self.handle, self.general)
        arguments: tuple[Any, ...]
        if self.dense.ndim == 1:
            function = getattr(self.library, f"mkl_sparse_{self.letter}_mv")
            arguments = (*start, _pointer(self.dense), zero, _pointer(out))
        else:
            function = getattr(self.library, f"mkl_sparse_{self.letter}_mm")
            width = ctypes.c_int(self.dense.shape[1])
            dense = (_ROW_MAJOR, _pointer(self.dense), width, width)
            arguments = (*start, *dense, zero, _pointer(out), width)

        def call() -> Any:
            if function(*arguments):
                raise RuntimeError("MKL reported an error")
            return out

        return call

    def _call(self, name: str, *arguments: Any, typed: bool = True) -> None:
        letter = f"{self.letter}_" if typed else ""
        status = getattr(self.library, f"mkl_sparse_{letter}{name}")(*arguments)
        # A hint that MKL cannot use (status 6, not supported) is no failure: it then runs unoptimised.
        if status and not (status == 6 and not typed):
            raise RefusedError(f"mkl_sparse_{letter}{name} gave status {status}")


# --- the loop


def main() -> None:
    """Answer messages until the parent goes: ("setup", peer, operands), then ("time", calls)."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]  # its files shadow packages
    # Own copies of the pipes, then stdout joins stderr: what a peer prints must not look like a message.
    inward, outward = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # torch warns of read-only arrays and of its own beta state
    call: Product | None = None
    while True:
        try:
            kind, *rest = receive(inward)
        except EOFError:
            return
        try:
            if kind == "setup":
                peer, operands = rest
                label, prepare = PEERS[peer](operands)
                start = time.perf_counter()
                call = prepare()
                prepared = time.perf_counter() - start
                send(outward, ("ready", label, prepared, np.asarray(call())))
            elif call is not None:
                send(outward, ("times", timed(call, rest[0])))
        except RefusedError as error:
            send(outward, ("refused", str(error)))
        except Exception as error:
            send(outward, ("refused", " ".join(f"{type(error).__name__}: {error}".split())[:200]))


if __name__ == "__main__":
    main()
