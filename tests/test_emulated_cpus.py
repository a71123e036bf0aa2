"""Dispatch on CPUs that this machine is not: the same results from the kernels that they can run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

import pytest

QEMU = shutil.which("qemu-x86_64")

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates x86-64 CPUs"),
    pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 (qemu user mode) is not installed"),
]

PROGRAM = """
import numpy as np, scipy.sparse as sp
import deepgemm as dg
from deepgemm import _core, reference

print("ISA", _core.best_isa())
rng = np.random.default_rng(0)
S = sp.random_array((60, 50), density=0.2, format="csr", rng=rng)
for dtype in ("float32", "float64", "complex64"):
    A, X = S.astype(dtype), rng.standard_normal((50, 21)).astype(dtype)
    x = X[:, 0].copy()
    D = dg.CSR(A)
    assert (D @ X == reference.matmul(A, X)).all()
    assert (D.T @ X[:1].repeat(60, 0) == reference.matmul(A.T, X[:1].repeat(60, 0))).all()
    assert (dg.plan(D, x, reuse=1000)(x) == reference.matmul(A, x)).all()
    assert (dg.matmul(X.T, X) == reference.matmul(X.T, X)).all()
print("SAME")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cpu", "isa"), [("Haswell", "avx2"), ("SandyBridge", "scalar"), ("Nehalem", "scalar")]
)
def test_dispatch(cpu: str, isa: str) -> None:
    command = [str(QEMU), "-cpu", cpu, sys.executable, "-c", PROGRAM]
    # OpenBLAS, which NumPy brings, asks the emulated CPU for more than the oldest one has.
    environment = {**os.environ, "OPENBLAS_CORETYPE": cpu}
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["ISA", isa, "SAME"]
