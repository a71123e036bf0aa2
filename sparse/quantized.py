"""Quantised matrices: low-precision values with a scale for each row, column, group, or for all."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from ..dtypes import canonical, code_bits, is_float, quantized
from ..errors import DTypeError, FormatError, ShapeError, UnsupportedError
from ..rounding import rounded
from . import rowwise
from .core import in_units
from .packing import pack
from .quantized_blocks import Block, described, infer_block, panels
from .quantized_parts import offset_array, packed_values, scale_array, stored_values, zero_array
from .quantized_show import html
from .quantized_storage import QuantizedStorage
from .shared import picklable
from .validate import matrix_shape, plain_array

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

__all__ = ["Quantized"]


class Quantized(QuantizedStorage):
    """A dense matrix of low-precision values `q` that stand for ``w = float32(q - zero_point) * scale``.

    `quantize` makes it of a matrix; the constructor takes parts that exist already. Scales, zero points
    and offsets are matrices with one element for each block of values: the extents are 1 (one for the
    whole axis), those of the values (one for each row or column), or the number of groups.

    Parameters
    ----------
    values : array_like, shape (m, n)
        Numbers of `dtype`, one to an element. With `shape` they are packed bytes instead, of shape
        (m, ⌈n bits / 8⌉), the first number of a row in the lowest bits. Memory is shared where nothing has
        to be packed.
    scales : array_like
        A scalar or a matrix of float32, float16 or bfloat16, finite (tables of FBGEMM have negative ones for
        constant rows). Other numbers are rounded to float32 once.
    zero_points : array_like of int, optional
        Of the shape of the scales, within the range of `dtype`; none for float8. By default 0.
    dtype : dtype_like, optional
        int8, uint8, int4, uint4, int2, uint2, float8_e4m3fn or float8_e5m2; by default that of `values`.
    shape : tuple of int, optional
        Of the matrix, where `values` are packed.
    group_size : int, optional
        How many consecutive elements share a scale, where an extent of the scales is a number of groups.
    offsets : array_like of float, optional
        In place of zero points: numbers of the dtype of the scales for ``w = fma(q, scale, offset)``, as
        embedding tables have them.
    copy : bool, optional
        Take a private copy of `values`.

    Raises
    ------
    ShapeError, DTypeError, FormatError
        If the parts do not fit together, or a zero point is out of range.

    Notes
    -----
    `@` and `matmul` take it on either side. With one operand quantised, the product is that of
    `dequantize()`. With two, whole numbers are summed exactly within each stretch of the inner index on
    which no scale changes, and the sums then scaled one after the other: see `deepgemm.reference.matmul`.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> W = dg.Quantized(np.array([[1, -2], [3, 4]], np.int8), [[0.5], [0.25]])
    >>> W
    Quantized(shape=(2, 2), dtype=int8, a float32 scale for each row, memory=12 B)
    >>> W.dequantize()
    array([[ 0.5 , -1.  ],
           [ 0.75,  1.  ]], dtype=float32)
    >>> W @ np.array([2.0, 1.0], np.float32)
    array([0. , 2.5], dtype=float32)
    """

    __slots__ = ()

    def __init__(
        self,
        values: npt.ArrayLike,
        scales: npt.ArrayLike,
        zero_points: npt.ArrayLike | None = None,
        *,
        dtype: npt.DTypeLike | None = None,
        shape: tuple[int, int] | None = None,
        group_size: int | None = None,
        offsets: npt.ArrayLike | None = None,
        copy: bool = False,
    ) -> None:
        array = plain_array("Quantized", "values", values)
        if array.ndim != 2:
            raise ShapeError(f"Quantized: values have {array.ndim} dimensions, expected 2")
        found = quantized(array.dtype if dtype is None else dtype, "Quantized: dtype")
        if shape is None:
            shape = (array.shape[0], array.shape[1])
            stored = stored_values("Quantized", array, found, copy)
        else:
            shape = matrix_shape("Quantized", shape)
            stored = packed_values(array, found, shape, copy)
        scale = scale_array("Quantized", scales)
        block = infer_block("Quantized", shape, scale.shape, group_size)
        zeros = None if zero_points is None else zero_array(zero_points, found, scale.shape)
        start = None if offsets is None else offset_array(offsets, scale)
        if zeros is not None and start is not None:
            raise FormatError("Quantized: zero_points and offsets are both given, expected at most one")
        self._set(shape, found, block, stored, scale, zeros, start)

    @classmethod
    def _made(
        cls,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        block: Block,
        values: Array,
        scales: Array,
        zero_points: Array | None = None,
        offsets: Array | None = None,
    ) -> Quantized:
        """Make one of parts that are valid by construction; values as they are stored."""
        made = cls.__new__(cls)
        made._set(shape, dtype, block, values, scales, zero_points, offsets)
        return made

    # What it shows

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value}" if name else value for name, value in self._facts())
        return f"Quantized({facts})"

    def _repr_html_(self) -> str:
        return html(self, self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        extra = " and zero point" if self._zero_points is not None else ""
        extra = " and offset" if self._offsets is not None else extra
        scaling = described(self._shape, self._block, str(self._scales.dtype), extra)
        facts = [("shape", str(self._shape)), ("dtype", str(self._dtype)), ("", scaling)]
        return [*facts, ("memory", in_units(self.nbytes))]

    # What it stands for

    def dequantize(self, dtype: npt.DTypeLike = np.float32) -> Array:
        """Return the matrix of ``w = float32(q - zero_point) * scale``, rounded to float32 once.

        With offsets it is ``w = fma(q, scale, offset)``.

        Parameters
        ----------
        dtype : dtype_like
            Dtype of the result, a floating one; others than float32 are reached by one more rounding.

        Raises
        ------
        DTypeError
            If `dtype` is not floating.
        StaleDataError
            If shared memory was seen to change.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> dg.Quantized(np.array([[130, 126]], np.uint8), 0.5, [[128]]).dequantize()
        array([[ 1., -1.]], dtype=float32)
        """
        target = canonical(dtype, "dequantize: dtype")
        if not is_float(target):
            raise DTypeError(f"dequantize: dtype is {target}, expected a real floating dtype")
        self._check_fresh()
        if self._values.flags.f_contiguous and not self._values.flags.c_contiguous:
            return self.T.dequantize(target).T
        result = np.empty(self._shape, target)
        everything = slice(0, self._shape[1])
        for rows in panels(self._shape):
            result[rows] = rounded(self._tile(rows, everything), target)
        return result

    # Parts of it, and its transpose

    @property
    def T(self) -> Quantized:  # noqa: N802 -- as in NumPy
        """The transpose. It shares memory, but packed values are packed anew once."""
        known = self._transposed
        if isinstance(known, weakref.ref):
            known = known()
        if known is None:
            narrow = code_bits(self._dtype) < 8
            values = pack(self.values.T, code_bits(self._dtype)) if narrow else self._values.T
            others = [None if x is None else x.T for x in self._parts()[1:]]
            known = Quantized._made(
                self._shape[::-1],
                self._dtype,
                self._block[::-1],
                values,
                *others,  # type: ignore[arg-type]
            )
            known._transposed = weakref.ref(self)
            self._transposed = known
        result: Quantized = known
        return result

    def __getitem__(self, rows: Any) -> Quantized:
        """Return some rows, by a slice or a list of row numbers: their values are not quantised anew.

        Raises
        ------
        UnsupportedError
            If columns are asked for, or rows share their scales in groups.
        IndexError
            If a row number is out of range.
        """
        height = self._block[0]
        if isinstance(rows, tuple) or rows is None or rows is Ellipsis:
            raise UnsupportedError("Quantized: only rows can be taken, as in W[10:20] or W[[3, 1]]")
        if 1 < height < self._shape[0]:
            raise UnsupportedError(
                f"Quantized: rows cannot be taken where groups of {height} of them share a scale"
            )
        if isinstance(rows, int | np.integer):
            chosen: Any = np.asarray([rows])
        elif isinstance(rows, slice):
            chosen = rows
        else:
            chosen = np.asarray(rows)
            if chosen.ndim != 1 or chosen.dtype.kind not in "iub":
                raise IndexError(f"Quantized: rows are {rows!r}, expected a slice or a list of row numbers")
        values = np.ascontiguousarray(self._values[chosen])
        shape = (len(values), self._shape[1])
        parts = [
            None if x is None else np.ascontiguousarray(x if height > 1 else x[chosen])
            for x in self._parts()[1:]
        ]
        block = (max(shape[0], 1) if height > 1 else 1, self._block[1])
        return Quantized._made(shape, self._dtype, block, values, *parts)  # type: ignore[arg-type]

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError("Quantized is immutable")

    def __len__(self) -> int:
        return self._shape[0]

    def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
        raise TypeError(
            "Quantized is never dequantised silently; use .dequantize(), or .values for the numbers"
        )

    # Copies

    def copy(self) -> Quantized:
        """Return the same matrix with private memory."""
        parts = [None if x is None else x.copy(order="K") for x in self._parts()]
        return Quantized._made(self._shape, self._dtype, self._block, *parts)  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_fresh()
        plain = [None if x is None else picklable(x) for x in self._parts()]
        return _restore, (self._shape, self._dtype, self._scales.dtype, self.group_size, *plain)

    # Embedding tables of other libraries

    def to_bytes(self, layout: str) -> Array:
        """Return the matrix as an embedding table in the row-wise layout of FBGEMM and PyTorch.

        Parameters
        ----------
        layout : str
            "fused_8bit_rowwise": uint8 values, then scale and offset in float32, as PyTorch's
            `embedding_bag_byte_prepack` makes it; "fused_4bit_rowwise" and "fused_2bit_rowwise": packed
            values, then scale and offset in float16, as `embedding_bag_4bit_prepack` and
            `embedding_bag_2bit_prepack` make them.

        Returns
        -------
        numpy.ndarray of uint8, shape (m, bytes of a row)

        Raises
        ------
        ValueError
            If there is no such layout.
        UnsupportedError
            If the layout cannot hold this matrix: it wants one scale for each row, and its dtypes.

        Notes
        -----
        Zero points become offsets ``-zero_point * scale``, rounded once to their dtype. Bytes come back
        unchanged from `from_bytes`. `quantize_table` quantises as FBGEMM does.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> table = dg.Quantized(np.array([[0, 255]], np.uint8), [[0.5]], offsets=[[1.0]])
        >>> table.to_bytes("fused_8bit_rowwise").tolist()
        [[0, 255, 0, 0, 0, 63, 0, 0, 128, 63]]
        """
        self._check_fresh()
        return rowwise.write(self, layout)

    @classmethod
    def from_bytes(cls, data: Any, layout: str, *, columns: int | None = None) -> Quantized:
        """Read an embedding table in the row-wise layout of FBGEMM and PyTorch.

        Parameters
        ----------
        data : array_like of uint8, shape (m, bytes of a row), or bytes
            The rows one after the other. Their values are copied.
        layout : str
            As for `to_bytes`.
        columns : int, optional
            How many values a row has. Needed for bytes without a shape, and for an odd number of packed
            ones; by default as many as there is room for.

        Raises
        ------
        ValueError
            If there is no such layout.
        ShapeError, DTypeError, FormatError
            If the bytes do not form such a table.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> row = np.array([[0, 255, 0, 0, 0, 63, 0, 0, 128, 63]], np.uint8)
        >>> dg.Quantized.from_bytes(row, "fused_8bit_rowwise").dequantize()
        array([[  1. , 128.5]], dtype=float32)
        """
        dtype, shape, values, scales, offsets = rowwise.read(data, layout, columns)
        return cls(values, scales, dtype=dtype, shape=shape, offsets=offsets)


def _restore(
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    scale_dtype: np.dtype[Any],
    group_size: int | None,
    values: Array,
    scales: Array,
    zero_points: Array | None,
    offsets: Array | None,
) -> Quantized:
    """Rebuild a pickled matrix, validating what came over the wire."""
    return Quantized(
        values if code_bits(dtype) < 8 else values.view(dtype),
        scales.view(scale_dtype),
        zero_points,
        dtype=dtype,
        shape=shape,
        group_size=group_size,
        offsets=None if offsets is None else offsets.view(scale_dtype),
    )
