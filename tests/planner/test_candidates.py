"""Candidates are ranked, refused with reasons, and chosen as section 6 of the design says."""

from __future__ import annotations

import math

import pytest

from deepgemm import UnsupportedError
from deepgemm.config import KernelChoice
from deepgemm.planner.candidates import choose, rank


def by_name(candidates):
    return {candidate.kernel: candidate for candidate in candidates}


def test_every_kernel_is_a_candidate_or_gives_a_reason(make, machine):
    problems = [
        make.sparse(),
        make.sparse(None),
        make.sparse(side="right"),
        make.dense(),
        make.sparse(dtype="int32"),
    ]
    for problem in problems:
        for candidate in rank(problem, machine):
            if candidate.refused is None:
                assert 0 < candidate.predicted < math.inf
                assert candidate.conversion >= 0
            else:
                assert candidate.refused
                assert candidate.predicted == math.inf


def test_ranked_by_predicted_time_refused_last(make, machine):
    candidates = rank(make.sparse(None), machine)
    served = [c for c in candidates if c.refused is None]
    assert served == sorted(served, key=lambda c: c.predicted)
    assert all(c.refused is not None for c in candidates[len(served) :])


def test_rank_is_pure(make, machine):
    assert rank(make.sparse(), machine) == rank(make.sparse(), machine)


@pytest.mark.parametrize(
    ("kernel", "problem", "reason"),
    [
        ("csr_vector", {"columns": 3}, "wants a vector, this operand has 3 columns"),
        ("sell_vector", {"columns": 3}, "wants a vector, this operand has 3 columns"),
        ("sell_vector", {"columns": None, "dtype": "complex64"}, "slices hold real values only"),
        ("scipy", {}, "rounds in an order of its own; reproducible=False admits it"),
        ("numpy_blas", {}, "wants two dense operands"),
        ("dense_as_csr", {}, "wants two dense operands"),
        ("csr_rowwise", {"dtype": "int32"}, "native arithmetic is float32, float64, complex64, complex128; "),
    ],
)
def test_reasons(make, machine, kernel, problem, reason):
    found = by_name(rank(make.sparse(**problem), machine))[kernel].refused
    assert found is not None
    assert found.startswith(reason)


def test_dense_reasons(make, machine):
    found = by_name(rank(make.dense(), machine))
    assert found["csr_rowwise"].refused == "wants one sparse operand"
    assert (
        found["dense_as_csr"].refused == "looking for zeros would cost more than a hundredth of the product"
    )
    found = by_name(rank(make.dense(zero_share=0.2), machine))
    assert found["dense_as_csr"].refused == "20% of the sampled elements of the right operand are zero"
    found = by_name(rank(make.dense(zero_share=0.99), machine))
    assert found["dense_as_csr"].refused is None
    assert rank(make.dense(zero_share=0.99), machine)[0].kernel == "dense_as_csr"


def test_integers_go_to_scipy_and_numpy(make, machine):
    assert choose(*_ranked(make.sparse(dtype="int32"), machine)).candidate.kernel == "scipy"
    assert choose(*_ranked(make.dense(dtype="int64"), machine)).candidate.kernel == "numpy_blas"


def test_reproducible_false_admits_more(make, machine):
    found = by_name(rank(make.sparse(reproducible=False), machine))
    assert found["scipy"].refused is None
    found = by_name(rank(make.dense(reproducible=False), machine))
    assert found["numpy_blas"].refused is None


def test_a_dense_copy_that_does_not_fit_is_refused(make, machine):
    found = by_name(rank(make.sparse(layout_limit=1 << 20), machine))
    assert found["gemm_packed"].refused == "a dense copy takes 0.373 GiB, more than layouts may"
    found = by_name(rank(make.sparse(None, layout_limit=1 << 10), machine))
    assert found["sell_vector"].refused is not None
    assert "more than layouts may" in found["sell_vector"].refused


def test_the_only_way_is_not_refused_for_its_layout(make, machine):
    problem = make.sparse(spec=make.sparse_spec("coo"), layout_limit=0)
    assert choose(*_ranked(problem, machine)).candidate.layout in ("csr", "csc")


