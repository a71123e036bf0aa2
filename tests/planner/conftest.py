"""A fixed machine and problems made by hand, so that decisions do not depend on where tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

import deepgemm  # noqa: F401  (loads the kernels)
from deepgemm.planner import machine as machines
from deepgemm.planner.problem import OperandSpec, Problem, Scaling
from deepgemm.planner.structure import Structure


@pytest.fixture(scope="session")
def machine():
    return machines.load(Path(__file__).with_name("machine_avx512.json"))


def sparse_spec(format="csr", shape=(10_000, 10_000), nnz=200_000, dtype="float32", **kwargs):
    m, k = shape
    longest = kwargs.pop("max_row", min(k, 3 * nnz // max(m, 1) + 1))
    structure = Structure(
        nnz,
        nnz / max(m * k, 1),
        "col" if format == "csc" else "row",
        max_row=longest,
        near=kwargs.pop("near", 0.3),
        window_fill=kwargs.pop("window_fill", 0.9),
    )
    return OperandSpec(format, shape, dtype, structure, index_bytes=4, **kwargs)


def dense_spec(shape, dtype="float32", zero_share=None, **kwargs):
    elements = 1
    for extent in shape:
        elements *= extent
    density = 1.0 - (zero_share or 0.0)
    return OperandSpec(
        "dense", shape, dtype, Structure(round(elements * density), density, zero_share=zero_share), **kwargs
    )


def sparse_problem(columns=32, side="left", dtype="float32", spec=None, **kwargs):
    spec = sparse_spec(dtype=dtype) if spec is None else spec
    m, k = spec.shape
    accumulator = kwargs.pop("accumulator", dtype)
    output = kwargs.pop("output", dtype)
    kwargs.setdefault("threads", 2)
    inner = k if side == "left" else m
    if columns is None:
        other = dense_spec((inner,), kwargs.pop("other_dtype", dtype))
    else:
        shape = (inner, columns) if side == "left" else (columns, inner)
        other = dense_spec(shape, kwargs.pop("other_dtype", dtype))
    left, right = (spec, other) if side == "left" else (other, spec)
    return Problem(left, right, accumulator, output, side, **kwargs)


def dense_problem(m=500, k=500, n=500, dtype="float32", fixed="right", zero_share=None, **kwargs):
    kwargs.setdefault("threads", 2)
    shares = {"left": (zero_share, None), "right": (None, zero_share)}[fixed]
    left, right = dense_spec((m, k), dtype, shares[0]), dense_spec((k, n), dtype, shares[1])
    return Problem(
        left, right, kwargs.pop("accumulator", dtype), kwargs.pop("output", dtype), fixed, **kwargs
    )


def quantized_spec(shape, dtype="int8", block=None, scales="float32", zero_points=False):
    block = (1, shape[1]) if block is None else block
    scaling = Scaling(block, scales, zero_points, False)
    return OperandSpec("quantized", shape, dtype, Structure(shape[0] * shape[1], 1.0), scaling=scaling)


def quantized_problem(m=16, k=4096, n=4096, dtype="int8", both=False, **kwargs):
    kwargs.setdefault("threads", 2)
    group = kwargs.pop("group", k)
    right = quantized_spec((k, n), dtype, (group, 1))
    left = quantized_spec((m, k), "int8", (1, group)) if both else dense_spec((m, k))
    return Problem(left, right, "float32", "float32", "left" if both else "right", **kwargs)


@pytest.fixture(scope="session")
def make():
    """The functions above, because test modules cannot import a conftest."""

    class Make:
        sparse_spec = staticmethod(sparse_spec)
        dense_spec = staticmethod(dense_spec)
        sparse = staticmethod(sparse_problem)
        dense = staticmethod(dense_problem)
        quantized = staticmethod(quantized_problem)

    return Make
