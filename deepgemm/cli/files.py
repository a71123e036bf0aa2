"""Reading sparse matrices from files, where whatever is wrong with a file is one line naming it."""

from __future__ import annotations

import gzip
import inspect
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import scipy.io

from ..config import available_memory
from ..errors import DTypeError, FormatError, ShapeError
from ..planner.report import size
from ..sparse import BSR, COO, CSC, CSR, SparseArray
from .console import CommandError

__all__ = ["SUFFIXES", "FileError", "read_matrix"]

SUFFIXES = (".mtx", ".mtx.gz", ".npz")

_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK"
# What a header may claim before the file proves it: row, column and value of an entry while it is read,
# and again in the CSR made of them.
_BYTES_PER_ENTRY = 2 * (8 + 8 + 8)
_LONGEST_HEADER = 4096
_CHUNK = 1 << 22


class FileError(CommandError):
    """A file cannot be read as a sparse matrix."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


def read_matrix(path: str | os.PathLike[str]) -> SparseArray:
    """Read a sparse matrix from a Matrix Market or SciPy `.npz` file.

    Parameters
    ----------
    path : path-like
        A file ending in ``.mtx``, ``.mtx.gz`` (either may be compressed or not: the content decides)
        or ``.npz``, as `scipy.sparse.save_npz` writes it. Pickled content is never executed.

    Returns
    -------
    SparseArray
        A CSR for Matrix Market files; otherwise the class that was saved (CSR for diagonal storage).

    Raises
    ------
    FileError
        If the file is missing, truncated, corrupt, of another kind, or too large for this machine's
        memory. The message is one line that names the file and the reason.
    """
    path = Path(path)
    reader = _reader(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise FileError(path, "is a directory, expected a file")
        if not stat.S_ISREG(mode):
            raise FileError(path, "is not a regular file")
        if path.stat().st_size == 0:
            raise FileError(path, "is empty")
        with path.open("rb") as raw:
            return reader(path, raw)
    except FileNotFoundError:
        raise FileError(path, "no such file") from None
    except PermissionError:
        raise FileError(path, "permission denied") from None
    except EOFError:
        raise FileError(path, "is truncated: the compressed data end early") from None
    except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise FileError(path, f"is corrupt: {_clean(error)}") from None
    except MemoryError as error:
        raise FileError(path, f"is too large for memory: {_clean(error) or 'an allocation failed'}") from None
    except (FormatError, ShapeError, DTypeError) as error:
        raise FileError(path, f"holds no valid matrix: {_clean(error)}") from None
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or _clean(error)}") from None


def _reader(path: Path) -> Callable[[Path, IO[bytes]], SparseArray]:
    name = path.name.lower()
    if name.endswith((".mtx", ".mtx.gz")):
        return _read_market
    if name.endswith(".npz"):
        return _read_npz
    shown = "".join(path.suffixes[-2:]) or "no suffix"
    raise FileError(path, f"has an unknown type ({shown}), expected one of: {', '.join(SUFFIXES)}")


# --- Matrix Market ------------------------------------------------------------------------------


def _read_market(path: Path, raw: IO[bytes]) -> SparseArray:
    compressed = raw.read(2) == _GZIP_MAGIC
    raw.seek(0)
    if not compressed and path.name.lower().endswith(".gz"):
        raise FileError(path, "is corrupt: not a gzip file")
    # SciPy must not be given a stream that can fail: an error raised inside its reader (seen with zlib's,
    # SciPy 1.17.1) can abort the process. So a compressed file is expanded, and its checksum verified, first.
    stream = _expanded(path, raw) if compressed else raw
    _check_market_header(path, stream)
    stream.seek(0)
    # SciPy 1.15 and later return the old matrix class unless told otherwise.
    options: dict[str, Any] = (
        {"spmatrix": False} if "spmatrix" in inspect.signature(scipy.io.mmread).parameters else {}
    )
    try:
        entries = scipy.io.mmread(stream if compressed else str(path), **options)
    except UnicodeDecodeError:
        raise FileError(path, "is corrupt: not a text file") from None
    except (ValueError, OverflowError) as error:
        raise FileError(path, f"is corrupt: {_clean(error)}") from None
    return COO(entries).tocsr()


def _expanded(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """Return the expanded content of a gzip file in memory, if it fits there."""
    limit = available_memory()
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=raw) as stream:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)
            if limit is not None and out.tell() > limit // 2:
                raise FileError(path, f"is too large for memory: it expands to more than {size(limit // 2)}")
    out.seek(0)
    return out


def _check_market_header(path: Path, stream: IO[bytes]) -> None:
    """Refuse what SciPy would read as something else, and sizes that memory cannot hold."""
    banner = stream.readline(_LONGEST_HEADER).split()
    words = [word.decode("latin-1").lower() for word in banner]
    if not words or words[0] != "%%matrixmarket":
        raise FileError(path, "is no Matrix Market file: the first line is not %%MatrixMarket ...")
    if len(words) != 5:
        raise FileError(path, f"is corrupt: the first line has {len(words)} words, expected 5")
    if words[1] != "matrix" or words[2] != "coordinate":
        raise FileError(path, f"holds a dense {words[1]} ({words[2]} format), expected matrix coordinate")
    line = stream.readline(_LONGEST_HEADER)
    while line.startswith(b"%") or (line and not line.strip()):
        line = stream.readline(_LONGEST_HEADER)
    try:
        rows, columns, entries = (int(word) for word in line.split())
    except ValueError:
        text = line.decode("latin-1").strip()[:40]
        raise FileError(path, f"is corrupt: the size line is {text!r}, expected three numbers") from None
    if min(rows, columns, entries) < 0 or max(rows, columns) >= 2**63:
        raise FileError(path, f"is corrupt: the size line says {rows} {columns} {entries}")
    if words[4] != "general" and rows != columns:
        raise FileError(path, f"is corrupt: {words[4]} but {rows} rows and {columns} columns")
    expanded = entries if words[4] == "general" else 2 * entries
    _check_memory(path, expanded * _BYTES_PER_ENTRY + 8 * rows)


# --- NumPy archives -----------------------------------------------------------------------------


def _read_npz(path: Path, raw: IO[bytes]) -> SparseArray:
    if raw.read(2) != _ZIP_MAGIC:
        raise FileError(path, "is no npz archive (truncated, or another kind of file)")
    raw.seek(0)
    with zipfile.ZipFile(raw) as archive:
        # Compressed arrays, the matrix made of them, and one more for a conversion.
        _check_memory(path, 3 * sum(entry.file_size for entry in archive.infolist()))
    raw.seek(0)
    try:
        with np.load(raw, allow_pickle=False) as archive:
            return _matrix_of(path, archive)
    except KeyError as error:
        raise FileError(path, f"is no sparse matrix: the array {_clean(error)} is missing") from None
    except (ValueError, NotImplementedError) as error:
        if isinstance(error, (FormatError, ShapeError)):
            raise
        if "pickle" in str(error).lower():
            raise FileError(path, "holds pickled Python objects, which are not loaded") from None
        raise FileError(path, f"is corrupt: {_clean(error)}") from None
    except RuntimeError as error:  # an encrypted archive
        raise FileError(path, f"cannot be read: {_clean(error)}") from None


def _matrix_of(path: Path, archive: Any) -> SparseArray:
    if "format" not in archive:
        names = ", ".join(sorted(archive.files)[:5]) or "nothing"
        raise FileError(path, f"is no sparse matrix: it holds {names}, not what scipy.sparse.save_npz writes")
    name = archive["format"].item()
    name = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    shape = archive["shape"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise FileError(path, f"is no sparse matrix: its shape is {shape.tolist()!r:.40}")
    rows, columns = (int(length) for length in shape)
    data = archive["data"]
    if name == "csr":
        return CSR((data, archive["indices"], archive["indptr"]), shape=(rows, columns))
    if name == "csc":
        return CSC((data, archive["indices"], archive["indptr"]), shape=(rows, columns))
    if name == "bsr":
        return BSR((data, archive["indices"], archive["indptr"]), shape=(rows, columns))
    if name == "coo":
        row, col = archive["coords"] if "coords" in archive else (archive["row"], archive["col"])
        return COO((data, (row, col)), shape=(rows, columns))
    if name == "dia":
        return _diagonals(path, data, archive["offsets"], (rows, columns))
    raise FileError(path, f"holds a matrix of format {name!r:.20}, expected csr, csc, coo, bsr or dia")


def _diagonals(path: Path, data: np.ndarray[Any, Any], offsets: Any, shape: tuple[int, int]) -> SparseArray:
    import scipy.sparse

    if data.ndim != 2 or offsets.ndim != 1 or len(data) != len(offsets) or offsets.dtype.kind not in "iu":
        raise FileError(path, f"is no sparse matrix: {len(offsets)} offsets for data of shape {data.shape}")
    return COO(scipy.sparse.dia_array((data, offsets), shape=shape).tocoo()).tocsr()


# --- memory -------------------------------------------------------------------------------------


def _check_memory(path: Path, needed: int) -> None:
    free = available_memory()
    if free is not None and needed > free:
        reason = f"is too large for memory: it needs about {size(needed)}, {size(free)} are free"
        raise FileError(path, reason)


def _clean(error: BaseException) -> str:
    """Return the message of `error` in one line of bounded length."""
    return " ".join(str(error).split())[:200]
