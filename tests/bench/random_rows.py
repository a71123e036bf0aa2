"""Times embedding bags of a large table against a plain loop in C that reads the same random rows.

    python tests/bench/random_rows.py

The loop, `random_rows.c`, is compiled with the `cc` there is. It runs on as many threads, and the best of a
few distances of prefetching counts: that is the bandwidth of random rows. Bags have 20 ids on average. Each
figure is the best of some rounds, in which the two take turns. "4 KB" and "2 MB" are the pages of the table.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import deepgemm as dg

TABLE_BYTES = 1 << 30
ROW_BYTES = (64, 128, 256, 512)
GATHERED = 512 << 20  # bytes of rows in one call
POOLING = 20
AHEAD = (8, 16, 32, 64)
ROUNDS = 4


def plain_loop() -> Callable[[np.ndarray, np.ndarray, int, int], None]:
    """Compile the loop, and return it as a function of table, ids, distance and threads."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "random_rows.so"
        source = Path(__file__).with_suffix(".c")
        flags = ["-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)
        read = ctypes.CDLL(str(library)).random_rows
    read.restype = ctypes.c_uint64
    read.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]

    def run(table: np.ndarray, ids: np.ndarray, ahead: int, threads: int) -> None:
        parts = np.array_split(ids, threads)
        arguments = [(table.ctypes.data, table.strides[0], p.ctypes.data, len(p), ahead) for p in parts]
        team = [threading.Thread(target=read, args=one) for one in arguments]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()

    return run


def table_in(pages: str, rows: int, columns: int) -> np.ndarray:
    """Return a table of ones whose memory is in pages of that size."""
    memory = mmap.mmap(-1, rows * columns * 4)
    memory.madvise(mmap.MADV_HUGEPAGE if pages == "2 MB" else mmap.MADV_NOHUGEPAGE)
    table = np.frombuffer(memory, np.float32).reshape(rows, columns)
    table[:] = 1
    return table


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def shares(loop: Callable[..., None], row_bytes: int) -> None:
    """Print the two bandwidths for rows of so many bytes."""
    rows, rng = TABLE_BYTES // row_bytes, np.random.default_rng(0)
    lengths = rng.poisson(POOLING, GATHERED // row_bytes // POOLING)
    bags = dg.Ragged.from_lengths(rng.integers(0, rows, int(lengths.sum())), lengths)
    size = len(bags.values) * row_bytes
    for pages in ("4 KB", "2 MB"):
        table = table_in(pages, rows, row_bytes // 4)
        plain, ours = [], []
        for ahead in AHEAD * ROUNDS:
            plain.append(seconds(partial(loop, table, bags.values, ahead, dg.get_num_threads())))
            ours.append(seconds(partial(dg.embedding_bag, table, bags)))
        best, found = size / min(plain) / 1e9, size / min(ours) / 1e9
        print(f"{row_bytes:14} {pages:>6} {best:7.1f} GB/s {found:9.1f} GB/s {found / best:6.0%}")


def main() -> None:
    loop = plain_loop()
    print(f"{'bytes of a row':>14} {'pages':>6} {'plain loop':>12} {'embedding_bag':>14} {'share':>6}")
    for row_bytes in ROW_BYTES:
        shares(loop, row_bytes)


if __name__ == "__main__":
    main()
