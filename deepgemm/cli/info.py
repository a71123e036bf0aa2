"""`deepgemm info`: what was found on this machine, and what of it is used."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import deepgemm as dg

from .. import _core, config
from ..config import available_memory
from ..kernels import registry
from ..planner import machine
from ..planner.report import Report, join, size
from .console import EXIT_OK, Parser

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_parser"]

_PACKAGES = ("numpy", "scipy", "ml_dtypes", "rich")
_OPTIONAL = ("threadpoolctl", "numba", "torch", "mkl")

_DESCRIPTION = """\
Show the processor, the instruction sets that were found, compiled and are used, the threads and where
their limit comes from, caches, memory, versions, kernels, and the settings in force."""


def add_parser(commands: _SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "info",
        help="show what was found on this machine and what of it is used",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    parser.set_defaults(command=_info)


def _info(arguments: argparse.Namespace) -> int:
    facts = _facts()
    if arguments.json:
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
    else:
        print(_report(facts))
    return EXIT_OK


def _facts() -> dict[str, Any]:
    cpu = _core.cpu_info()
    settings = config.settings()
    forced = settings.kernel.isa if settings.kernel is not None else None
    used, reason = _threads()
    return {
        "version": dg.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in (*_PACKAGES, *_OPTIONAL)},
        "cpu": cpu["name"],
        "isas": {
            "found": list(cpu["isas"]),
            "compiled": list(cpu["compiled"]),
            "used": forced or cpu["usable"][0],
            "forced": forced is not None,
            "features": list(cpu["features"]),
        },
        "threads": {"used": used, "reason": reason, "cpus": os.cpu_count()},
        "caches": {level: cpu[level] for level in ("l1d", "l2", "l3")},
        "memory": available_memory(),
        "kernels": {kernel.name: kernel.provider for kernel in registry.kernels()},
        "rates": {"source": machine.current().source, "file": str(machine.machine_file())},
        "settings": {
            "DEEPGEMM_KERNEL": _choice(settings.kernel),
            "DEEPGEMM_CHECK": settings.check,
            "DEEPGEMM_LAYOUT_BYTES": settings.layout_bytes,
            "DEEPGEMM_NUM_THREADS": settings.num_threads,
            "DEEPGEMM_CACHE_DIR": str(settings.cache_dir),
            "DEEPGEMM_DATA_DIR": None if settings.data_dir is None else str(settings.data_dir),
            "DEEPGEMM_VERBOSE": settings.verbose,
        },
    }


def _report(facts: dict[str, Any]) -> Report:
    isas, threads, caches = facts["isas"], facts["threads"], facts["caches"]
    installed = {name: found for name, found in facts["packages"].items() if found}
    missing = [name for name in _OPTIONAL if name not in installed]
    providers = Counter(facts["kernels"].values())
    kernels = join([f"{number} {provider}" for provider, number in providers.items()])
    rates = "measured by deepgemm calibrate" if facts["rates"]["source"] == "measured" else "shipped defaults"
    lines = [
        ("Python", f"{facts['python']}, {facts['system']}"),
        ("packages", join([f"{name} {found}" for name, found in installed.items()])),
        ("optional ones", f"{join(missing)} not installed" if missing else "all installed"),
        ("CPU", facts["cpu"]),
        ("ISAs found", join([*isas["found"], *(f"+{feature}" for feature in isas["features"])])),
        ("ISAs compiled", join(isas["compiled"])),
        ("ISA used", isas["used"] + (" (forced by DEEPGEMM_KERNEL)" if isas["forced"] else "")),
        ("threads", f"{threads['used']} of {threads['cpus']} CPUs: {threads['reason']}"),
        ("caches", join([f"{name.upper()} {size(value)}" for name, value in caches.items() if value])),
        ("memory", "unknown" if facts["memory"] is None else f"{size(facts['memory'])} available"),
        ("kernels", f"{len(facts['kernels'])}: {kernels}"),
        ("rates", f"{rates} ({facts['rates']['file']})"),
    ]
    # The cache folder has been named above, and always has a value.
    lines += [
        (name, str(value))
        for name, value in facts["settings"].items()
        if name != "DEEPGEMM_CACHE_DIR" and value not in (None, False)
    ]
    return Report(f"deepgemm {facts['version']}", tuple(lines))


def _threads() -> tuple[int, str]:
    """Return the threads of a product and the limit that decided."""
    used = dg.get_num_threads()
    usual = config.available_cpus()
    if used != usual:
        return used, "limited by another library, such as threadpoolctl"
    if config.settings().num_threads is not None:
        return used, "DEEPGEMM_NUM_THREADS"
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    if used < allowed:
        # `available_cpus` caps by these two only.
        asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        return used, "OMP_NUM_THREADS" if asked == str(used) else "the CPU quota of the control group"
    if allowed < (os.cpu_count() or 1):
        return used, "the CPUs that this process may run on (affinity)"
    return used, "all of them"


def _choice(choice: config.KernelChoice | None) -> str | None:
    if choice is None:
        return None
    isa = "_".join(part for part in (choice.isa, choice.arithmetic) if part)
    return "@".join(part for part in (choice.algorithm, isa) if part)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
