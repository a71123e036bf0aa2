"""Between ragged arrays and what others make of them: CSR patterns, jagged tensors, Arrow, awkward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import DTypeError, FormatError, ShapeError
from ..core import FORMATS
from ..validate import frozen, plain_array
from . import with_arrow, with_awkward, with_torch
from .core import Stored
from .segments import Segments

if TYPE_CHECKING:
    from ..csr import CSR

    Array = npt.NDArray[Any]

R = TypeVar("R", bound="Interop")


class Interop(Stored):
    """Views to and from other libraries; memory is shared where the other side has dtype and layout."""

    __slots__ = ()

    # Compressed sparse rows: segment i lists the columns of row i

    @classmethod
    def from_csr(cls: type[R], matrix: Any, part: str = "indices") -> R:
        """Return the column ids of each row of a CSR matrix, or its entries, sharing memory.

        Parameters
        ----------
        matrix : CSR, scipy.sparse.csr_array or csr_matrix
            Other sparse formats are converted first.
        part : {"indices", "data"}
            What the rows are made of. The two have the same segments.

        Examples
        --------
        >>> import deepgemm as dg
        >>> A = dg.CSR([[0.0, 5.0], [6.0, 7.0]])
        >>> dg.Ragged.from_csr(A).to_list()
        [[1], [0, 1]]
        """
        if part not in ("indices", "data"):
            raise FormatError(f'{cls.__name__}.from_csr: part is {part!r}, expected "indices" or "data"')
        rows = FORMATS["csr"](matrix)
        values = getattr(rows, part)
        return cls._trusted(values, Segments(rows.indptr))

    def to_csr(self, columns: int | None = None, data: Any = None) -> CSR:
        """Return the CSR matrix whose row i has its entries in the columns that segment i lists.

        Parameters
        ----------
        columns : int, optional
            Columns of the matrix; by default as many as the ids need.
        data : array_like or Ragged, optional
            The entries, one for each id; by default ones of float32.

        Returns
        -------
        CSR
            It shares memory, unless there are gaps or ids and offsets are not of one width. Repeated ids
            are duplicate entries.

        Raises
        ------
        DTypeError, ShapeError, FormatError
            If the values are no ids of columns, or `data` has another length.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1], [0, 1]]).to_csr(columns=3).toarray()
        array([[0., 1., 0.],
               [1., 1., 0.]], dtype=float32)
        """
        owner = f"{type(self).__name__}.to_csr"
        if self.row_shape or self.dtype.kind not in "iu":
            raise DTypeError(
                f"{owner}: values are {self.dtype} with rows of shape {self.row_shape}, expected integer ids"
            )
        ids = self.packed()
        if data is None:
            entries = np.ones(len(ids.values), np.float32)
        elif isinstance(data, Stored):
            if not data._segments.same_lengths(self._segments):
                raise ShapeError(f"{owner}: data has segments of other lengths")
            entries = data.packed().values
        else:
            entries = plain_array(owner, "data", data)
        if entries.shape != ids.values.shape:
            raise ShapeError(f"{owner}: data has shape {entries.shape}, expected {ids.values.shape}")
        shape = None if columns is None else (len(self), columns)
        made: CSR = FORMATS["csr"]((entries, ids.values, ids.offsets), shape=shape)
        return made

    # torch

    @classmethod
    def from_torch(cls: type[R], tensor: Any, offsets: Any = None) -> R:
        """Return a jagged nested tensor of PyTorch, or values and `cu_seqlens`, sharing memory.

        Parameters
        ----------
        tensor : torch.Tensor
            On the CPU: nested with ``layout=torch.jagged``, or with `offsets` a plain one of all rows.
        offsets : torch.Tensor or array_like of int, optional
            Where segments begin, n + 1 entries.
        """
        values, where, lengths = with_torch.parts_of(f"{cls.__name__}.from_torch", tensor, offsets)
        return cls(values, where, lengths=lengths)

    def to_torch(self) -> Any:
        """Return a nested tensor of PyTorch, ``layout=torch.jagged``, that shares memory.

        This array is immutable and the tensor is not: do not write to it.
        """
        self._check_fresh()
        return with_torch.nested(self._values, self.offsets, self.lengths if self.has_gaps else None)

    # Arrow

    @classmethod
    def from_arrow(cls: type[R], array: Any) -> R:
        """Return a list array of pyarrow, of numbers or of lists of fixed size, sharing memory.

        Parameters
        ----------
        array : pyarrow.ListArray, pyarrow.LargeListArray or a chunked one, which is copied
            Without nulls.
        """
        values, offsets = with_arrow.parts_of(f"{cls.__name__}.from_arrow", array)
        return cls(values, offsets)

    def to_arrow(self) -> Any:
        """Return a pyarrow list array (large, for int64 offsets) that shares memory, bool excepted.

        The axes of a row become lists of fixed size. Gaps are left out, which copies.
        """
        packed = self.packed()
        return with_arrow.lists(f"{type(self).__name__}.to_arrow", packed.values, packed.offsets)

    # awkward

    @classmethod
    def from_awkward(cls: type[R], array: Any) -> R:
        """Return an awkward array of lists of numbers, sharing memory; axes of fixed size may follow."""
        values, offsets = with_awkward.parts_of(f"{cls.__name__}.from_awkward", array)
        return cls(values, offsets)

    def to_awkward(self) -> Any:
        """Return an awkward array that shares memory, gaps included."""
        self._check_fresh()
        segments = self._segments
        return with_awkward.lists(
            f"{type(self).__name__}.to_awkward", self._values, segments.starts, frozen(segments.ends)
        )
