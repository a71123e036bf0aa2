"""Objects that are compiled for one ISA export nothing but their table of kernels.

A shared inline function or template in such an object is emitted as a weak symbol, and the linker may keep
the copy that was compiled with AVX-512 for everybody: older CPUs would die of SIGILL in code that has nothing
to do with kernels. So each object may define one symbol and want only what the C library has.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "csrc"
TARGET = re.compile(r"dg_(?P<family>[a-z0-9_]+)_(?P<isa>[a-z0-9]+)")

# What compilers call on their own, and the C library's FMA for CPUs without one.
ALLOWED_FROM_OUTSIDE = {"memset", "memcpy", "memmove", "fma", "fmaf", "_GLOBAL_OFFSET_TABLE_"}


def faults(target: str, listing: str) -> list[str]:
    """Return what is wrong with the symbols of a target's object, from the listing of `nm -P`."""
    found, exported = [], []
    for line in listing.splitlines():
        name, kind = line.split()[:2]
        if sys.platform == "darwin":
            name = name.removeprefix("_")
        if kind in "WwVvu":
            found.append(f"{name} is weak ({kind})")
        elif kind == "U":
            if name not in ALLOWED_FROM_OUTSIDE:
                found.append(f"{name} is wanted from outside")
        elif kind.isupper():
            exported.append(name)
    if exported != [target]:
        found.append(f"exports {', '.join(exported) or 'nothing'}, expected {target} alone")
    return found


def test_faults_are_seen():
    good = "dg_spmm_avx2 D 0 10\nmemset U\n_ZN8deepgemm4avx2L1fEv t 0 40\n"
    assert faults("dg_spmm_avx2", good) == []
    assert faults("dg_spmm_avx512", good) == ["exports dg_spmm_avx2, expected dg_spmm_avx512 alone"]
    assert faults("dg_spmm_avx2", good + "_ZSt3minIlET_ W 0 9\n") == ["_ZSt3minIlET_ is weak (W)"]
    assert faults("dg_spmm_avx2", good + "_ZGVN1xE u 0 9\n") == ["_ZGVN1xE is weak (u)"]
    assert faults("dg_spmm_avx2", good + "_Znwm U\n") == ["_Znwm is wanted from outside"]
    assert faults("dg_spmm_avx2", good + "helper T 0 9\n") == [
        "exports dg_spmm_avx2, helper, expected dg_spmm_avx2 alone"
    ]


def objects_under(folder: Path) -> dict[str, Path]:
    """Return the object of each (family, ISA) target of a CMake build folder."""
    found = {}
    for place in folder.glob("CMakeFiles/dg_*_*.dir"):
        inside = [path for path in place.rglob("*") if path.suffix in (".o", ".obj")]
        if TARGET.fullmatch(place.stem) and len(inside) == 1:
            found[place.stem] = inside[0]
    return found


def up_to_date_objects() -> dict[str, Path]:
    """Return the objects of the last build in the source tree, unless sources have changed since."""
    newest = max(path.stat().st_mtime for path in SOURCES.rglob("*") if path.is_file())
    for cache in sorted((ROOT / "build").glob("**/CMakeCache.txt")):
        found = objects_under(cache.parent)
        if found and all(path.stat().st_mtime > newest for path in found.values()):
            return found
    return {}


def built_objects(folder: Path) -> dict[str, Path]:
    """Compile the targets of all ISAs, and nothing else."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed")
    if importlib.util.find_spec("pybind11") is None:
        pytest.skip("pybind11, which the build looks for, is not installed")
    import pybind11

    ninja = shutil.which("ninja")
    configure = [cmake, "-S", str(SOURCES), "-B", str(folder), *(["-G", "Ninja"] if ninja else [])]
    settings = [f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
    done = subprocess.run([*configure, *settings], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # CMake's own list of targets has those of object libraries for make, but not for ninja.
    ask = [cmake, "--build", str(folder), "--target", "help"]
    if ninja:
        ask = [ninja, "-C", str(folder), "-t", "targets", "all"]
    listed = subprocess.run(ask, capture_output=True, text=True, timeout=60).stdout
    targets = sorted({word for word in re.split(r"[^a-z0-9_]+", listed) if TARGET.fullmatch(word)})
    assert targets, listed
    command = [cmake, "--build", str(folder), "--config", "Release", "--parallel", "2", "--target", *targets]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = objects_under(folder)
    assert sorted(found) == targets
    return found


@pytest.mark.slow
def test_objects_of_an_isa_export_their_table_only(tmp_path):
    nm = shutil.which("nm") or shutil.which("llvm-nm")
    if nm is None or sys.platform == "win32":
        pytest.skip("nm is not installed")
    found = up_to_date_objects() or built_objects(tmp_path)
    families = {TARGET.fullmatch(target)["family"] for target in found}
    isas = {TARGET.fullmatch(target)["isa"] for target in found}
    assert len(found) == len(families) * len(isas)
    assert families == {path.stem for path in (SOURCES / "targets").glob("*.cpp")}
    assert "scalar" in isas
    wrong = {}
    for target, path in sorted(found.items()):
        listing = subprocess.run([nm, "-P", str(path)], capture_output=True, text=True, check=True).stdout
        if problems := faults(target, listing):
            wrong[target] = problems
    assert not wrong
