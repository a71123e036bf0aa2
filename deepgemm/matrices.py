"""The real matrices of the data folder, found by its manifest: for tests, benchmarks and accuracy reports."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.io
import scipy.sparse

from .config import settings

__all__ = ["Matrix", "list_matrices", "load_matrices"]


@dataclass(frozen=True)
class Matrix:
    """A real matrix of the data folder, not read yet.

    Attributes
    ----------
    name : str
        Path within the data folder, without the suffix.
    kind : str
        What it comes from, such as "fem" or "recsys".
    shape : tuple of int
        Rows and columns.
    nnz : int
        Number of entries.
    path : pathlib.Path
        A Matrix Market file, possibly compressed.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    nnz: int
    path: Path

    def load(self) -> Any:
        """Read the file and return a canonical ``scipy.sparse.csr_array``."""
        matrix = scipy.sparse.csr_array(scipy.io.mmread(self.path))
        matrix.sum_duplicates()
        return matrix


def list_matrices(
    min_nnz: int = 0, max_nnz: int | None = None, kinds: tuple[str, ...] | None = None
) -> list[Matrix]:
    """Return the real matrices under `DEEPGEMM_DATA_DIR`, by their manifest, without reading them.

    Parameters
    ----------
    min_nnz, max_nnz : int
        Bounds on the number of entries, both inclusive.
    kinds : tuple of str, optional
        Only matrices of these kinds.

    Raises
    ------
    FileNotFoundError
        If `DEEPGEMM_DATA_DIR` is not set or holds no MANIFEST.csv.
    """
    folder = settings().data_dir
    if folder is None:
        raise FileNotFoundError("DEEPGEMM_DATA_DIR is not set: no real matrices to read")
    manifest = folder / "MANIFEST.csv"
    if not manifest.is_file():
        raise FileNotFoundError(f"DEEPGEMM_DATA_DIR is {folder}, which has no MANIFEST.csv")
    found = []
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = folder / row["file"]
            if not path.name.endswith((".mtx", ".mtx.gz")):
                continue
            nnz, kind = int(row["nnz"]), row["kind"]
            if nnz < min_nnz or (max_nnz is not None and nnz > max_nnz) or kind not in (kinds or (kind,)):
                continue
            shape = (int(row["rows"]), int(row["cols"]))
            found.append(Matrix(row["file"].split(".mtx")[0], kind, shape, nnz, path))
    return found


def load_matrices(min_nnz: int = 0, max_nnz: int | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the name of each matrix of `list_matrices` with the matrix itself, as a ``csr_array``.

    Parameters
    ----------
    min_nnz, max_nnz : int
        Bounds on the number of entries, both inclusive.

    Raises
    ------
    FileNotFoundError
        If `DEEPGEMM_DATA_DIR` is not set or holds no MANIFEST.csv.
    """
    for matrix in list_matrices(min_nnz, max_nnz):
        yield matrix.name, matrix.load()
