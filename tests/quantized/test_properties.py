"""Whatever is drawn: values are those of the statement, errors within bounds, bytes and pickles come back."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deepgemm as dg
from deepgemm import reference
from deepgemm.testing import assert_same

WHOLE = ("int8", "uint8", "int4", "uint4", "int2", "uint2")
numbers = st.floats(-(2.0**60), 2.0**60, width=32)
options = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(WHOLE),
        "symmetric": st.booleans(),
        "scale_dtype": st.sampled_from(["float32", dg.bfloat16]),
    }
)
scalings = st.sampled_from(
    [{}, {"axis": 0}, {"axis": 1}, {"axis": 0, "group_size": 3}, {"axis": 1, "group_size": 2}]
)


def matrices(rows, columns):
    return hnp.arrays(np.float32, st.tuples(rows, columns), elements=numbers)


def drawn(data, rows, columns):
    x = data.draw(matrices(st.just(rows), st.just(columns)))
    return x, {**data.draw(options), **data.draw(scalings)}


def quantized(x, chosen):
    return dg.quantize(x, **chosen)


@settings(max_examples=80, deadline=None, print_blob=True)
@given(st.data(), st.integers(0, 6), st.integers(0, 9))
def test_quantize(data, rows, columns):
    x, chosen = drawn(data, rows, columns)
    made = dg.quantize(x, **chosen)
    values, scales, _ = reference.quantize(x, **chosen)
    assert_same(made.values.astype(np.int64), values.astype(np.int64))
    assert_same(made.scales, scales)
    w = made.dequantize()
    assert_same(w, reference.dequantize(made))
    assert_same(pickle.loads(pickle.dumps(made)).dequantize(), w)
    assert_same(made.T.dequantize(), w.T)
    if x.size:
        of_row, of_column = (np.arange(n) // b for n, b in zip(x.shape, made.block, strict=True))
        scale = made.scales.astype(np.float64)[of_row][:, of_column]
        allowed = (0.5 if chosen["symmetric"] else 1.0) * scale * (1 + 1e-5)
        assert (np.abs(w.astype(np.float64) - x) <= allowed).all()


@settings(max_examples=60, deadline=None, print_blob=True)
@given(st.data(), st.integers(1, 4), st.integers(1, 9), st.integers(1, 4))
def test_products(data, m, k, n):
    A, right = (quantized(*drawn(data, *shape)) for shape in ((m, k), (k, n)))
    B = data.draw(matrices(st.just(k), st.just(n)))
    for other in (B, right):
        product = A @ other
        assert_same(product, reference.matmul(A, other))
        bound = dg.error_bound(A, other)
        wide = other.dequantize() if isinstance(other, dg.Quantized) else other
        exact = A.dequantize().astype(np.float64) @ wide.astype(np.float64)
        size = np.abs(A.dequantize()).astype(np.float64) @ np.abs(wide).astype(np.float64)
        # The numbers here are rounded to float32 themselves, and their product to float64.
        assert (np.abs(product - exact) <= bound + 2.0**-22 * size).all()


@settings(max_examples=60, deadline=None, print_blob=True)
@given(st.data(), st.sampled_from(["fused_8bit_rowwise", "fused_4bit_rowwise", "fused_2bit_rowwise"]))
def test_bytes(data, layout):
    shapes, elements = hnp.array_shapes(min_dims=2, max_dims=2), st.floats(-6e4, 6e4, width=32)
    x = data.draw(hnp.arrays(np.float32, shapes, elements=elements))
    made = dg.quantize_table(x, layout)
    again = dg.Quantized.from_bytes(made.to_bytes(layout), layout, columns=x.shape[1])
    assert_same(again.dequantize(), made.dequantize())
    assert_same(again.to_bytes(layout), made.to_bytes(layout))
