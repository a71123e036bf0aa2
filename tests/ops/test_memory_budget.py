"""Products that do not fit: refused with the figures, or written to disk in tiles; estimates that hold."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from deepgemm.sparse import mapped

import deepgemm as dg
from deepgemm import config, reference, testing
from deepgemm.ops import _budget


def random_sparse(shape, density, dtype="f4", seed=0):
    S = scipy.sparse.random_array(shape, density=density, format="csr", rng=np.random.default_rng(seed))
    return dg.CSR(S.astype(dtype))


def same(found, wanted):
    np.testing.assert_array_equal(found.indptr, wanted.indptr)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    testing.assert_same(found.data, wanted.data)


# --- refusals ---


@pytest.mark.parametrize("budget", [1000, "1kB", "0.9k", np.int64(1000)])
def test_a_product_over_its_budget_is_refused_with_the_figures(budget):
    A = random_sparse((300, 200), 0.05)
    with pytest.raises(
        dg.MemoryBudgetError, match=r"^matmul: the product, 300 × 300, would have about .* entries"
    ) as caught:
        dg.matmul(A, A.T, memory_budget=budget)
    error, product = caught.value, A @ A.T
    assert error.nnz == pytest.approx(product.nnz, rel=0.2)
    assert error.nbytes == pytest.approx(product.nbytes, rel=0.2)
    assert error.budget in (1000, 1024, 921)
    assert "memory_budget is" in str(error)
    assert "matmul_to_disk" in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.nnz, copy.budget) == (str(error), error.nnz, error.budget)
    assert isinstance(error, MemoryError)


def test_a_budget_that_suffices():
    A = random_sparse((300, 200), 0.05)
    product = A @ A.T
    same(dg.matmul(A, A.T, memory_budget=product.nbytes + 8 * 301), product)
    best = dg.matmul_topk(A, A.T, 3)
    same(dg.matmul_topk(A, A.T, 3, memory_budget="20k"), best)
    with pytest.raises(dg.MemoryBudgetError, match=r"^matmul_topk: the product"):
        dg.matmul_topk(A, A.T, 3, memory_budget="4k")


def test_what_the_machine_cannot_hold_is_refused(monkeypatch):
    A = random_sparse((3000, 2000), 0.01)
    monkeypatch.setattr(_budget, "SMALL_BYTES", 0)
    monkeypatch.setattr(_budget, "available_memory", lambda: 1 << 20)
    with pytest.raises(dg.MemoryBudgetError, match=r"but 921.6 KiB are available"):
        A @ A.T
    with pytest.raises(dg.MemoryBudgetError, match=r"matmul: .*but 921.6 KiB are available"):
        A.astype("i4") @ A.T.astype("i4")
    with pytest.raises(dg.MemoryBudgetError, match=r"matmul: .*but 921.6 KiB are available"):
        dg.plan(A, A.T)(A.T)
    with pytest.raises(dg.MemoryBudgetError, match=r"matmul: .*but 921.6 KiB are available"):
        dg.plan(A, A.T, fixed="right")(A)
    monkeypatch.setattr(_budget, "available_memory", lambda: None)
    assert (A @ A.T).nnz > 0


def test_a_product_beyond_this_machine_is_refused_before_it_is_killed():
    """720 GB: every place of 300,000 × 300,000."""
    n = 300_000
    column = dg.CSR((np.ones(n, "f4"), np.zeros(n, "i4"), np.arange(n + 1)), shape=(n, 1))
    free = config.available_memory()
    if free is None or free > n * n * 8:
        pytest.skip("this machine can hold it")
    with pytest.raises(dg.MemoryBudgetError, match=r"90,000,000,000 entries, 1006 GiB"):
        dg.matmul(column, column.T, memory_budget="200M")
    assert dg.matmul_topk(column[:1000], column.T, 3).nnz == 3000


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (0, "matmul: memory_budget is 0, expected at least 1 byte"),
        (-5, "matmul: memory_budget is -5, expected at least 1 byte"),
        (1.5, 'matmul: memory_budget is 1.5, expected bytes as a whole number or a text such as "4GiB"'),
        ("much", "matmul: memory_budget is 'much', expected a number of bytes such as 500000000, 512M or 2G"),
    ],
)
def test_bad_budgets(budget, message):
    A = random_sparse((30, 20), 0.1)
    with pytest.raises(ValueError, match=f"^{message}$"):
        dg.matmul(A, A.T, memory_budget=budget)


def test_budgets_are_for_two_sparse_operands():
    A = random_sparse((30, 20), 0.1)
    with pytest.raises(dg.UnsupportedError, match=r"^matmul: memory_budget= is for two sparse operands"):
        dg.matmul(A, np.ones((20, 2), "f4"), memory_budget=10**9)


# --- to disk ---


@pytest.mark.parametrize("budget", ["20k", "100k", None])
@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "f2", dg.bfloat16])
def test_tiles_on_disk_are_the_product(tmp_path, dtype, budget):
    A = random_sparse((400, 300), 0.03).astype(dtype)
    seen = []
    path = tmp_path / "product"
    made = dg.matmul_to_disk(
        A, A.T, path, memory_budget=budget, progress=lambda done, total: seen.append((done, total))
    )
    wanted = A @ A.T
    same(made, wanted)
    assert made.dtype == wanted.dtype
    assert made.indices.dtype == np.int32
    assert made.has_canonical_format
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 1 or budget is None
    again = dg.open_matrix(path)
    same(again, wanted)
    base = again.data
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert not again.data.flags.writeable
    assert not again.data.flags.owndata
    assert [p.name for p in tmp_path.iterdir()] == ["product"]
    np.testing.assert_array_equal(np.load(path / "indptr.npy"), wanted.indptr)
    same(again @ random_sparse((400, 50), 0.1), wanted @ random_sparse((400, 50), 0.1))


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (5, 5, 5)])
def test_empty_products_on_disk(tmp_path, shape):
    m, k, n = shape
    made = dg.matmul_to_disk(dg.CSR((m, k)), dg.CSR((k, n)), tmp_path / "x")
    assert made.shape == (m, n)
    assert made.nnz == 0


def test_indices_on_disk_are_widened_where_entries_need_it(tmp_path, monkeypatch):
    A = random_sparse((400, 300), 0.03)
    monkeypatch.setattr(mapped, "_INT32_MAX", 1000)
    monkeypatch.setattr(mapped, "_CHUNK", 100)
    made = dg.matmul_to_disk(A, A.T, tmp_path / "wide", memory_budget="50k")
    assert made.indices.dtype == made.indptr.dtype == np.int64
    same(made, A @ A.T)


def test_what_exists_is_kept_unless_told(tmp_path):
    A = random_sparse((40, 30), 0.1)
    path = tmp_path / "C"
    dg.matmul_to_disk(A, A.T, path)
    with pytest.raises(FileExistsError, match=r"C exists; overwrite=True replaces it"):
        dg.matmul_to_disk(A, A.T, path)
    B = random_sparse((40, 30), 0.2)
    same(dg.matmul_to_disk(B, B.T, path, overwrite=True), B @ B.T)


def test_nothing_is_left_after_an_error(tmp_path):
    A = random_sparse((400, 300), 0.03)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dg.matmul_to_disk(A, A.T, tmp_path / "C", memory_budget="20k", progress=stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(
        dg.MemoryBudgetError, match=r"^matmul_to_disk: row \d+ of the product may take .*, but"
    ):
        dg.matmul_to_disk(A, A.T, tmp_path / "C", memory_budget=100)
    with pytest.raises(FileNotFoundError, match=r"^matmul_to_disk: .*nowhere is not there"):
        dg.matmul_to_disk(A, A.T, tmp_path / "nowhere" / "C")
    with pytest.raises(dg.UnsupportedError, match=r"^matmul_to_disk: .* is accumulated in int32"):
        dg.matmul_to_disk(A.astype("i4"), A.T.astype("i4"), tmp_path / "C")
    with pytest.raises(dg.ShapeError, match=r"^matmul_to_disk: A has 300 columns but B has 400 rows$"):
        dg.matmul_to_disk(A, A, tmp_path / "C")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room(tmp_path, monkeypatch):
    A = random_sparse((400, 300), 0.03)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(
        dg.MemoryBudgetError, match=r"^matmul_to_disk: the product has at least .* 10 B free$"
    ):
        dg.matmul_to_disk(A, A.T, tmp_path / "C")


def test_damaged_files(tmp_path):
    A = random_sparse((40, 30), 0.1)
    path = tmp_path / "C"
    with pytest.raises(FileNotFoundError, match=r"has no matrix.json: no matrix is there"):
        dg.open_matrix(path)

    def fresh():
        dg.matmul_to_disk(A, A.T, path, overwrite=True)
        return path

    (fresh() / "indices.npy").unlink()
    with pytest.raises(dg.FormatError, match=r"indices.npy is missing"):
        dg.open_matrix(path)
    (fresh() / "data.npy").write_bytes(b"nonsense")
    with pytest.raises(dg.FormatError, match=r"data.npy is no NumPy file"):
        dg.open_matrix(path)
    whole = (fresh() / "data.npy").read_bytes()
    (path / "data.npy").write_bytes(whole[:-8])
    with pytest.raises(dg.FormatError):
        dg.open_matrix(path)
    (fresh() / "matrix.json").write_text("{}")
    with pytest.raises(dg.FormatError, match=r"does not describe a matrix"):
        dg.open_matrix(path)
    (fresh() / "matrix.json").write_text('{"format": 9, "shape": [1, 1], "dtype": "float32"}')
    with pytest.raises(dg.FormatError, match=r"has format 9, expected 1"):
        dg.open_matrix(path)
    np.save(fresh() / "indices.npy", np.full((A @ A.T).nnz, 99, np.int32))
    with pytest.raises(dg.FormatError):
        dg.open_matrix(path)
    np.save(fresh() / "data.npy", np.zeros(3))
    with pytest.raises(dg.FormatError, match=r"data.npy holds float64, expected float32"):
        dg.open_matrix(path)


def test_rows_on_disk_equal_the_reference(tmp_path):
    A = random_sparse((60, 50), 0.1)
    made = dg.matmul_to_disk(A, A.T, tmp_path / "C", memory_budget="4k", threads=2)
    indptr, indices, data = reference.matmul_sparse(A, A.T)
    np.testing.assert_array_equal(made.indptr, indptr)
    np.testing.assert_array_equal(made.indices, indices)
    testing.assert_same(made.data, data)
