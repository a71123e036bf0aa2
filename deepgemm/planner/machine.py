"""The measured rates of this computer, with shipped defaults for each ISA, kept as JSON for each CPU."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .. import _core
from ..config import available_cpus, settings
from .report import Report, Table, join, seconds, size

__all__ = ["Machine", "current", "load", "machine_file", "save", "shipped"]

FORMAT = 1  # of the JSON file; another one is ignored and measured anew

# Bytes of one vector register, which decides how many columns are computed and thrown away.
VECTOR_BYTES = {"scalar": 8, "avx2": 32, "avx512": 64, "neon": 16, "sve": 32, "rvv": 32}

# Shipped defaults: flop/s of one core at about 3 GHz (two FMAs per cycle; one for neon and rvv). The
# scalar target calls the C library's fma, hence its rate.
_FLOPS = {
    "avx512": {"float32": 170e9, "float64": 85e9},
    "avx2": {"float32": 90e9, "float64": 45e9},
    "sve": {"float32": 80e9, "float64": 40e9},
    "neon": {"float32": 40e9, "float64": 20e9},
    "rvv": {"float32": 20e9, "float64": 10e9},
    "scalar": {"float32": 0.8e9, "float64": 0.8e9},
}
# Shipped defaults: bytes per second of one core reading from L1, L2, L3 and memory. Between a virtual
# Xeon (memory 14 GB/s) and a virtual EPYC of 2024 (200, 200, 117 and 42 GB/s).
_BANDWIDTH = (250e9, 120e9, 50e9, 16e9)
# Each further core of a socket adds a little less memory bandwidth than the one before it.
_MEMORY_SCALING = 0.8
_CACHES = (48 << 10, 1 << 20, 32 << 20)
_CALL_SECONDS = 0.5e-6
# With 4 µs, products with a vector of 30,000 to 40,000 entries stayed on one thread: 8.7 µs instead of 6.
_TEAM_SECONDS = 2e-6


@dataclass(frozen=True)
class Machine:
    """Rates that cost functions multiply by; a plain value that can be saved, loaded and compared.

    Attributes
    ----------
    name : str
        The CPU as it calls itself.
    source : str
        "shipped" or "measured".
    cores : int
        CPUs that this process may use.
    isas : tuple of str
        ISAs that run here, best first.
    flops : tuple of (str, tuple of (str, float))
        For each ISA and dtype the flop/s of one core (a multiply-add counts as two).
    caches : tuple of int
        Bytes of L1 and L2 of one core, and of the L3 of all.
    bandwidth : tuple of float
        Bytes per second that one core reads from L1, L2, L3 and memory.
    memory_bandwidth : float
        Bytes per second that all cores together read from memory.
    call : float
        Seconds of one product with nothing to do.
    team : float
        Seconds that waking the other threads adds.
    scales : tuple of (str, float)
        Measured over predicted time of kernels, from calibration.
    """

    name: str
    source: str
    cores: int
    isas: tuple[str, ...]
    flops: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    caches: tuple[int, int, int]
    bandwidth: tuple[float, float, float, float]
    memory_bandwidth: float
    call: float
    team: float
    scales: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        # Look-up tables beside the fields: they take no part in equality, hashing or JSON.
        rates = {(isa, dtype): rate for isa, dtypes in self.flops for dtype, rate in dtypes}
        # The real and imaginary chains of a complex dtype run at the rate of their parts.
        for isa, _ in self.flops:
            rates[isa, "complex64"] = rates[isa, "float32"]
            rates[isa, "complex128"] = rates[isa, "float64"]
        identity = hash((self.name, self.source, self.cores, self.flops, self.bandwidth, self.scales))
        self.__dict__.update(_rates=rates, _scales=dict(self.scales), _hash=identity)

    def __hash__(self) -> int:
        return self._hash

    if TYPE_CHECKING:
        _hash: ClassVar[int]
        _rates: ClassVar[dict[tuple[str, str], float]]
        _scales: ClassVar[dict[str, float]]

    def flop_rate(self, isa: str, dtype: str) -> float:
        """Return the real flop/s of one core; complex dtypes count eight real flops a multiply-add."""
        return self._rates[isa, dtype]

    def vector_bytes(self, isa: str) -> int:
        """Return the bytes of one vector register of an ISA."""
        return VECTOR_BYTES[isa]

    def scale(self, kernel: str) -> float:
        """Return what calibration found a kernel's predictions to be off by; 1 where it was not measured."""
        return self._scales.get(kernel, 1.0)

    def read(self, nbytes: float, footprint: float, threads: int = 1) -> float:
        """Return the seconds to read `nbytes` in lines, out of a working set of `footprint` bytes.

        The working set lies in the innermost caches that hold it. Between L3 and memory the part
        that does not fit is charged to memory, because that step is large and its edge is blurred.
        """
        l1, l2, l3 = self.caches
        if footprint <= l2 * threads:
            inner = self.bandwidth[0] if footprint <= l1 * threads else self.bandwidth[1]
            return nbytes / (inner * threads)
        missed = max(0.0, 1.0 - l3 / footprint)
        memory = min(self.bandwidth[3] * threads, self.memory_bandwidth)
        return nbytes * ((1.0 - missed) / (self.bandwidth[2] * threads) + missed / memory)

    def report(self) -> Report:
        """Return the rates as a readable table."""
        levels = ("L1", "L2", "L3", "memory")
        sizes = (*(size(b) for b in self.caches), "")
        rows = tuple(
            (level, nbytes, f"{rate / 1e9:.0f} GB/s")
            for level, nbytes, rate in zip(levels, sizes, self.bandwidth, strict=True)
        )
        rates = tuple(
            (isa, *(f"{dict(dtypes).get(d, 0) / 1e9:.1f}" for d in ("float32", "float64")))
            for isa, dtypes in self.flops
        )
        source = "measured by deepgemm calibrate"
        if self.source != "measured":
            source = "shipped defaults (deepgemm calibrate measures them)"
        facts = (
            ("CPUs in use", str(self.cores)),
            ("ISAs", join(self.isas)),
            ("rates", source),
            ("memory, all cores", f"{self.memory_bandwidth / 1e9:.0f} GB/s"),
            ("empty call", seconds(self.call)),
            ("waking threads", seconds(self.team)),
        )
        tables = [
            Table(("ISA", "float32 GFLOP/s>", "float64 GFLOP/s>"), rates),
            Table(("level", "size>", "one core>"), rows),
        ]
        if self.scales:
            corrections = tuple((kernel, f"{factor:.2f}") for kernel, factor in self.scales)
            tables.append(Table(("kernel", "measured / predicted>"), corrections))
        return Report(f"machine: {self.name}", facts, tuple(tables))

    def to_dict(self) -> dict[str, Any]:
        """Return the machine as plain values that JSON can hold."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Machine:
        """Rebuild a machine from what `to_dict` or JSON made of it."""
        values = {key: value for key, value in values.items() if key != "format"}
        values["flops"] = tuple((isa, tuple((d, r) for d, r in rates)) for isa, rates in values["flops"])
        values["scales"] = tuple((kernel, factor) for kernel, factor in values["scales"])
        for name in ("isas", "caches", "bandwidth"):
            values[name] = tuple(values[name])
        return cls(**values)


def shipped(cores: int | None = None) -> Machine:
    """Return the shipped defaults for the ISAs and caches of this CPU."""
    info = _core.cpu_info()
    isas = tuple(info["usable"])
    cores = available_cpus() if cores is None else cores
    found = (int(info.get("l1d", 0)), int(info.get("l2", 0)), int(info.get("l3", 0)))
    caches = tuple(seen or default for seen, default in zip(found, _CACHES, strict=True))
    return Machine(
        name=str(info.get("name", "unknown CPU")),
        source="shipped",
        cores=cores,
        isas=isas,
        flops=tuple((isa, tuple(_FLOPS[isa].items())) for isa in isas),
        caches=(caches[0], caches[1], caches[2]),
        bandwidth=_BANDWIDTH,
        memory_bandwidth=_BANDWIDTH[3] * cores**_MEMORY_SCALING,
        call=_CALL_SECONDS,
        team=_TEAM_SECONDS,
    )


def machine_file(name: str | None = None) -> Path:
    """Return where the rates of the CPU of that name (default: this one) are kept."""
    name = str(_core.cpu_info().get("name", "unknown CPU")) if name is None else name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "cpu"
    return settings().cache_dir / f"machine-{slug}.json"


def save(machine: Machine, path: str | os.PathLike[str] | None = None) -> Path:
    """Write a machine to a JSON file, in one step, and return the file's path."""
    target = machine_file(machine.name) if path is None else Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.write_text(json.dumps(machine.to_dict(), indent=1) + "\n", encoding="utf-8")
    draft.replace(target)
    _cached.cache_clear()
    return target


def load(path: str | os.PathLike[str]) -> Machine:
    """Read a machine from a JSON file.

    Raises
    ------
    ValueError
        If the file is not one that `save` of this version wrote.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}, expected {FORMAT}")
        return Machine.from_dict(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} is not a machine file of this version: {error}") from error


def current(cache_dir: Path | None = None) -> Machine:
    """Return the rates that plans are made with: measured ones if there are any, else the defaults.

    Parameters
    ----------
    cache_dir : pathlib.Path, optional
        Where the file of measured rates is looked for; by default that of the settings.
    """
    return _cached(settings().cache_dir if cache_dir is None else cache_dir)


@lru_cache(maxsize=4)
def _cached(folder: Path) -> Machine:
    default = shipped()
    path = machine_file(default.name)
    if not path.is_file():
        return default
    try:
        found = load(path)
    except (OSError, ValueError):
        return default  # an older version's file, or a half-copied one: the next calibration replaces it
    # Rates travel with the CPU's name, but what may run is decided here and now.
    if set(default.isas) <= {isa for isa, _ in found.flops}:
        return replace(found, isas=default.isas, cores=default.cores)
    return default
