"""The generators: stated shapes, densities and skews, valid structure, and the same matrix each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from deepgemm.datasets import banded, blocks, interactions, power_law, pruned_weights, uniform
from deepgemm.sparse import CSR

from deepgemm import ShapeError

GENERATORS: dict[str, Callable[..., CSR]] = {
    "interactions": lambda **options: interactions(300, 200, mean=10, **options),
    "uniform": lambda **options: uniform(100, 80, 0.1, **options),
    "banded": lambda **options: banded(90, 4, fill=0.5, **options),
    "blocks": lambda **options: blocks(64, 96, 0.2, blocksize=(8, 16), **options),
    "power_law": lambda **options: power_law(200, **options),
    "pruned_weights": lambda **options: pruned_weights(60, 70, 0.2, **options),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_structure_is_canonical_and_repeats_itself(name: str) -> None:
    first, second, other = (GENERATORS[name](seed=seed) for seed in (0, 0, 1))
    assert first.has_canonical_format
    assert first.nnz > 0
    assert np.array_equal(first.toarray(), second.toarray())
    assert not np.array_equal(first.toarray(), other.toarray())


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "complex64", "bool"])
def test_dtypes(name: str, dtype: str) -> None:
    A = GENERATORS[name](dtype=dtype)
    assert A.dtype == np.dtype(dtype)
    assert np.count_nonzero(A.data) == A.nnz


def test_interactions_have_both_skews() -> None:
    A = interactions(5000, 1000, mean=20)
    activity, popularity = np.diff(A.indptr), np.bincount(A.indices, minlength=1000)
    assert 12 <= activity.mean() <= 20
    assert activity.max() > 5 * np.median(activity)
    assert popularity.max() > 10 * np.median(popularity)
    assert set(np.unique(A.data)) == {1, 2, 3, 4, 5}


def test_interactions_with_equal_users() -> None:
    lengths = np.diff(interactions(2000, 3000, mean=10, spread=0.0).indptr)
    assert lengths.std() < 4


@pytest.mark.parametrize("shape", [(300, 200), (2000, 1000)])  # below and above the switch to gaps
def test_uniform_density(shape: tuple[int, int]) -> None:
    A = uniform(*shape, 0.01)
    assert A.shape == shape
    assert A.density == pytest.approx(0.01, rel=0.15)
    assert np.diff(A.indptr).max() < 0.01 * shape[1] * 4 + 10


@pytest.mark.parametrize("density", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(30, 20), (1200, 1000)])
def test_uniform_extremes(shape: tuple[int, int], density: float) -> None:
    assert uniform(*shape, density, dtype=np.int8).nnz == density * shape[0] * shape[1]


def test_banded() -> None:
    dense = banded(50, 3, dtype=np.int64).toarray()
    row, column = np.nonzero(dense)
    assert np.abs(row - column).max() == 3
    assert len(row) == 50 * 7 - 2 * (1 + 2 + 3)
    assert banded(3, 100).nnz == 9


def test_blocks_are_full() -> None:
    A = blocks(64, 96, 0.3, blocksize=(8, 16), dtype=np.int32)
    counts = (A.toarray() != 0).reshape(8, 8, 6, 16).sum(axis=(1, 3))
    assert set(np.unique(counts)) == {0, 128}


def test_power_law_has_hubs() -> None:
    lengths = np.diff(power_law(5000).indptr)
    assert lengths.max() > 20 * max(np.median(lengths), 1)


def test_pruned_weights_keep_the_largest() -> None:
    A = pruned_weights(40, 50, 0.25)
    assert A.nnz == 500
    assert np.abs(A.data).min() > 0.5


@pytest.mark.parametrize(
    "A",
    [
        interactions(0, 5),
        interactions(5, 0),
        uniform(0, 3, 0.5),
        uniform(3, 0, 0.5),
        banded(0, 2),
        blocks(0, 16, 0.5),
        power_law(0),
        pruned_weights(0, 4, 0.5),
    ],
    ids=lambda A: str(A.shape),
)
def test_empty(A: CSR) -> None:
    assert A.nnz == 0
    assert 0 in A.shape


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: uniform(3, 3, 1.5), ValueError, "density is 1.5, expected 0 to 1"),
        (lambda: banded(3, 1, fill=-1), ValueError, "fill is -1, expected 0 to 1"),
        (lambda: banded(3, -1), ShapeError, "bandwidth is -1"),
        (lambda: uniform(-3, 3, 0.5), ShapeError, "-3×3"),
        (lambda: blocks(10, 16, 0.5), ShapeError, "blocks of 16×16 do not tile a matrix of 10×16"),
        (lambda: interactions(10**12, 10**12), ShapeError, "more positions than an int64"),
        (lambda: uniform(10**6, 10**6, 0.5), ShapeError, "entries were asked for"),
    ],
)
def test_bad_arguments(call: Callable[[], CSR], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["datasets", "datasets.generators"])
def test_the_folder_cannot_be_imported_under_its_own_name(name: str) -> None:
    root = Path(__file__).resolve().parents[2]
    script = f"import sys; sys.path.insert(0, {str(root)!r}); import {name}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: this f")
    assert "deepgemm.datasets" in done.stderr.splitlines()[-1]
