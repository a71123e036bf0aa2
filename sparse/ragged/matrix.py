"""One matrix for each segment, of any shape each: what the product of two ragged arrays is."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt

from ... import _core
from ...dtypes import canonical
from ...errors import FormatError, ShapeError
from ..indexing import is_int
from ..shared import Shared, picklable
from ..validate import frozen, index_array, plain_array
from .construct import row_buffer
from .padding import scalar_of
from .products import Products
from .ragged import Ragged
from .segments import Segments, offsets_of, spans
from .text import matrix_html, matrix_text

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


class RaggedMatrix(Shared, Products):
    """A matrix for each segment, one after the other in one buffer: attention scores, for example.

    An immutable value, as `Ragged`: it may share memory with what it was made from, and hands out read-only
    views.

    Parameters
    ----------
    values : array_like, shape (elements,)
        The elements of all matrices, each in C order.
    offsets : array_like of int, shape (n + 1,)
        Matrix i begins at element `offsets[i]`.
    rows, cols : array_like of int, shape (n,)
        The shape of each matrix.
    dtype : dtype_like, optional
        Dtype of the values.

    Raises
    ------
    ShapeError, DTypeError, FormatError
        If the parts do not form matrices; the message names the segment.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> m = dg.RaggedMatrix(np.arange(8.0), [0, 2, 8], rows=[1, 2], cols=[2, 3])
    >>> m
    RaggedMatrix(segments=2, elements=8, dtype=float64, shapes=1 × 2 to 2 × 3, memory=120 B)
    >>> m[1]
    array([[2., 3., 4.],
           [5., 6., 7.]])
    """

    __slots__ = ("__weakref__", "_cols", "_fingerprint", "_offsets", "_rows", "_values")

    __array_priority__: ClassVar[float] = 20.0
    __array_ufunc__: ClassVar[None] = None
    __hash__ = None  # type: ignore[assignment]  # compared by `equals`

    def __init__(
        self, values: Any, offsets: Any, rows: Any, cols: Any, *, dtype: npt.DTypeLike | None = None
    ) -> None:
        owner = type(self).__name__
        buffer = row_buffer(owner, values, dtype, False)
        if buffer.ndim != 1:
            raise ShapeError(f"{owner}: values has {buffer.ndim} dimensions, expected 1")
        parts = {name: index_array(owner, name, part, False).astype(np.int64, copy=False)
                 for name, part in (("rows", rows), ("cols", cols))}  # fmt: skip
        segments = Segments.from_parts(owner, len(buffer), offsets)
        for name, part in parts.items():
            if len(part) != len(segments):
                raise ShapeError(
                    f"{owner}: {name} has {len(part)} entries, but offsets make {len(segments)} segments"
                )
            if part.min(initial=0) < 0:
                at = int((part < 0).argmax())
                raise FormatError(f"{owner}: segment {at} has {part[at]} {name}, expected at least 0")
        _check_sizes(owner, segments.lengths, **parts)
        self._adopt(buffer, segments.offsets.astype(np.int64, copy=False), parts["rows"], parts["cols"])

    def _adopt(self, values: Array, offsets: Array, rows: Array, cols: Array) -> None:
        self._values, self._offsets = frozen(values), frozen(offsets)
        self._rows, self._cols = frozen(rows), frozen(cols)
        self._fingerprint = self._take_fingerprint()

    @classmethod
    def _trusted(cls, values: Array, offsets: Array, rows: Array, cols: Array) -> RaggedMatrix:
        """Make an array of parts that are valid by construction."""
        made = cls.__new__(cls)
        made._adopt(values, offsets, rows, cols)
        return made

    @classmethod
    def from_list(cls, matrices: Iterable[Any], *, dtype: npt.DTypeLike | None = None) -> RaggedMatrix:
        """Return matrices of any shapes, copied into one buffer.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.RaggedMatrix.from_list([[[1, 2]], [[3], [4]]]).cols
        array([2, 1])
        """
        owner = f"{cls.__name__}.from_list"
        parts = [plain_array(owner, f"matrix {i}", part) for i, part in enumerate(matrices)]
        for number, part in enumerate(parts):
            if part.ndim != 2:
                raise ShapeError(f"{owner}: matrix {number} has {part.ndim} dimensions, expected 2")
        flat = Ragged([part.reshape(-1) for part in parts], dtype=dtype)
        rows, cols = (np.array([part.shape[axis] for part in parts], np.int64) for axis in (0, 1))
        return cls._trusted(flat.values, flat.offsets.astype(np.int64, copy=False), rows, cols)

    def _take_fingerprint(self) -> int:
        return _core.fingerprint(self._values, self._offsets, self._rows, self._cols)

    def copy(self) -> RaggedMatrix:
        """Return the same matrices with private memory."""
        self._check_fresh()
        return self._trusted(*(part.copy() for part in (self._values, self._offsets, self._rows, self._cols)))

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is compared by .equals(), or by .values")

    # What it is

    @property
    def values(self) -> Array:
        """The elements of all matrices, each in C order; read-only."""
        return self._values

    @property
    def offsets(self) -> Array:
        """Where each matrix begins in `values`, n + 1 entries of int64; read-only."""
        return self._offsets

    @property
    def rows(self) -> Array:
        """Rows of each matrix; read-only."""
        return self._rows

    @property
    def cols(self) -> Array:
        """Columns of each matrix; read-only."""
        return self._cols

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self._values.dtype

    @property
    def shape(self) -> tuple[int, None, None]:
        """Number of segments, and None for the axes whose lengths vary."""
        return (len(self), None, None)

    @property
    def ndim(self) -> int:
        """Number of axes, that of segments included."""
        return 3

    @property
    def size(self) -> int:
        """Number of elements of all matrices together."""
        return len(self._values)

    @property
    def nbytes(self) -> int:
        """Memory of the parts, shared or not, in bytes."""
        return sum(part.nbytes for part in (self._values, self._offsets, self._rows, self._cols))

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return matrix_text(self)

    def _repr_html_(self) -> str:
        return matrix_html(self)

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is immutable; with_values() gives it other values")

    def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is never padded silently; use .to_padded(), .values or .to_list()"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_fresh()
        parts = (picklable(self._values), self._offsets, self._rows, self._cols)
        return _restore, (type(self), self.dtype, *parts)

    # Segments

    def __getitem__(self, key: Any) -> Any:
        """Return matrix `key` as a read-only view, or for a slice, an index array or a mask those chosen."""
        self._check_fresh()
        n = len(self)
        if isinstance(key, tuple):
            raise IndexError(
                f"{type(self).__name__}: one index chooses segments; m[i][row, column] is an element"
            )
        if is_int(key):
            number = operator.index(key)
            if not -n <= number < n:
                raise IndexError(f"segment {number} is out of range for {n} segments")
            return self._matrix(number % n)
        flat = Ragged._trusted(self._values, Segments(self._offsets))
        try:
            chosen = np.arange(n)[key]
        except IndexError:
            chosen = flat._chosen(key)  # which says what is wrong
        if chosen.ndim != 1:
            raise IndexError(f"{type(self).__name__}: the index has {chosen.ndim} dimensions, expected 1")
        part = flat[key] if isinstance(key, slice) else flat[chosen]
        return self._trusted(
            part.values, part.offsets.astype(np.int64, copy=False), self._rows[chosen], self._cols[chosen]
        )

    def __iter__(self) -> Iterator[Array]:
        self._check_fresh()
        return (self._matrix(number) for number in range(len(self)))

    def _matrix(self, number: int) -> Array:
        begin, end = int(self._offsets[number]), int(self._offsets[number + 1])
        return self._values[begin:end].reshape(int(self._rows[number]), int(self._cols[number]))

    def to_list(self) -> list[Any]:
        """Return the matrices as nested lists of Python numbers.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.RaggedMatrix([1, 2], [0, 1, 2], rows=[1, 1], cols=[1, 1]).to_list()
        [[[1]], [[2]]]
        """
        return [matrix.tolist() for matrix in self]

    def to_padded(self, fill: Any = 0) -> Array:
        """Return a padded batch, of shape (segments, most rows, most columns).

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.RaggedMatrix.from_list([[[1, 2]], [[3], [4]]]).to_padded(fill=-1).tolist()
        [[[1, 2], [-1, -1]], [[3, -1], [4, -1]]]
        """
        self._check_fresh()
        height, width = int(self._rows.max(initial=0)), int(self._cols.max(initial=0))
        out = np.empty(len(self) * height * width, self.dtype)
        out[...] = scalar_of(f"{type(self).__name__}.to_padded", "fill", fill, self.dtype)
        first = np.repeat(np.arange(len(self)) * height, self._rows)
        within = spans(np.zeros(len(self), np.int64), self._rows)
        out[spans((first + within) * width, np.repeat(self._cols, self._rows))] = self._values
        return out.reshape(len(self), height, width)

    def by_rows(self) -> Ragged:
        """Return the rows of all matrices as segments of a `Ragged`, which shares the values.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.RaggedMatrix.from_list([[[1, 2]], [[3], [4]]]).by_rows().sum()
        array([3, 3, 4])
        """
        self._check_fresh()
        return Ragged._trusted(self._values, Segments(offsets_of(np.repeat(self._cols, self._rows))))

    def softmax(self) -> RaggedMatrix:
        """Return the softmax along each row of each matrix, in the order of `Ragged.softmax`.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.RaggedMatrix.from_list([[[0.0, 0.0]], [[7.0]]]).softmax().to_list()
        [[[0.5, 0.5]], [[1.0]]]
        """
        return self.with_values(self.by_rows().softmax().values)

    # The same shapes with other values

    def with_values(self, values: Any) -> RaggedMatrix:
        """Return matrices of the same shapes with other values, sharing both.

        Examples
        --------
        >>> import deepgemm as dg
        >>> m = dg.RaggedMatrix.from_list([[[1.0, 2.0]]])
        >>> m.with_values(m.values / 2).to_list()
        [[[0.5, 1.0]]]
        """
        self._check_fresh()
        owner = f"{type(self).__name__}.with_values"
        buffer = row_buffer(owner, values, None, False)
        if buffer.shape != self._values.shape:
            raise ShapeError(f"{owner}: values has shape {buffer.shape}, expected {self._values.shape}")
        return self._trusted(buffer, self._offsets, self._rows, self._cols)

    def astype(self, dtype: npt.DTypeLike) -> RaggedMatrix:
        """Return the matrices with their values converted, one by one; itself if nothing changes."""
        target = canonical(dtype, f"{type(self).__name__}.astype: dtype")
        return self if target == self.dtype else self.with_values(self._values.astype(target))

    def equals(self, other: object) -> bool:
        """Whether `other` has the same dtype, shapes and values; nan equals nan.

        Examples
        --------
        >>> import deepgemm as dg
        >>> m = dg.RaggedMatrix.from_list([[[1.0, 2.0]]])
        >>> m.equals(dg.RaggedMatrix.from_list([[[1.0], [2.0]]]))
        False
        """
        if not isinstance(other, RaggedMatrix) or self.dtype != other.dtype:
            return False
        if not all(np.array_equal(*pair) for pair in ((self._rows, other._rows), (self._cols, other._cols))):
            return False
        left, right = self._values, other._values
        return bool(((left == right) | ((left != left) & (right != right))).all())


def _restore(cls: type[RaggedMatrix], dtype: np.dtype[Any], values: Array, *parts: Array) -> RaggedMatrix:
    """Rebuild pickled matrices, validating what came over the wire."""
    return cls(values.view(dtype), *parts)


def _check_sizes(owner: str, lengths: Array, rows: Array, cols: Array) -> None:
    # As floating-point numbers too, because the product of two sizes may wrap to the right one.
    wrong = (rows * cols != lengths) | (rows.astype(np.float64) * cols > 2.0**62)
    if wrong.any():
        at = int(wrong.argmax())
        raise FormatError(
            f"{owner}: segment {at} has {rows[at]} rows and {cols[at]} columns, but {lengths[at]} elements"
        )