@pytest.mark.parametrize(
    ("choice", "kernel", "isa"),
    [
        (KernelChoice(isa="avx2"), "csr_rowwise", "avx2"),
        (KernelChoice(algorithm="gemm_packed"), "gemm_packed", "avx512"),
        (KernelChoice(isa="scalar", algorithm="csr_scatter"), "csr_scatter", "scalar"),
    ],
)
def test_forcing(make, machine, choice, kernel, isa):
    chosen = choose(*_ranked(make.sparse(choice=choice), machine)).candidate
    assert (chosen.kernel, chosen.isa) == (kernel, isa)


def test_forcing_an_isa_excludes_what_is_not_native(make, machine):
    problem = make.sparse(choice=KernelChoice(isa="avx2"), reproducible=False)
    assert by_name(rank(problem, machine))["scipy"].refused == "kernel asks for avx2"
    # ... unless nothing native can do it.
    problem = make.sparse(dtype="int32", choice=KernelChoice(isa="avx2"))
    assert choose(*_ranked(problem, machine)).candidate.kernel == "scipy"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            KernelChoice(algorithm="scipy", argument="DEEPGEMM_KERNEL"),
            "matmul: DEEPGEMM_KERNEL asks for scipy, which cannot do csr float32 × dense float32: rounds in",
        ),
        (KernelChoice(algorithm="csr_vector"), "kernel asks for csr_vector, .*: wants a vector"),
        (KernelChoice(isa="neon"), "no kernel can do .*neon does not run on this CPU or is not compiled in"),
        (
            KernelChoice(isa="avx512", arithmetic="fp16"),
            "fp16 arithmetic, which no kernel has for csr float32",
        ),
        (KernelChoice(isa="avx2", algorithm="scipy"), "is not compiled for ISAs"),
    ],
)
def test_what_cannot_be_forced_is_refused_with_the_reason(make, machine, choice, message):
    problem = make.sparse(choice=choice)
    with pytest.raises(UnsupportedError, match=message):
        choose(problem, rank(problem, machine))


def test_two_sparse_operands(make, machine):
    left, right = make.sparse_spec(), make.sparse_spec()
    problem = type(make.sparse())(left, right, "float32", "float32", "left")
    assert choose(*_ranked(problem, machine)).candidate.kernel == "csr_csr"
    integers = type(make.sparse())(left, right, "int64", "int64", "left")
    assert choose(*_ranked(integers, machine)).candidate.kernel == "scipy"


# --- layouts, rented before they are bought ---


def _ranked(problem, machine):
    return problem, rank(problem, machine)


def test_without_hint_nothing_is_converted_at_first(make, machine):
    problem = make.sparse(None, dtype="float64")
    choice = choose(*_ranked(problem, machine))
    assert choice.candidate.conversion == 0
    assert choice.target is not None
    assert choice.target.kernel == "sell_vector"
    assert choice.price == pytest.approx(choice.target.conversion)


def test_the_layout_is_bought_once_its_price_is_lost(make, machine):
    problem = make.sparse(None, dtype="float64")
    target = choose(*_ranked(problem, machine)).target
    half = make.sparse(None, dtype="float64", spent=((target.layout, target.conversion / 2),))
    choice = choose(*_ranked(half, machine))
    assert choice.candidate.layout is None
    assert choice.price == pytest.approx(target.conversion / 2)
    paid = make.sparse(None, dtype="float64", spent=((target.layout, target.conversion),))
    choice = choose(*_ranked(paid, machine))
    assert choice.candidate.kernel == "sell_vector"
    assert "paid for" in choice.reason


def test_reuse_skips_the_waiting(make, machine):
    assert choose(*_ranked(make.sparse(None, dtype="float64", reuse=1), machine)).candidate.conversion == 0
    many = choose(*_ranked(make.sparse(None, dtype="float64", reuse=1000), machine))
    assert many.candidate.kernel == "sell_vector"
    assert many.price == math.inf


