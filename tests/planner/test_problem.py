"""Problems are values: hashable, equal by content, and the same after JSON."""

from __future__ import annotations

import json

import pytest

from deepgemm.config import KernelChoice
from deepgemm.planner.problem import Problem


@pytest.mark.parametrize(
    ("format", "side", "stored"),
    [
        ("csr", "left", "row"),
        ("csc", "left", "col"),
        ("csr", "right", "col"),
        ("csc", "right", "row"),
        ("coo", "left", ""),
        ("bsr", "right", ""),
    ],
)
def test_normal_form(make, format, side, stored):
    spec = make.sparse_spec(format, (300, 200), 900)
    form = make.sparse(5, side, spec=spec).normal
    m, k = (300, 200) if side == "left" else (200, 300)
    assert (form.side, form.m, form.k, form.n, form.stored, form.nnz) == (side, m, k, 5, stored, 900)


def test_vectors_count_as_one_column(make):
    spec = make.sparse_spec("csr", (300, 200), 900)
    assert make.sparse(None, "left", spec=spec).normal.n == 1
    assert make.sparse(None, "left", spec=spec).output_shape == (300,)
    assert make.sparse(None, "right", spec=spec).output_shape == (200,)


def test_casts(make):
    assert make.sparse().casts == ()
    assert make.sparse(other_dtype="float16").casts == ("other",)
    assert make.sparse(other_dtype="float16", output="float16").casts == ("other", "output")


def test_two_problems_with_the_same_content_are_one(make):
    assert make.sparse() == make.sparse()
    assert hash(make.sparse()) == hash(make.sparse())
    assert make.sparse() != make.sparse(reuse=3)
    assert make.sparse() != make.sparse(spent=(("csc", 0.1),))


def test_json_round_trip(make):
    problem = make.sparse(
        reuse=7,
        spec=make.sparse_spec("csc", layouts=("csr",), donors=("sell:csr",)),
        spent=(("csr", 0.25),),
        measured=(("csr_rowwise@avx512", 1e-3),),
        choice=KernelChoice("avx2", None, "csr_rowwise"),
        reproducible=False,
    )
    again = Problem.from_dict(json.loads(json.dumps(problem.to_dict())))
    assert again == problem
    assert hash(again) == hash(problem)
    assert again.normal == problem.normal


def test_spent_on(make):
    problem = make.sparse(spent=(("csr", 0.25), ("sell:csr", 0.5)))
    assert problem.spent_on("sell:csr") == 0.5
    assert problem.spent_on("dense") == 0
