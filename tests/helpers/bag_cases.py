"""Tables and bags for tests of embedding bags."""

from __future__ import annotations

import zlib

import numpy as np

import deepgemm as dg
from deepgemm.testing import random_values

ROWS = 37
PLAIN = ("float32", "float64", "float16", "bfloat16")
# dtype of the values, layout of FBGEMM or quantize()
QUANTISED = {
    "int8": lambda x: dg.quantize(x, "int8", axis=0),
    "uint8": lambda x: dg.quantize(x, "uint8", axis=0, symmetric=False),
    "int4": lambda x: dg.quantize(x, "int4", axis=0),
    "int4 zero": lambda x: dg.quantize(x, "int4", axis=0, symmetric=False),
    "uint4": lambda x: dg.quantize(x, "uint4", axis=0, symmetric=False),
    "int2": lambda x: dg.quantize(x, "int2", axis=0),
    "uint2": lambda x: dg.quantize(x, "uint2", axis=0, symmetric=False),
    "fused 8": lambda x: dg.quantize_table(x, "fused_8bit_rowwise"),
    "fused 4": lambda x: dg.quantize_table(x, "fused_4bit_rowwise"),
    "fused 2": lambda x: dg.quantize_table(x, "fused_2bit_rowwise"),
    "one scale": lambda x: dg.quantize(x, "int8"),
    "half scales": lambda x: half_scales(x, np.float16),
    "bfloat16 scales": lambda x: half_scales(x, dg.bfloat16),
}
TABLES = (*PLAIN, *QUANTISED)


def half_scales(values, dtype):
    made = dg.quantize(values, "int8", axis=0, symmetric=False)
    return dg.Quantized(made.values, made.scales.astype(dtype), made.zero_points)


def make_table(kind, columns, rows=ROWS):
    values = random_values(f"table{columns}", (rows, columns), "float32" if kind in QUANTISED else kind)
    return QUANTISED[kind](values) if kind in QUANTISED else values


def make_bags(lengths, rows=ROWS, index=np.int64, seed="bags", where=np.int64):
    """Random bags with a few ids more than once in a bag."""
    lengths = np.asarray(lengths, where)
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    ids = rng.integers(0, rows, int(lengths.sum())).astype(index)
    return dg.Ragged.from_lengths(ids, lengths)
