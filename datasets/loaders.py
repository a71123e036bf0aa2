"""Loads real data sets by name: interactions, sessions, pruned weights, SuiteSparse matrices."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import scipy.io
import scipy.sparse

from ..sparse import CSR, Ragged
from .fetch import in_manifest, locate
from .sources import Source, find, names

__all__ = ["dlmc", "gowalla", "movielens", "sessions", "suitesparse"]

_GOWALLA_USERS, _GOWALLA_PLACES = 29_858, 40_981


def movielens(dtype: npt.DTypeLike = np.float32) -> CSR:
    """Return MovieLens latest-small of October 2016: 671 users × 9,066 films, 100,004 ratings from 0.5 to 5.

    Films are renumbered in ascending order of their ids. Read from `DEEPGEMM_DATA_DIR`, the cache or the
    network, in this order; see `about("ml-latest-small")` for its terms and what to cite.

    Parameters
    ----------
    dtype : dtype_like
        Of the ratings.

    Raises
    ------
    FileNotFoundError
        If it is not here and cannot be downloaded.

    Examples
    --------
    >>> from deepgemm import datasets
    >>> datasets.about("ml-latest-small").kind
    'movielens'
    """
    path = locate(find("movielens", "movielens", "ml-latest-small"))
    if path.suffix != ".csv":
        return _from_market(path, dtype)
    table = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(0, 1, 2))
    users = table[:, 0].astype(np.int32) - 1
    films = np.unique(table[:, 1], return_inverse=True)[1].astype(np.int32)
    return CSR((table[:, 2].astype(dtype), (users, films))).canonical()


def gowalla(split: str = "train", dtype: npt.DTypeLike = np.float32) -> CSR:
    """Return check-ins of Gowalla, 29,858 users × 40,981 places: a one for each place that a user visited.

    Parameters
    ----------
    split : {"train", "test"}
        810,128 visits to learn from, or the 217,242 that were held out.
    dtype : dtype_like
        Of the ones.

    Notes
    -----
    Found, or refused, as `movielens` is.

    Examples
    --------
    >>> from deepgemm import datasets
    >>> print(datasets.about("gowalla_train").licence)
    not stated by the source (check-ins of Gowalla, published by SNAP)
    """
    if split not in ("train", "test"):
        raise ValueError(f'gowalla: split is {split!r}, expected "train" or "test"')
    path = locate(find("gowalla", "gowalla", f"gowalla_{split}"))
    if path.suffix == ".npz":  # the adjacency of users and places, weighted
        whole = scipy.sparse.csr_array(scipy.sparse.load_npz(path))
        block = CSR(whole[:_GOWALLA_USERS, _GOWALLA_USERS:])
        return block.with_data(np.ones(block.nnz, dtype))
    if path.suffix == ".txt":
        users, places = _lists(path)
        ids = places.values.astype(np.int32)
        rows = np.repeat(users, places.lengths).astype(np.int32)
        ones = np.ones(len(ids), dtype)
        return CSR((ones, (rows, ids)), shape=(_GOWALLA_USERS, _GOWALLA_PLACES)).canonical()
    return _from_market(path, dtype)


def sessions(name: str = "s3rec_Beauty") -> Ragged:
    """Return sequences of items that users bought, one segment for each user, as int32 ids from 1 on.

    Parameters
    ----------
    name : {"s3rec_Beauty", "s3rec_Toys_and_Games"}
        Which of the two shops: 22,363 users and 198,502 purchases, or 19,412 and 167,597.

    Notes
    -----
    Found, or refused, as `movielens` is.

    Examples
    --------
    >>> from deepgemm import datasets
    >>> datasets.names("sessions")
    ['s3rec_Beauty', 's3rec_Toys_and_Games']
    """
    return _lists(locate(find("sessions", "sessions", name)))[1]


def dlmc(name: str, dtype: npt.DTypeLike = np.float32, seed: int | None = 0) -> CSR:
    """Return the weights of a pruned network of the Deep Learning Matrix Collection.

    Parameters
    ----------
    name : str
        One of `names("dlmc")`, such as "rn50_mag0.9_final_dense": network, method, sparsity, layer.
    dtype : dtype_like
        Of the values.
    seed : int or None
        The collection publishes the structure only; values are normal, drawn from this seed. None makes
        them ones.

    Notes
    -----
    Found, or refused, as `movielens` is.

    Examples
    --------
    >>> from deepgemm import datasets
    >>> "tf_mag0.9_encoder_layer_0_ffn_conv1" in datasets.names("dlmc")
    True
    """
    path = locate(find("dlmc", "dlmc", name))
    pattern = _from_smtx(path) if path.suffix == ".smtx" else _from_market(path, np.float32)
    values = (
        np.ones(pattern.nnz) if seed is None else np.random.default_rng(seed).standard_normal(pattern.nnz)
    )
    return pattern.with_data(values.astype(dtype))


def suitesparse(name: str, dtype: npt.DTypeLike | None = None, sha256: str | None = None) -> CSR:
    """Return a matrix of the SuiteSparse collection.

    Parameters
    ----------
    name : str
        One of `names("suitesparse")`, any Matrix Market file of the data folder by its name, or
        "Group/Name", which is downloaded from the collection's site.
    dtype : dtype_like, optional
        Of the values; by default that of the file, and float64 for files of structure only.
    sha256 : str, optional
        Checksum of the archive of a "Group/Name". Without one what was downloaded is not verified.

    Notes
    -----
    Found, or refused, as `movielens` is.

    Examples
    --------
    >>> from deepgemm import datasets
    >>> "bcsstk13" in datasets.names("suitesparse")
    True
    """
    here = in_manifest(name)
    if here is not None:
        return _from_market(here, dtype)
    if "/" in name and name not in names("suitesparse"):
        group, _, matrix = name.partition("/")
        url = f"https://sparse.tamu.edu/MM/{group}/{matrix}.tar.gz"
        source = Source(f"{group}_{matrix}", "suitesparse", f"suitesparse/{matrix}.mtx.gz", url, sha256 or "")
        return _from_market(locate(source), dtype)
    return _from_market(locate(find("suitesparse", "suitesparse", name)), dtype)


def _from_market(path: Path, dtype: npt.DTypeLike | None) -> CSR:
    """Read a Matrix Market file, plain, compressed, or inside the archive of the collection's site."""
    if path.name.endswith(".tar.gz"):
        stem = path.name.removesuffix(".tar.gz").partition("_")[2]
        with tarfile.open(path) as archive:
            member = archive.extractfile(f"{stem}/{stem}.mtx")
            assert member is not None
            matrix: Any = scipy.io.mmread(member)
    else:
        matrix = scipy.io.mmread(path)
    result = CSR(matrix).canonical()
    return result if dtype is None else result.astype(dtype)


def _from_smtx(path: Path) -> CSR:
    """Read the collection's own format: rows, columns and entries, then indptr, then indices."""
    with path.open(encoding="ascii") as file:
        rows, columns, _ = (int(word) for word in file.readline().replace(",", " ").split())
        indptr = np.array(file.readline().split(), np.int32)
        indices = np.array(file.readline().split(), np.int32)
    return CSR((np.ones(len(indices), np.float32), indices, indptr), shape=(rows, columns)).canonical()


def _lists(path: Path) -> tuple[npt.NDArray[np.int64], Ragged]:
    """Read lines of integers: the first is the user, the others form a segment."""
    file: IO[str]
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        lines = [np.array(line.split(), np.int64) for line in file if line.strip()]
    users = np.array([line[0] for line in lines], np.int64)
    return users, Ragged([line[1:] for line in lines], dtype=np.int32)
