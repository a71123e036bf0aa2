"""The environment is read in one place, checked, and refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepgemm import config
from deepgemm.config import KernelChoice, available_cpus, parse_kernel, settings


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in [name for name in os.environ if name.startswith("DEEPGEMM_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_defaults():
    found = settings()
    assert found.kernel is None
    assert found.layout_bytes is None
    assert found.num_threads is None
    assert found.data_dir is None
    assert not found.check
    assert not found.verbose
    assert found.cache_dir.name == "deepgemm"


def test_the_environment_is_read_at_each_call(monkeypatch):
    assert not settings().check
    monkeypatch.setenv("DEEPGEMM_CHECK", "1")
    assert settings().check
    assert settings() is settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("avx2", ("avx2", None, None)),
        ("AVX512_FP16", ("avx512", "fp16", None)),
        (" csr_rowwise ", (None, None, "csr_rowwise")),
        ("CSR_Rowwise@AVX2", ("avx2", None, "csr_rowwise")),
        ("gemm_packed@avx512_bf16", ("avx512", "bf16", "gemm_packed")),
        ("scalar", ("scalar", None, None)),
    ],
)
def test_parse_kernel(text, expected):
    choice = parse_kernel(text)
    assert (choice.isa, choice.arithmetic, choice.algorithm) == expected


@pytest.mark.parametrize(
    "text", ["avx512_fp17", "avx2_", "", "csr_rowwise@", "csr_rowwise@avx3", "@avx2", "a b", "avx2@avx2"]
)
def test_parse_kernel_lists_the_choices(text):
    with pytest.raises(
        ValueError, match=r"kernel is .*expected an ISA \(scalar, avx2, avx512, neon, sve, rvv\)"
    ):
        parse_kernel(text)


def test_parse_kernel_wants_text():
    with pytest.raises(ValueError, match="kernel is 3, expected a string"):
        parse_kernel(3)  # type: ignore[arg-type]


def test_kernel_names_its_source(monkeypatch):
    monkeypatch.setenv("DEEPGEMM_KERNEL", "avx2")
    assert settings().kernel == KernelChoice("avx2", None, None, "DEEPGEMM_KERNEL")
    monkeypatch.setenv("DEEPGEMM_KERNEL", "avx512_fp99")
    with pytest.raises(ValueError, match="DEEPGEMM_KERNEL is 'avx512_fp99', expected an ISA"):
        settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DEEPGEMM_CHECK", "maybe", "DEEPGEMM_CHECK is 'maybe', expected one of: 0, 1,"),
        ("DEEPGEMM_VERBOSE", "2", "DEEPGEMM_VERBOSE is '2', expected one of"),
        ("DEEPGEMM_NUM_THREADS", "0", "DEEPGEMM_NUM_THREADS is '0', expected a whole number of at least 1"),
        ("DEEPGEMM_NUM_THREADS", "two", "DEEPGEMM_NUM_THREADS is 'two', expected a whole number"),
        ("DEEPGEMM_LAYOUT_BYTES", "-1", "DEEPGEMM_LAYOUT_BYTES is '-1', expected a number of bytes"),
        ("DEEPGEMM_LAYOUT_BYTES", "lots", "DEEPGEMM_LAYOUT_BYTES is 'lots', expected a number of bytes"),
    ],
)
def test_unknown_values_are_refused(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        settings()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0), ("1000", 1000), ("2K", 2048), ("1.5M", 3 << 19), ("2GiB", 2 << 30), ("3 gb", 3 << 30)],
)
def test_layout_bytes(monkeypatch, value, expected):
    monkeypatch.setenv("DEEPGEMM_LAYOUT_BYTES", value)
    assert settings().layout_bytes == expected


def test_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPGEMM_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("DEEPGEMM_DATA_DIR", "~/data")
    assert settings().cache_dir == tmp_path
    assert settings().data_dir == Path("~/data").expanduser()


def test_available_cpus_is_capped_by_openmp(monkeypatch):
    most = available_cpus()
    monkeypatch.setenv("OMP_NUM_THREADS", "1,2")
    assert available_cpus() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert available_cpus() == most
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert available_cpus() == most


def test_num_threads_wins(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("DEEPGEMM_NUM_THREADS", "7")
    assert available_cpus() == 7


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_affinity_counts(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 9})
    monkeypatch.setattr(config, "_cgroup_quota", lambda: None)
    assert available_cpus() == 3
    monkeypatch.setattr(config, "_cgroup_quota", lambda: 1.2)
    assert available_cpus() == 2
    monkeypatch.setattr(config, "_cgroup_quota", lambda: 0.1)
    assert available_cpus() == 1


def test_cgroup_v2_takes_the_tightest_parent(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("0::/outer/inner\n")
    inner = tmp_path / "fs" / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("400000 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    assert config._cgroup_quota(tmp_path / "fs", own) == 1.5
    (inner.parent / "cpu.max").write_text("max 100000\n")
    assert config._cgroup_quota(tmp_path / "fs", own) == 4.0


def test_cgroup_v1(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("3:memory:/x\n2:cpu,cpuacct:/docker/abc\n")
    folder = tmp_path / "fs" / "cpu,cpuacct"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("250000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert config._cgroup_quota(tmp_path / "fs", own) == 2.5
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert config._cgroup_quota(tmp_path / "fs", own) is None


def test_no_cgroup(tmp_path):
    assert config._cgroup_quota(tmp_path, tmp_path / "absent") is None
