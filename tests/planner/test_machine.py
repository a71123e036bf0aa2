"""Machines are values with files; rates decide by level and thread."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deepgemm.planner import machine as machines
from deepgemm.planner.machine import Machine


def test_json_round_trip(machine, tmp_path):
    path = machines.save(machine, tmp_path / "deep" / "m.json")
    assert machines.load(path) == machine
    assert hash(machines.load(path)) == hash(machine)
    assert list(tmp_path.rglob("*.json*")) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "name": "x"}', "\x00"])
def test_files_of_other_kinds_are_refused(tmp_path, text):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"m\.json is not a machine file of this version"):
        machines.load(path)


def test_shipped_rates_cover_this_computer():
    machine = machines.shipped()
    assert machine.source == "shipped"
    assert machine.isas
    for isa in machine.isas:
        for dtype in ("float32", "float64", "complex64", "complex128"):
            assert machine.flop_rate(isa, dtype) > 0
    assert all(level > 0 for level in machine.caches)


def test_outer_levels_are_slower(machine):
    times = [machine.read(1 << 20, footprint) for footprint in (1 << 14, 1 << 20, 1 << 24, 1 << 30)]
    assert times == sorted(times)
    assert times[0] == (1 << 20) / machine.bandwidth[0]
    assert times[2] == (1 << 20) / machine.bandwidth[2]


def test_threads_share_memory_but_not_caches(machine):
    assert machine.read(1e6, 1 << 20, 2) == machine.read(1e6, 1 << 20, 1) / 2
    far = 1 << 40
    assert machine.read(1e9, far, 2) == pytest.approx(1e9 / machine.memory_bandwidth, rel=1e-3)


def test_the_cached_file_counts(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_CACHE_DIR", str(tmp_path))
    assert machines.current().source == "shipped"
    default = machines.shipped()
    machines.save(replace(default, source="measured", call=1e-3))
    assert machines.current().call == 1e-3
    assert machines.current().source == "measured"
    # What may run is decided by the process, not by the file.
    machines.save(replace(default, source="measured", call=1e-3, cores=default.cores + 7))
    assert machines.current().cores == default.cores


def test_a_broken_or_foreign_cache_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPGEMM_CACHE_DIR", str(tmp_path))
    path = machines.machine_file()
    path.write_text("{ torn")
    machines._cached.cache_clear()
    assert machines.current().source == "shipped"
    values = machines.shipped().to_dict()
    values["flops"] = []
    path.write_text(json.dumps(values))
    machines._cached.cache_clear()
    assert machines.current().source == "shipped"
    machines._cached.cache_clear()


def test_calibration_gives_sane_rates(tmp_path, monkeypatch):
    from deepgemm.planner import calibration

    monkeypatch.setattr(calibration, "SECONDS_EACH", 0.005)
    monkeypatch.setattr(calibration, "SAMPLES", ((600, 600, 10, 1), (600, 600, 10, 8)))
    lines: list[str] = []
    machine = calibration.calibrate(lines.append)
    assert machine.source == "measured"
    assert len(lines) >= 5
    assert Machine.from_dict(json.loads(json.dumps(machine.to_dict()))) == machine
    best = machine.isas[0]
    assert 1e8 < machine.flop_rate(best, "float64") <= machine.flop_rate(best, "float32") * 1.5
    assert list(machine.bandwidth) == sorted(machine.bandwidth, reverse=True)
    assert 0 < machine.call < 1e-3
    assert 0 < machine.team < 1e-3
    assert {"csr_rowwise", "csr_vector", "sell_vector"} <= {name for name, _ in machine.scales}
    assert all(calibration.LEAST_SCALE <= scale <= calibration.MOST_SCALE for _, scale in machine.scales)


def test_shown(machine):
    text = str(machine.report())
    assert text.startswith("machine: golden server CPU")
    assert "measured by deepgemm calibrate" in text
    assert "200.0" in text
    assert "<table" in machine.report()._repr_html_()
