"""Everything that is read from the environment and the operating system, in one place."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UnsupportedError

__all__ = [
    "FEATURES",
    "ISAS",
    "KernelChoice",
    "Settings",
    "available_cpus",
    "available_memory",
    "forced_isa",
    "parse_bytes",
    "parse_kernel",
    "refuse_other_kernels",
    "settings",
]

ISAS = ("scalar", "avx2", "avx512", "neon", "sve", "rvv")
FEATURES = ("fp16", "bf16", "vnni", "amx")

_VARIABLES = (
    "DEEPGEMM_KERNEL",
    "DEEPGEMM_CHECK",
    "DEEPGEMM_LAYOUT_BYTES",
    "DEEPGEMM_NUM_THREADS",
    "DEEPGEMM_CACHE_DIR",
    "DEEPGEMM_DATA_DIR",
    "DEEPGEMM_VERBOSE",
)
_SWITCH = {"": False, "0": False, "false": False, "off": False, "no": False}
_SWITCH |= {"1": True, "true": True, "on": True, "yes": True}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True)
class KernelChoice:
    """What a caller or `DEEPGEMM_KERNEL` forces; None leaves the choice to the planner.

    Attributes
    ----------
    isa : str or None
        Instruction set that native kernels must use.
    arithmetic : str or None
        Feature group whose arithmetic must be used, such as "fp16".
    algorithm : str or None
        Name of the kernel; the planner checks it against the registry.
    argument : str
        Where the choice came from, for messages.
    """

    isa: str | None = None
    arithmetic: str | None = None
    algorithm: str | None = None
    argument: str = "kernel"


@dataclass(frozen=True)
class Settings:
    """The environment variables of deepgemm, read and checked.

    Attributes
    ----------
    kernel : KernelChoice or None
        `DEEPGEMM_KERNEL`.
    check : bool
        `DEEPGEMM_CHECK`: compare all shared memory, not samples, before every product.
    layout_bytes : int or None
        `DEEPGEMM_LAYOUT_BYTES`: bound on the bytes of converted copies; None means the default.
    num_threads : int or None
        `DEEPGEMM_NUM_THREADS`.
    cache_dir : pathlib.Path
        `DEEPGEMM_CACHE_DIR`: where calibrated machine files are kept.
    data_dir : pathlib.Path or None
        `DEEPGEMM_DATA_DIR`: where data sets are looked for first.
    verbose : bool
        `DEEPGEMM_VERBOSE`: log each plan through `logging`.
    """

    kernel: KernelChoice | None
    check: bool
    layout_bytes: int | None
    num_threads: int | None
    cache_dir: Path
    data_dir: Path | None
    verbose: bool


# The mapping behind `os.environ`, where there is one: looking up seven names takes half a microsecond there,
# and five through `os.environ`, which encodes each name and decodes each value.
_stored: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
_KEYS: tuple[Any, ...] = _VARIABLES if _stored is os.environ else tuple(map(os.environ.encodekey, _VARIABLES))

_last: tuple[tuple[Any, ...], Settings] | None = None


def settings() -> Settings:
    """Return the settings that the environment asks for now.

    The environment is read at each call; parsing is skipped while it is unchanged.

    Raises
    ------
    ValueError
        If a variable holds a value that is not one of its choices.

    Examples
    --------
    >>> settings().verbose
    False
    """
    global _last
    raw = tuple(map(_stored.get, _KEYS))
    last = _last
    if last is not None and last[0] == raw:
        return last[1]
    kernel, check, layout_bytes, num_threads, cache_dir, data_dir, verbose = map(os.environ.get, _VARIABLES)
    parsed = Settings(
        kernel=parse_kernel(kernel, "DEEPGEMM_KERNEL") if kernel else None,
        check=_switch("DEEPGEMM_CHECK", check),
        layout_bytes=parse_bytes("DEEPGEMM_LAYOUT_BYTES", layout_bytes) if layout_bytes else None,
        num_threads=_count("DEEPGEMM_NUM_THREADS", num_threads),
        cache_dir=Path(cache_dir).expanduser() if cache_dir else _default_cache_dir(),
        data_dir=Path(data_dir).expanduser() if data_dir else None,
        verbose=_switch("DEEPGEMM_VERBOSE", verbose),
    )
    _last = (raw, parsed)
    return parsed


def forced_isa(op: str) -> str | None:
    """Return the ISA that `DEEPGEMM_KERNEL` asks for, if any, of an operation with one kernel for each ISA.

    It is cheaper than `settings()`, and what may stand below `deepgemm.ops` uses.

    Raises
    ------
    ValueError
        If the variable is malformed.
    UnsupportedError
        If a kernel of another operation, or another arithmetic, is forced.

    Examples
    --------
    >>> forced_isa("sum") in (None, *ISAS)
    True
    """
    if not _stored.get(_KEYS[0]):  # os.environ.get() itself takes as long as a sum of a few segments
        return None
    choice = parse_kernel(os.environ[_VARIABLES[0]], _VARIABLES[0])
    refuse_other_kernels(op, choice)
    return choice.isa


def refuse_other_kernels(op: str, choice: KernelChoice) -> None:
    """Raise if a choice names more than the ISA of an operation that has one kernel for each ISA.

    Raises
    ------
    UnsupportedError
        If it names an algorithm or an arithmetic.

    Examples
    --------
    >>> refuse_other_kernels("sum", parse_kernel("avx2"))
    >>> refuse_other_kernels("sum", parse_kernel("csr_tiled"))
    Traceback (most recent call last):
    deepgemm.errors.UnsupportedError: sum: kernel cannot be obeyed, sum has one kernel only
    """
    if choice.algorithm is not None or choice.arithmetic is not None:
        raise UnsupportedError(f"{op}: {choice.argument} cannot be obeyed, {op} has one kernel only")


def parse_kernel(text: str, argument: str = "kernel") -> KernelChoice:
    """Read the name of an ISA, an ISA with an arithmetic, an algorithm, or an algorithm at an ISA.

    Parameters
    ----------
    text : str
        `avx2`, `AVX512_FP16`, `csr_rowwise` or `csr_rowwise@avx2`; case does not matter.
    argument : str
        Name of the caller's argument or variable, for the message.

    Raises
    ------
    ValueError
        If the text is none of these; the message lists the choices. Whether an algorithm of that
        name exists is checked by the planner, which knows the registry.

    Examples
    --------
    >>> parse_kernel("AVX512_FP16")
    KernelChoice(isa='avx512', arithmetic='fp16', algorithm=None, argument='kernel')
    >>> parse_kernel("csr_rowwise@avx2").algorithm
    'csr_rowwise'
    """
    if not isinstance(text, str):
        raise ValueError(f"{argument} is {text!r}, expected a string: {_choices()}")
    word = text.strip().lower()
    algorithm, at, isa_text = word.partition("@")
    if not at:
        isa, arithmetic = _parse_isa(word)
        if isa is not None:
            return KernelChoice(isa, arithmetic, None, argument)
        isa_text = ""
    isa, arithmetic = _parse_isa(isa_text) if at else (None, None)
    looks_like_isa = any(algorithm == name or algorithm.startswith(f"{name}_") for name in ISAS)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", algorithm) or looks_like_isa or (at and isa is None):
        raise ValueError(f"{argument} is {text!r}, expected {_choices()}")
    return KernelChoice(isa, arithmetic, algorithm, argument)


def available_cpus() -> int:
    """Return how many threads a product may use by default.

    That is the number of CPUs this process may run on (affinity), lowered to the CPU quota of its
    control group rounded up, and capped by `OMP_NUM_THREADS`. `DEEPGEMM_NUM_THREADS` overrides all.

    Examples
    --------
    >>> available_cpus() >= 1
    True
    """
    forced = settings().num_threads
    if forced is not None:
        return forced
    # Not on every system: macOS and Windows have no affinity call in the standard library.
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quota = _cgroup_quota()
    if quota is not None:
        count = min(count, max(1, math.ceil(quota)))
    # A list means nesting levels; the first is the outermost. What OpenMP itself would ignore is ignored.
    omp = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if omp.isdigit() and int(omp) > 0:
        count = min(count, int(omp))
    return max(1, count)


def available_memory() -> int | None:
    """Return the bytes that this process may still use, or None where the system does not tell.

    The least of what the kernel calls available and what the control group leaves.

    Examples
    --------
    >>> available_memory() is None or available_memory() > 0
    True
    """
    found = [value for value in (_memory_of_machine(), _memory_of_group()) if value is not None]
    return min(found) if found else None


def _choices() -> str:
    isas = ", ".join(ISAS)
    features = ", ".join(FEATURES)
    return (
        f"an ISA ({isas}), an ISA with an arithmetic such as avx512_fp16 ({features}), "
        "or the name of a kernel (deepgemm.show_kernels() lists them), optionally followed by @ISA"
    )


def _parse_isa(word: str) -> tuple[str | None, str | None]:
    isa, underscore, arithmetic = word.partition("_")
    if isa not in ISAS or (underscore and arithmetic not in FEATURES):
        return None, None
    return isa, arithmetic or None


def _switch(name: str, value: str | None) -> bool:
    if value is None:
        return False
    known = _SWITCH.get(value.strip().lower())
    if known is None:
        raise ValueError(f"{name} is {value!r}, expected one of: 0, 1, false, true, off, on, no, yes")
    return known


def _count(name: str, value: str | None) -> int | None:
    if not value:
        return None
    if not value.strip().isdigit() or int(value) < 1:
        raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
    return int(value)


def parse_bytes(name: str, value: str) -> int:
    """Return the bytes that a text such as "500000000", "512M" or "4GiB" means; units are powers of 1024.

    Examples
    --------
    >>> parse_bytes("memory_budget", "4GiB") == 4 * 2**30
    True
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", value.strip().lower())
    if match is None:
        raise ValueError(f"{name} is {value!r}, expected a number of bytes such as 500000000, 512M or 2G")
    return int(float(match[1]) * _UNITS[match[2]])


def _default_cache_dir() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # an account without a home directory, as in some containers
        import tempfile

        home = Path(tempfile.gettempdir())
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(home / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    return Path(base) / "deepgemm"


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the CPUs that this process's control group and its parents grant, None for no bound."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            quotas += _quotas(root, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            for mount in (root / controllers, root / "cpu"):
                quotas += _quotas(mount, path, _quota_v1)
    return min(quotas, default=None)


def _quotas(mount: Path, path: str, read: Callable[[Path], float | None]) -> list[float]:
    # Inside a container the path may be that of the host and not exist here: the mount point itself
    # is then the container's own group.
    parts = [part for part in path.split("/") if part and part != ".."]
    folders = [mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    return [quota for quota in map(read, folders) if quota is not None]


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _memory_of_machine() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None


def _memory_of_group() -> int | None:
    for folder, limit, used, cache in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, now = (int(Path(folder, name).read_text()) for name in (limit, used))
            words = Path(folder, "memory.stat").read_text().split()
            # Files read before count as used, but the kernel gives them up on demand.
            return max(0, most - now + int(words[words.index(cache) + 1]))
        except (OSError, ValueError):  # not there, or the word "max"
            continue
    return None
