"""`explain`: candidates, predictions and refusals of operations that have no plan object."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import deepgemm as dg
from deepgemm.ops import gram, sddmm


def candidates(decision):
    return {candidate.kernel: candidate for candidate in decision.candidates}


def sparse(density, shape=(3000, 400), dtype="f4"):
    rng = np.random.default_rng(0)
    return dg.CSR(scipy.sparse.random_array(shape, density=density, format="csr", rng=rng, dtype=dtype))


@pytest.mark.parametrize(("density", "chosen"), [(0.01, "gram_pairs"), (0.9, "gram_matmul")])
@pytest.mark.parametrize("op", ["gram", "sandwich"])
def test_dense_results_are_chosen_by_the_length_of_rows(op, density, chosen):
    decision = gram.planned(op, sparse(density), np.ones(3000, "f4"))
    assert decision.decision.choice.candidate.kernel == chosen
    found = candidates(decision.decision)
    assert all(found[name].predicted > 0 for name in ("gram_pairs", "gram_matmul"))
    assert found["gram_pairs"].layout == "structure:columns"


def test_the_layout_is_paid_once():
    A = sparse(0.05)
    before = candidates(gram.planned("gram", A).decision)["gram_pairs"]
    dg.gram(A, kernel="gram_pairs")
    after = candidates(gram.planned("gram", A).decision)["gram_pairs"]
    assert before.conversion > 0 == after.conversion


def test_refusals_are_shown():
    assert "wants a sparse operand" in str(dg.explain("gram", np.eye(3)))
    whole = dg.CSR(np.eye(3, dtype="i4"))
    assert "native arithmetic is float32" in str(dg.explain("gram", whole))
    assert "gram_rows" in str(dg.explain("sandwich", sparse(0.1), np.ones(3000), sparse=True))
    assert "for whole numbers" in str(dg.explain("gram", sparse(0.1), sparse=True))
    text = str(dg.explain("sddmm", whole, np.ones((3, 2)), np.ones((2, 3))))
    assert "at the entries of" in text
    assert "sddmm_exact  " in text
    assert "no stated order" in text


def test_sampled_products_are_decided():
    def chosen(dtype):
        operands = np.ones((3, 2), dtype), np.ones((2, 3), dtype)
        return sddmm.planned("sddmm", dg.CSR(np.eye(3)), *operands).decision.choice.candidate.kernel

    assert chosen("D") == "sddmm_dots"
    assert chosen("i4") == "sddmm_exact"


def test_they_are_listed():
    listed = str(dg.show_kernels())
    for name in ("gram_pairs", "gram_matmul", "gram_rows", "sddmm_dots", "sandwich_sparse"):
        assert name in listed
    assert "gram_pairs" in str(dg.show_kernels("sandwich"))


def test_matmul_is_its_plan():
    assert str(dg.explain("matmul", sparse(0.1), np.ones((400, 8), "f4"))).startswith("plan for matmul")


@pytest.mark.parametrize(
    ("op", "operands", "options", "error", "message"),
    [
        ("add", (), {}, ValueError, "explain: op is 'add', expected one of 'gram', 'sandwich', 'sddmm'"),
        ("gram", (np.ones(3),), {}, dg.ShapeError, "gram: A has 1 dimension"),
        ("sandwich", (np.eye(3), [1.0]), {}, dg.ShapeError, "sandwich: w has 1 weights but A has 3 rows"),
        ("gram", (np.eye(3),), {"kernel": "gram_pairs"}, dg.UnsupportedError, "wants a sparse operand"),
        (
            "gram",
            (dg.CSR(np.eye(3)),),
            {"kernel": "gram_pairs", "sparse": True},
            dg.UnsupportedError,
            "gram_sparse: kernel asks for gram_pairs",
        ),
    ],
)
def test_bad_input(op, operands, options, error, message):
    with pytest.raises(error, match=message):
        dg.explain(op, *operands, **options)


def test_operands_are_those_of_the_function():
    A = dg.CSR(np.eye(3))
    with pytest.raises(TypeError, match="gram has no weights"):
        dg.explain("gram", A, w=np.ones(3))
    with pytest.raises(TypeError, match="positional"):
        dg.explain("gram", A, np.ones(3))
    with pytest.raises(ValueError, match=r"op is \['gram'\], expected one of"):
        dg.explain(["gram"], A)
