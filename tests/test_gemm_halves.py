"""float16 by the CPU's float16 arithmetic: its statement, when it is refused, and its machine code.

Where the CPU lacks the instruction, a small library emulates it for the process that runs the kernel.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exact import exact_fma, identical, random_floats

import deepgemm as dg
from deepgemm import _core, reference, testing

FOLDER = Path(__file__).parent / "emulation"
NATIVE = "fp16" in _core.cpu_info()["features"]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile fp16.cpp."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("emulates an instruction of x86-64 in signals of Linux")
    compilers = (os.environ.get("CXX"), "c++", "g++", "clang++")
    found = next((path for name in compilers if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no C++ compiler is installed")
    library = tmp_path_factory.mktemp("emulator") / "fp16.so"
    command = [found, "-std=c++17", "-O2", "-shared", "-fPIC", "-o", str(library), str(FOLDER / "fp16.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return library


# --- the machine code ---


@pytest.mark.slow
def test_kernel(request):
    if "avx512" not in _core.cpu_info()["usable"]:
        pytest.skip("no AVX-512")
    emulating = "" if NATIVE else str(request.getfixturevalue("emulator"))
    # In a process of its own: this one must not plan as if it had the instruction.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(FOLDER / "halves.py")]
    environment = {**os.environ, "DEEPGEMM_EMULATOR": emulating}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


# --- the emulator's arithmetic ---


def emulated_fma(emulator, a, b, c):
    fused = ctypes.CDLL(str(emulator)).fused_halves
    arrays = [np.ascontiguousarray(x, np.float16) for x in (a, b, c)]
    out = np.empty_like(arrays[0])
    fused(*(ctypes.c_void_p(x.ctypes.data) for x in (*arrays, out)), ctypes.c_int64(out.size))
    return out


def test_emulated_arithmetic_is_exact(emulator):
    rng = np.random.default_rng(0)
    whole = [random_floats(rng, np.float16, 20_000, -25, 15) for _ in range(3)]
    close = [random_floats(rng, np.float16, 20_000, -3, 3) for _ in range(2)]
    with np.errstate(all="ignore"):
        near = (close[0] * close[1]) * np.float16(-1)
    values = [0.0, 1.0, 1 + 2.0**-10, 65504.0, 2.0**-14, 2.0**-14 - 2.0**-24, 2.0**-24, np.inf, np.nan]
    special = np.array([s * v for v in values for s in (1, -1)], np.float16)
    for a, b, c in (whole, (*close, near), [x.ravel() for x in np.meshgrid(special, special, special)]):
        got = emulated_fma(emulator, a, b, c)
        for x, y, z, result in zip(*(v.tolist() for v in (a, b, c, got)), strict=True):
            wanted = exact_fma(x, y, z, np.dtype(np.float16))
            assert identical(result, wanted), f"fma({x}, {y}, {z}) = {result}, not {wanted}"


def test_emulated_arithmetic_is_that_of_the_statement(emulator):
    rng = np.random.default_rng(1)
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    for _ in range(8):
        a, b, c = (rng.permutation(every) for _ in range(3))
        testing.assert_same(emulated_fma(emulator, a, b, c), reference.fma(a, b, c))
        testing.assert_same(emulated_fma(emulator, a, np.ones_like(a), c), reference.fma(a, np.float16(1), c))


# --- what needs no instruction ---


def test_the_statement():
    A, B = testing.random_values("A", (3, 300), "f2"), testing.random_values("B", (300, 2), "f2")
    got = reference.matmul_halves(A, B, dtype="float32")
    half = np.dtype(np.float16)
    for i in range(3):
        for j in range(2):
            total = np.float32(0)
            for begin in (0, 128, 256):
                sums = [0.0, 0.0]
                for k in range(begin, min(begin + 128, 300)):
                    sums[k % 2] = exact_fma(float(A[i, k]), float(B[k, j]), sums[k % 2], half)
                total += np.float32(exact_fma(sums[1], 1.0, sums[0], half))
            assert got[i, j] == total
    assert reference.matmul_halves(A, B).dtype == half


def test_bad_input_of_the_statement():
    half = np.ones((3, 4), np.float16)
    with pytest.raises(dg.ShapeError, match="operands have 1 and 2 dimensions, expected 2 and 2"):
        reference.matmul_halves(half[0], half)
    with pytest.raises(dg.ShapeError, match="A has 4 columns but B has 3 rows"):
        reference.matmul_halves(half, half)
    with pytest.raises(dg.DTypeError, match="operands are float32 and float16, expected float16 and float16"):
        reference.matmul_halves(half.astype("f4"), half.T)


@pytest.mark.skipif(NATIVE, reason="this CPU has float16 arithmetic")
def test_refused_without_the_instruction():
    half = np.ones((3, 4), np.float16)
    for kernel in ("gemm_halves", "avx512_fp16"):
        with pytest.raises(
            dg.UnsupportedError,
            match=r"gemm_halves.*(wants AVX-512 with instructions for float16|does not run)",
        ):
            dg.matmul(half, half.T, kernel=kernel, reproducible=False)
    assert not _core.has_pairs(None, half.dtype)
    with pytest.raises(dg.UnsupportedError, match="this CPU has no instruction for such pairs"):
        _core.pairs_product(None, half, "left", half.dtype)
    assert dg.plan(half, half.T, fixed="right", reproducible=False).kernel != "gemm_halves"


def test_reproducible_products_are_never_summed_in_halves():
    half = np.ones((3, 4), np.float16)
    with pytest.raises(dg.UnsupportedError, match=r"sums in float16, and rounds in an order of its own"):
        dg.matmul(half, half.T, kernel="gemm_halves")
    with pytest.raises(
        dg.UnsupportedError,
        match=r"gemm_halves: (sums in float16, and rounds in an order of its own|avx512 does not run)",
    ):
        dg.matmul(half, half.T, kernel="avx512_fp16")
