"""The problems whose decisions are kept in golden_plans.json; run as a script to write it anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("golden_plans.json")

SPARSE = {
    "tiny": {"shape": (100, 100), "nnz": 500},
    "small": {"shape": (2_000, 2_000), "nnz": 20_000},
    "recommender": {"shape": (60_000, 20_000), "nnz": 2_000_000, "max_row": 5_000},
    "weights-2%": {"shape": (2_048, 2_048), "nnz": 83_886, "max_row": 60, "near": 0.5},
    "weights-30%": {"shape": (2_048, 2_048), "nnz": 1_258_291, "max_row": 680, "near": 1.0},
    "large": {"shape": (1_000_000, 1_000_000), "nnz": 20_000_000, "max_row": 60, "near": 0.1},
    "one-huge-row": {
        "shape": (10_000, 1_000_000),
        "nnz": 1_100_000,
        "max_row": 1_000_000,
        "window_fill": 0.1,
    },
    "empty": {"shape": (1_000, 1_000), "nnz": 0, "max_row": 0},
}
DENSE = {
    "vector": {"m": 1, "k": 4096, "n": 4096},
    "tiny": {"m": 16, "k": 16, "n": 16},
    "square": {"m": 1024, "k": 1024, "n": 1024},
    "mostly-zero": {"m": 1024, "k": 1024, "n": 1024, "zero_share": 0.98},
    "half-zero": {"m": 1024, "k": 1024, "n": 1024, "zero_share": 0.6},
}


def problems(make: Any) -> Iterator[tuple[str, Any]]:
    for name, spec in SPARSE.items():
        for format in ("csr", "csc", "coo"):
            for columns in (None, 8, 128):
                for reuse in (None, 1000):
                    operand = make.sparse_spec(format, **spec)
                    title = f"{name} {format} columns={columns or 'vector'} reuse={reuse}"
                    yield title, make.sparse(columns, spec=operand, reuse=reuse)
    for dtype in ("float64", "complex64", "int32"):
        yield f"small csr {dtype}", make.sparse(32, dtype=dtype)
    yield "small right csr", make.sparse(32, "right")
    yield "small right csc", make.sparse(32, "right", spec=make.sparse_spec("csc"))
    half = make.sparse_spec(dtype="float16")
    yield (
        "half csr",
        make.sparse(32, spec=half, accumulator="float32", output="float16", other_dtype="float16"),
    )
    yield "small csr any order", make.sparse(32, reproducible=False)
    yield "small csr one thread", make.sparse(32, threads=1)
    for name, spec in DENSE.items():
        for reuse in (None, 1000):
            yield f"dense {name} reuse={reuse}", make.dense(**spec, reuse=reuse)
    yield "dense square any order", make.dense(1024, 1024, 1024, reproducible=False)
    yield "dense integers", make.dense(64, 64, 64, dtype="int64")
    for dtype in ("int8", "int4"):
        for m in (1, 512):
            for reuse in (None, 1000):
                yield f"quantized {dtype} m={m} reuse={reuse}", make.quantized(m, dtype=dtype, reuse=reuse)
    yield "quantized little memory", make.quantized(layout_limit=1 << 20)
    yield "quantized both", make.quantized(both=True)
    yield "quantized both in groups", make.quantized(both=True, group=32)


def decisions(make: Any, machine: Any) -> dict[str, dict[str, Any]]:
    from deepgemm.planner.decision import decide

    found = {}
    for name, problem in problems(make):
        choice = decide(problem, machine).choice
        found[name] = {"kernel": choice.candidate.name, "threads": choice.candidate.threads}
        if choice.candidate.layout:
            found[name]["layout"] = choice.candidate.layout
        if choice.target is not None and choice.target.conversion:
            found[name]["saving for"] = f"{choice.target.name} ({choice.target.layout})"
    return found


def text(found: dict[str, dict[str, Any]]) -> str:
    lines = [f" {json.dumps(name)}: {json.dumps(decision)}" for name, decision in found.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load_neighbour(name: str) -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    import types

    import deepgemm  # noqa: F401  (loads the kernels)
    from deepgemm.planner import machine as machines

    source = load_neighbour("conftest")
    make = types.SimpleNamespace(
        sparse_spec=source.sparse_spec,
        sparse=source.sparse_problem,
        dense=source.dense_problem,
        quantized=source.quantized_problem,
    )
    FILE.write_text(
        text(decisions(make, machines.load(FILE.with_name("machine_avx512.json")))), encoding="utf-8"
    )
