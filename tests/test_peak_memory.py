"""A product needs its operands, its result, and little more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="needs Linux's resettable peak of memory"
)

PROGRAM = """
import sys
import numpy as np
import deepgemm as dg

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

order, side = sys.argv[1:]
rng = np.random.default_rng(0)
rows, columns, per_row, width = 500_000, 250_000, 8, 96
indptr = np.arange(0, rows * per_row + 1, per_row, dtype=np.int32)
indices = np.sort(rng.integers(0, columns // per_row, (rows, per_row), dtype=np.int32), axis=1)
indices = (indices + np.arange(per_row, dtype=np.int32) * (columns // per_row)).ravel()
A = dg.CSR((rng.standard_normal(rows * per_row, dtype=np.float32), indices, indptr), shape=(rows, columns))
if side == "left":
    X = np.asarray(rng.standard_normal((columns, width), dtype=np.float32), order=order)
    product = lambda: A @ X
else:
    X = np.asarray(rng.standard_normal((width, rows), dtype=np.float32), order=order)
    product = lambda: X @ A
small = dg.CSR(np.eye(64, dtype=np.float32)) @ np.ones((64, 64), np.float32)  # starts the threads
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = status("VmRSS")
Y = product()
extra = status("VmHWM") - before - Y.nbytes
print(extra / (A.nbytes + X.nbytes + Y.nbytes))
"""


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_spmm_needs_a_tenth_more_at_most(order: str, side: str) -> None:
    command = [sys.executable, "-c", PROGRAM, order, side]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "Permission" in run.stderr:
        pytest.skip("the peak of memory may not be reset here")
    assert run.returncode == 0, run.stderr[-2000:]
    assert float(run.stdout) <= 0.10


SPARSE_PROGRAM = """
import sys
import numpy as np
import deepgemm as dg

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

def spread(rng, rows, columns, per_row):
    indptr = np.arange(0, rows * per_row + 1, per_row, dtype=np.int32)
    indices = np.sort(rng.integers(0, columns // per_row, (rows, per_row), dtype=np.int32), axis=1)
    indices = (indices + np.arange(per_row, dtype=np.int32) * (columns // per_row)).ravel()
    data = rng.standard_normal(rows * per_row, dtype=np.float32)
    return dg.CSR((data, indices, indptr), shape=(rows, columns))

way = sys.argv[1]
rng = np.random.default_rng(0)
A, B = spread(rng, 200_000, 50_000, 8), spread(rng, 50_000, 60_000, 24)
dg.matmul_topk(A[:100], B, 5), A[:100] @ B  # starts the threads
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = status("VmRSS")
C = A @ B if way == "product" else dg.matmul_topk(A, B, 10)
extra = status("VmHWM") - before - C.nbytes
print(extra / C.nbytes if way == "product" else extra / 38_000_000 / 8)
"""


@pytest.mark.parametrize(("way", "most"), [("product", 0.15), ("selection", 0.25)])
def test_two_sparse_operands(way: str, most: float) -> None:
    """A result of 300 MB exists once; a selection never has the product, of which it takes a fraction."""
    command = [sys.executable, "-c", SPARSE_PROGRAM, way]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "Permission" in run.stderr:
        pytest.skip("the peak of memory may not be reset here")
    assert run.returncode == 0, run.stderr[-2000:]
    assert float(run.stdout) <= most


ATTENTION_PROGRAM = """
import numpy as np
import deepgemm as dg

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

length = 20_000
q = dg.Ragged(np.zeros((length, 8), np.float32), [0, length])
dg.ragged_attention(q[:, :100], q[:, :100], q[:, :100])  # starts the threads
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = status("VmRSS")
found = dg.ragged_attention(q, q, q)
print((status("VmHWM") - before) / (length * length * 4))
"""


def test_attention_never_has_all_scores() -> None:
    """A segment of 20,000 has 1.6 GB of scores; those of a few queries at a time take a hundredth."""
    command = [sys.executable, "-c", ATTENTION_PROGRAM]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "Permission" in run.stderr:
        pytest.skip("the peak of memory may not be reset here")
    assert run.returncode == 0, run.stderr[-2000:]
    assert float(run.stdout) <= 0.01