def test_what_is_owned_or_can_be_refilled_is_cheaper(make, machine):
    def conversion(**kwargs):
        problem = make.sparse(None, spec=make.sparse_spec(**kwargs))
        return by_name(rank(problem, machine))["sell_vector"].conversion

    assert conversion(layouts=("sell:csr",)) == 0
    assert 0 < conversion(donors=("sell:csr",)) < conversion()


def test_column_storage_scatters_until_rows_are_worth_it(make, machine):
    problem = make.sparse(32, spec=make.sparse_spec("csc"))
    choice = choose(*_ranked(problem, machine))
    assert choice.candidate.kernel == "csr_scatter"
    assert choice.target.kernel == "csr_rowwise"
    assert choice.target.layout == "csr"


def test_the_right_side_mirrors_the_left(make, machine):
    left = by_name(rank(make.sparse(32, "left", spec=make.sparse_spec("csr")), machine))
    right = by_name(rank(make.sparse(32, "right", spec=make.sparse_spec("csc")), machine))
    assert left["csr_rowwise"].layout is None
    assert right["csr_rowwise"].layout is None
    assert right["csr_scatter"].layout == "csr"


def test_a_measured_time_replaces_the_prediction(make, machine):
    first = rank(make.sparse(None), machine)
    best = first[0]
    slow = make.sparse(None, measured=((best.name, 100 * best.predicted),))
    again = rank(slow, machine)
    assert again[0].kernel != best.kernel
    assert by_name(again)[best.kernel].measured
    assert by_name(again)[best.kernel].predicted == pytest.approx(100 * best.predicted)
    # The others are not slower for it.
    other = next(c for c in first if c.refused is None and c is not best)
    assert by_name(again)[other.kernel].predicted == other.predicted


def test_a_fast_machine_does_not_hide_kernels_that_were_not_tried(make, machine):
    first = rank(make.sparse(None), machine)
    best, second = first[0], first[1]
    quick = rank(make.sparse(None, measured=((second.name, second.predicted / 10),)), machine)
    assert by_name(quick)[best.kernel].predicted == pytest.approx(best.predicted / 10)
    assert quick[0].kernel == best.kernel


def test_small_products_are_serial(make, machine):
    small = make.sparse(2, spec=make.sparse_spec(shape=(50, 50), nnz=100))
    assert rank(small, machine)[0].threads == 1
    assert rank(make.sparse(64), machine)[0].threads == 2


def test_one_huge_row_cannot_be_shared(make, machine):
    even = make.sparse(None, spec=make.sparse_spec(nnz=2_000_000, shape=(1000, 100_000), max_row=2000))
    lopsided = make.sparse(
        None, spec=make.sparse_spec(nnz=2_000_000, shape=(1000, 2_000_000), max_row=1_990_000)
    )
    assert by_name(rank(even, machine))["csr_vector"].threads == 2
    assert by_name(rank(lopsided, machine))["csr_vector"].threads == 1


def test_calibration_scales_predictions(make, machine):
    from dataclasses import replace

    doubled = replace(machine, scales=(("csr_rowwise", 2.0),))
    before = by_name(rank(make.sparse(), machine))["csr_rowwise"].predicted
    assert by_name(rank(make.sparse(), doubled))["csr_rowwise"].predicted == pytest.approx(2 * before)


def test_ties_are_broken_by_name(make, machine):
    ranked = [c.name for c in rank(make.sparse(None), machine)]
    assert ranked == [c.name for c in rank(make.sparse(None), machine)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1)])
@pytest.mark.parametrize("columns", [None, 0, 1, 4])
@pytest.mark.parametrize("side", ["left", "right"])
def test_empty_problems_have_finite_costs(make, machine, shape, columns, side):
    for format in ("csr", "csc", "coo"):
        problem = make.sparse(columns, side, spec=make.sparse_spec(format, shape, 0, max_row=0))
        assert all(c.predicted < math.inf for c in rank(problem, machine) if c.refused is None)
        choose(problem, rank(problem, machine))
