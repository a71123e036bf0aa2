"""Who may import whom: the house rules of DESIGN section 4, read off the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "deepgemm": ROOT / "deepgemm",
    "deepgemm.sparse": ROOT / "sparse",
    "deepgemm.datasets": ROOT / "datasets",
}

# What each room may import, besides its own modules. A module belongs to the longest name that fits.
GROUND = ("deepgemm.errors", "deepgemm.config", "deepgemm.dtypes", "deepgemm.rounding")
SHOWN = ("deepgemm.markup", "deepgemm.png")
CORE = ("deepgemm._core",)
TYPES = (*GROUND, *CORE, *SHOWN, "deepgemm.fma", "deepgemm.sparse")
MEASURES = ("deepgemm.planner.structure", "deepgemm.planner.report", "deepgemm.kernels.registry")
PLANNER = (*TYPES, *MEASURES, "deepgemm.planner")
EVERYTHING = ("deepgemm",)
ALLOWED: dict[str, tuple[str, ...]] = {
    "deepgemm.errors": (),
    "deepgemm.dtypes": ("deepgemm.errors",),
    "deepgemm.config": ("deepgemm.errors",),
    "deepgemm.sparse": TYPES,
    "deepgemm.png": (),
    "deepgemm.markup": ("deepgemm.png",),
    "deepgemm.planner.report": SHOWN,
    "deepgemm.planner.structure": (*TYPES, "deepgemm.planner.report"),
    "deepgemm.kernels.registry": TYPES,
    "deepgemm.kernels": (*TYPES, *MEASURES),
    "deepgemm.planner": PLANNER,
    "deepgemm.stated": TYPES,
    "deepgemm.reference": ("deepgemm.fma", "deepgemm.rounding", "deepgemm.stated"),
    "deepgemm.rounding": ("deepgemm.errors", "deepgemm.dtypes"),
    "deepgemm.fma": GROUND,
    "deepgemm.matrices": TYPES,
    "deepgemm.testing": (*TYPES, "deepgemm.reference", "deepgemm.matrices"),
    "deepgemm.ops": (*PLANNER, "deepgemm.kernels"),
    "deepgemm.recommend": EVERYTHING,
    "deepgemm.datasets": EVERYTHING,
    "deepgemm.cli": EVERYTHING,
    "deepgemm": EVERYTHING,
}
ADAPTERS = (
    "deepgemm.kernels.native",
    "deepgemm.kernels.scipy",
    "deepgemm.kernels.numba",
    "deepgemm.kernels.cupy",
)
LOADER = "deepgemm.ops._kernels"

# Not needed to import deepgemm: imported inside functions, each in one file.
OPTIONAL = ("numba", "cupy", "torch", "dask", "matplotlib", "pooch", "mkl", "pyarrow", "awkward")


def _modules() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            found[name] = path
    return found


MODULES = _modules()


def _imports(name: str, path: Path, *, only_at_import: bool) -> list[str]:
    """Return the full names of what a module imports when it runs, type-checking blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` names a module, `from .x import y` an attribute of one.
            for alias in node.names:
                full = f"{source}.{alias.name}"
                found.append(full if full in MODULES or full == "deepgemm._core" else source)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def _room(module: str) -> str:
    return max((room for room in ALLOWED if _inside(module, (room,))), key=len)


def _inside(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_python_imports_go_one_way(module):
    room = _room(module)
    for imported in _imports(module, MODULES[module], only_at_import=False):
        if not _inside(imported, ("deepgemm",)) or _room(imported) == room:
            continue
        # A package's __init__ holds no code, so that naming it imports nothing.
        if imported in ("deepgemm.kernels", "deepgemm.planner", "deepgemm.kernels.native"):
            continue
        assert _inside(imported, ALLOWED[room]), f"{module} imports {imported}, which {room} may not"


def test_the_table_is_not_vacuous():
    assert _room("deepgemm.planner.plan") == "deepgemm.planner"
    assert _room("deepgemm.planner.structure") == "deepgemm.planner.structure"
    assert not _inside("deepgemm.planner.plan", ALLOWED["deepgemm.kernels"])
    assert not _inside("deepgemm.ops.matmul", ALLOWED["deepgemm.sparse"])
    assert "deepgemm.kernels.native.csr" in _imports(LOADER, MODULES[LOADER], only_at_import=True)


def test_adapters_are_loaded_in_one_place():
    for module, path in MODULES.items():
        if module == LOADER or _inside(module, ADAPTERS):
            continue
        loaded = [name for name in _imports(module, path, only_at_import=False) if _inside(name, ADAPTERS)]
        assert not loaded, f"{module} loads {loaded}; only {LOADER} may"


def test_adapters_of_different_providers_do_not_know_each_other():
    for module, path in MODULES.items():
        own = next((adapter for adapter in ADAPTERS if _inside(module, (adapter,))), None)
        if own is not None:
            others = tuple(adapter for adapter in ADAPTERS if adapter != own)
            assert not [
                name for name in _imports(module, path, only_at_import=False) if _inside(name, others)
            ]


def test_optional_packages_are_imported_inside_functions():
    for module, path in MODULES.items():
        early = [
            name for name in _imports(module, path, only_at_import=True) if name.split(".")[0] in OPTIONAL
        ]
        assert not early, f"{module} imports {early} as soon as it is imported"


def test_each_optional_package_is_imported_in_one_file():
    places: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for name in _imports(module, path, only_at_import=False):
            if name.split(".")[0] in OPTIONAL:
                places.setdefault(name.split(".")[0], set()).add(module)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_importing_deepgemm_imports_nothing_optional(tmp_path):
    heavy = (*OPTIONAL, "rich", "threadpoolctl", "pytest", "pandas")
    code = f"import sys, deepgemm; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


def test_every_file_begins_with_what_it_is_for():
    for path in MODULES.values():
        first = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert first, f"{path.relative_to(ROOT)} has no docstring"


# --- C++ ---

CSRC = ROOT / "csrc"
ABOVE = {
    "core": ("core",),
    "simd": ("core", "simd"),
    "kernels": ("core", "simd", "kernels"),
    "targets": ("core", "simd", "kernels", "targets"),
    "bindings": ("core", "bindings"),
}
SOURCES = sorted(p for p in CSRC.rglob("*") if p.suffix in (".h", ".cpp", ".hpp", ".inl"))


def _includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_cpp_includes_go_one_way(path):
    folder = path.relative_to(CSRC).parts[0]
    for include in _includes(path):
        room = include.split("/")[0]
        if room in ABOVE:
            assert room in ABOVE[folder], f"{path.relative_to(CSRC)} includes {include}"
        if folder != "bindings":
            assert "pybind11" not in include, f"{path.relative_to(CSRC)} includes {include}"
            assert include != "Python.h", f"{path.relative_to(CSRC)} includes Python.h"


def test_cpp_sources_were_found():
    assert {path.relative_to(CSRC).parts[0] for path in SOURCES} == set(ABOVE)
