"""CSR matrices in a folder of NumPy files, written row by row and read as memory maps."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..dtypes import canonical
from ..errors import FormatError
from .csr import CSR

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CSRWriter", "open_matrix"]

FORMAT = 1
DESCRIPTION = "matrix.json"
_PARTS = ("data", "indices", "indptr")
_HEADER_BYTES = 128  # of the .npy files: room for any shape, so that it can be filled in at the end
_INT32_MAX = int(np.iinfo(np.int32).max)
_CHUNK = 1 << 20  # entries converted at a time


def open_matrix(path: str | os.PathLike[str]) -> CSR:
    """Open a matrix that `matmul_to_disk` wrote: a CSR whose arrays are memory-mapped.

    Nothing is read before it is used, apart from one pass that validates the structure. The files must not
    change while the matrix is in use.

    Parameters
    ----------
    path : path-like
        The folder. Its `data.npy`, `indices.npy` and `indptr.npy` are ordinary NumPy files.

    Returns
    -------
    CSR

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    FormatError
        If its files do not form a matrix.

    Examples
    --------
    >>> import os, tempfile
    >>> import deepgemm as dg
    >>> A = dg.CSR([[1.0, 0.0], [0.0, 2.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = dg.matmul_to_disk(A, A, os.path.join(folder, "squares"))
    ...     dg.open_matrix(os.path.join(folder, "squares")).toarray()
    array([[1., 0.],
           [0., 4.]])
    """
    folder = Path(path)
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="ascii"))
        if described["format"] != FORMAT:
            raise FormatError(f"open_matrix: {folder} has format {described['format']}, expected {FORMAT}")
        shape = tuple(described["shape"])
        dtype = canonical(np.dtype(described["dtype"]), f"open_matrix: {folder}: dtype")
    except FileNotFoundError:
        raise FileNotFoundError(f"open_matrix: {folder} has no {DESCRIPTION}: no matrix is there") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"open_matrix: {folder / DESCRIPTION} does not describe a matrix: {error!r}"
        ) from None
    parts = [_mapped(folder / f"{name}.npy") for name in _PARTS]
    if parts[0].dtype.itemsize != dtype.itemsize:
        raise FormatError(f"open_matrix: {folder}: data.npy holds {parts[0].dtype}, expected {dtype}")
    parts[0] = parts[0].view(dtype)
    return CSR(tuple(parts), shape=shape)


def _mapped(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise FormatError(f"open_matrix: {path} is missing") from None
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"open_matrix: {path} is no NumPy file: {error}") from None
    # A plain array over the mapping: NumPy's subclass costs time in every operation.
    return array.view(np.ndarray)


class CSRWriter:
    """Writes a matrix into a folder, rows after rows; it appears under its name when all is written.

    A context manager: leaving it by an error removes what was written.

    Parameters
    ----------
    path : path-like
        The folder to make.
    columns : int
        Columns of the matrix.
    dtype : numpy.dtype
        Dtype of the entries.
    overwrite : bool
        Replace what is there.
    """

    def __init__(
        self, path: str | os.PathLike[str], columns: int, dtype: np.dtype[Any], overwrite: bool = False
    ) -> None:
        self._path, self._columns, self._dtype, self._overwrite = Path(path), columns, dtype, overwrite
        self._index: np.dtype[Any] = np.dtype(np.int32 if columns <= _INT32_MAX else np.int64)
        self.rows = self.nnz = 0

    def __enter__(self) -> CSRWriter:
        if self._path.exists() and not self._overwrite:
            raise FileExistsError(f"{self._path} exists; overwrite=True replaces it")
        parent = self._path.absolute().parent
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self._path.name}.", dir=parent))
        self._files: dict[str, IO[bytes]] = {}
        try:
            for name in _PARTS:
                self._files[name] = (self._folder / f"{name}.npy").open("w+b")
                self._files[name].write(bytes(_HEADER_BYTES))
            self._files["indptr"].write(np.zeros(1, np.int64).tobytes())
        except BaseException:
            self._discard()
            raise
        return self

    def append(self, indptr: npt.NDArray[Any], indices: npt.NDArray[Any], data: npt.NDArray[Any]) -> None:
        """Write rows: their offsets from 0, columns and entries."""
        for name, part in (("data", data), ("indices", indices.astype(self._index, copy=False))):
            np.ascontiguousarray(part).view(np.uint8).tofile(self._files[name])
        (indptr[1:].astype(np.int64) + self.nnz).tofile(self._files["indptr"])
        self.rows += len(indptr) - 1
        self.nnz += int(indptr[-1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except BaseException:
            self._discard()
            raise

    def _finish(self) -> None:
        # Both index arrays have one dtype, as everywhere: the narrow one where it can count the entries.
        if self.nnz > _INT32_MAX:
            self._converted("indices", self.nnz, np.dtype(np.int64))
        self._converted("indptr", self.rows + 1, self._index)
        stored = self._dtype if self._dtype.kind in "biufc" else np.dtype(f"u{self._dtype.itemsize}")
        sizes = {"data": (self.nnz, stored), "indices": (self.nnz, self._index)}
        sizes["indptr"] = (self.rows + 1, self._index)
        for name, (count, dtype) in sizes.items():
            file = self._files[name]
            file.seek(0)
            file.write(_header(count, dtype))
            file.close()
        described = {"format": FORMAT, "shape": [self.rows, self._columns], "dtype": self._dtype.name}
        (self._folder / DESCRIPTION).write_text(json.dumps(described), encoding="ascii")
        if self._path.is_dir() and not self._path.is_symlink():
            shutil.rmtree(self._path)
        os.replace(self._folder, self._path)

    def _converted(self, name: str, count: int, target: np.dtype[Any]) -> None:
        """Rewrite a file of indices in another width, a piece at a time."""
        source = np.dtype(np.int64) if name == "indptr" else self._index
        if name == "indices":
            self._index = target
        if source == target:
            return
        old = self._files[name]
        self._files[name] = new = (self._folder / f"{name}.wide.npy").open("w+b")
        new.write(bytes(_HEADER_BYTES))
        old.seek(_HEADER_BYTES)
        for begin in range(0, count, _CHUNK):
            np.fromfile(old, source, min(_CHUNK, count - begin)).astype(target).tofile(new)
        old.close()
        os.replace(self._folder / f"{name}.wide.npy", self._folder / f"{name}.npy")

    def _discard(self) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _header(count: int, dtype: np.dtype[Any]) -> bytes:
    """Return the header of a .npy file (version 1.0) of a vector, of a fixed length."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({count},), }}"
    magic = b"\x93NUMPY\x01\x00"
    room = _HEADER_BYTES - len(magic) - 2
    return magic + room.to_bytes(2, "little") + text.ljust(room - 1).encode("ascii") + b"\n"
