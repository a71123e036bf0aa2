"""`show_kernels` and `show_machine` give tables; `import deepgemm` stays light."""

from __future__ import annotations

import deepgemm as dg
from deepgemm import _core
from deepgemm.kernels import registry


def test_show_kernels_lists_all():
    text = str(dg.show_kernels())
    for kernel in registry.kernels():
        assert kernel.name in text
        assert kernel.summary in text
    assert "<table" in dg.show_kernels()._repr_html_()
    assert not dg.show_kernels("convolution").tables[0].rows


def test_show_machine():
    assert str(dg.show_machine()).startswith("machine:")
    assert "GB/s" in repr(dg.show_machine())


def test_names_are_unique_and_described():
    operations = {kernel.op for kernel in registry.kernels()}
    for op in operations:
        assert len(registry.names(op)) == len(registry.kernels(op))
    assert set(registry.names()) == {name for op in operations for name in registry.names(op)}
    assert len(set(registry.names())) == len(registry.names())
    assert all(kernel.summary for kernel in registry.kernels())


def test_registering_a_name_again_replaces_it():
    kernel = registry.find("matmul", "scipy")
    before = registry.kernels()
    registry.register(kernel)
    assert registry.kernels() == before


def test_public_names():
    assert set(dg.__all__) <= set(dir(dg))
    for name in ("CSR", "CSC", "COO", "BSR", "matmul", "plan", "structure", "threads", "bfloat16"):
        assert name in dg.__all__


def test_show_kernels_tells_where_instructions_are_missing(monkeypatch):
    found = _core.cpu_info()
    monkeypatch.setattr(_core, "cpu_info", lambda: {**found, "features": []})
    rows = {row[0]: row[3] for row in dg.show_kernels("matmul").tables[0].rows}
    assert rows["gemm_halves"] == "none: the CPU has no fp16"
    assert rows["gemm_packed"] == ", ".join(found["usable"])
    monkeypatch.setattr(_core, "cpu_info", lambda: {**found, "features": ["fp16"]})
    rows = {row[0]: row[3] for row in dg.show_kernels("matmul").tables[0].rows}
    assert rows["gemm_halves"] == "avx512"
