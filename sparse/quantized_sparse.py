"""Quantised sparse matrices: low-precision values for the entries, with a scale for each line, or for all."""

from __future__ import annotations

import operator
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np
import numpy.typing as npt
import scipy.sparse

from ..dtypes import canonical, float8_e4m3fn, float8_e5m2, is_float, quantized
from ..errors import DTypeError, FormatError, ShapeError, UnsupportedError
from ..rounding import rounded
from .base import SparseArray
from .core import FORMATS, in_units
from .interop import from_scipy
from .quantized_blocks import described, infer_block
from .quantized_parts import check_range, scale_array, stored_entries
from .quantized_show import sparse_html
from .quantized_sparse_storage import Pattern, SparseStorage, pattern_of
from .shared import picklable
from .validate import frozen

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

__all__ = ["SPARSE_DTYPES", "QuantizedSparse"]

SPARSE_DTYPES = (
    *map(quantized, ("int8", "uint8", "int4", "uint4")),
    float8_e4m3fn,
    float8_e5m2,
)
"""What the entries of a sparse matrix can be quantised to."""


class QuantizedSparse(SparseStorage):
    """A sparse matrix of low-precision values `q` that stand for ``w = float32(q - zero_point) * scale``.

    `quantize` makes it of a sparse matrix; the constructor takes parts that exist already. Only entries are
    quantised: what is not stored is zero.

    Parameters
    ----------
    values : sparse array, shape (m, n)
        Numbers of `dtype`, of a class of this package or of SciPy. CSR, CSC and BSR stay what they are, COO
        becomes CSR. Memory is shared where nothing has to be converted, packed or sorted.
    scales : array_like
        A scalar, or a matrix of shape (1, 1), (m, 1) or (1, n), of float32, float16 or bfloat16, finite.
        Other numbers are rounded to float32 once.
    zero_point : int, optional
        The value that stands for zero, within the range of `dtype`; none for float8. By default 0.
    dtype : dtype_like, optional
        int8, uint8, int4, uint4 (two values in a byte), float8_e4m3fn or float8_e5m2; by default that of
        `values`.
    copy : bool, optional
        Take a private copy of `values`.

    Raises
    ------
    ShapeError, DTypeError, FormatError
        If the parts do not fit together, entries are stored twice, or a value or `zero_point` is out of
        range.
    UnsupportedError
        If `values` are dense, or `dtype` has no sparse form.

    Notes
    -----
    `@`, `matmul` and `plan` take it on either side of a dense operand. The product is that of
    `dequantize()`: each value is widened, shifted and scaled in float32, rounded once, and then multiplied.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> W = dg.QuantizedSparse(dg.CSR(np.array([[2, 0], [0, -3]], np.int8)), [[0.5], [0.25]])
    >>> W
    QuantizedSparse(csr, shape=(2, 2), dtype=int8, nnz=2, a float32 scale for each row, memory=30 B)
    >>> W.dequantize().toarray()
    array([[ 1.  ,  0.  ],
           [ 0.  , -0.75]], dtype=float32)
    >>> W @ np.array([1.0, 4.0], np.float32)
    array([ 1., -3.], dtype=float32)
    """

    __slots__ = ()

    def __init__(
        self,
        values: Any,
        scales: npt.ArrayLike,
        zero_point: int | None = None,
        *,
        dtype: npt.DTypeLike | None = None,
        copy: bool = False,
    ) -> None:
        array = compressed_of(values)
        found = sparse_dtype(array.dtype if dtype is None else dtype, "QuantizedSparse: dtype")
        stored = stored_entries("QuantizedSparse", array.data, found, copy)
        scale = scale_array("QuantizedSparse", scales)
        infer_block("QuantizedSparse", array.shape, cast(Any, scale.shape), None)
        if min(scale.shape) > 1:
            raise ShapeError(
                f"QuantizedSparse: scales have shape {scale.shape}, expected one for all, one for each row "
                "or one for each column"
            )
        self._set(pattern_of(array), found, stored, scale, _zero_point(zero_point, found))

    @classmethod
    def _made(
        cls, pattern: Pattern, dtype: np.dtype[Any], stored: Array, scales: Array, zero_point: int
    ) -> QuantizedSparse:
        """Make one of parts that are valid by construction; values as they are stored."""
        made = cls.__new__(cls)
        made._set(pattern, dtype, stored, scales, zero_point)
        return made

    def canonical(self) -> QuantizedSparse:
        """Return the array itself, which is canonical."""
        return self

    # What it shows

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value}" if name else value for name, value in self._facts())
        return f"QuantizedSparse({facts})"

    def _repr_html_(self) -> str:
        return sparse_html(self, self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        extra = " and zero point" if self._zero_point else ""
        blocks = (
            f" of {self._pattern.blocksize[0]} × {self._pattern.blocksize[1]}"
            if self._pattern.format == "bsr"
            else ""
        )
        return [
            ("", self._pattern.format + blocks),
            ("shape", str(self._shape)),
            ("dtype", str(self._dtype)),
            ("nnz", str(self.nnz)),
            ("", described(self._shape, self._block, str(self.scales.dtype), extra)),
            ("memory", in_units(self.nbytes)),
        ]

    # What it stands for

    def dequantize(self, dtype: npt.DTypeLike = np.float32) -> Any:
        """Return the sparse array of ``w = float32(q - zero_point) * scale``, rounded to float32 once.

        Parameters
        ----------
        dtype : dtype_like
            Dtype of the entries, a floating one; others than float32 are reached by one more rounding.

        Returns
        -------
        CSR, CSC or BSR
            With the same entries, also those that stand for zero; the structure is shared.

        Raises
        ------
        DTypeError
            If `dtype` is not floating.
        StaleDataError
            If shared memory was seen to change.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.quantize(dg.CSR([[0.0, 127.0, -1.0]]), "int8").dequantize().toarray()
        array([[  0., 127.,  -1.]], dtype=float32)
        """
        target = canonical(dtype, "dequantize: dtype")
        if not is_float(target):
            raise DTypeError(f"dequantize: dtype is {target}, expected a real floating dtype")
        self._check_fresh()
        return self._with_values(rounded(self.data, target))

    # Parts of it, and its transpose

    @property
    def T(self) -> QuantizedSparse:  # noqa: N802 -- as in NumPy
        """The transpose, made once: of CSR and CSC it shares all memory, blocks are copied."""
        known = self._transposed
        if isinstance(known, weakref.ref):
            known = known()
        if known is None:
            if self._pattern.format == "bsr":
                turned = self._with_values(self.values).T
                pattern = pattern_of(turned)
                stored = stored_entries("QuantizedSparse", turned.data, self._dtype, False)
            else:
                other = "csc" if self._pattern.format == "csr" else "csr"
                pattern = self._pattern._replace(format=other, shape=self._shape[::-1])
                stored = self.stored
            known = QuantizedSparse._made(pattern, self._dtype, stored, self.scales.T, self._zero_point)
            known._transposed = weakref.ref(self)
            self._transposed = known
        result: QuantizedSparse = known
        return result

    def __getitem__(self, rows: Any) -> QuantizedSparse:
        """Return some rows, by a slice or a list of row numbers: their values are not quantised anew.

        Raises
        ------
        UnsupportedError
            If columns are asked for.
        IndexError
            If a row number is out of range.
        """
        if isinstance(rows, tuple) or rows is None or rows is Ellipsis:
            raise UnsupportedError("QuantizedSparse: only rows can be taken, as in W[10:20] or W[[3, 1]]")
        self._check_fresh()
        if isinstance(rows, int | np.integer):
            rows = [rows]
        picked = compressed_of(self._with_values(self.values)[rows])
        stored = stored_entries("QuantizedSparse", picked.data, self._dtype, False)
        scales = self.scales[rows] if self.scales.shape[0] > 1 else self.scales
        return QuantizedSparse._made(pattern_of(picked), self._dtype, stored, scales, self._zero_point)

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError("QuantizedSparse is immutable")

    def __len__(self) -> NoReturn:
        raise TypeError("the length of a sparse array is ambiguous; use shape[0] or nnz")

    def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
        raise TypeError(
            "QuantizedSparse is never made dense silently; use .dequantize().toarray(), or .values for the "
            "numbers"
        )

    # Copies

    def copy(self) -> QuantizedSparse:
        """Return the same matrix with private memory."""
        stored, indices, indptr, scales = (part.copy() for part in self._arrays)
        pattern = self._pattern._replace(indices=frozen(indices), indptr=frozen(indptr))
        return QuantizedSparse._made(pattern, self._dtype, stored, scales, self._zero_point)

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_fresh()
        values = picklable(self.values)
        return _restore, (
            (self._pattern.format, self._shape, self._dtype, self._zero_point),
            (values, self.indices, self.indptr),
            (picklable(self.scales), self.scales.dtype),
        )


def _restore(
    facts: tuple[str, tuple[int, int], np.dtype[Any], int],
    parts: tuple[Array, Array, Array],
    scales: tuple[Array, np.dtype[Any]],
) -> QuantizedSparse:
    """Rebuild a pickled matrix, validating what came over the wire."""
    format, shape, dtype, zero_point = facts
    values = parts[0].view(dtype) if is_float(dtype) else parts[0]
    array = FORMATS[format]._from_parts(shape, (values, *parts[1:]))
    zero = None if is_float(dtype) else zero_point
    return QuantizedSparse(array, scales[0].view(scales[1]), zero, dtype=dtype)


def _zero_point(zero_point: Any, dtype: np.dtype[Any]) -> int:
    if zero_point is None:
        return 0
    if is_float(dtype):
        raise FormatError(f"QuantizedSparse: zero_point is given, but {dtype} has none")
    try:
        number = operator.index(zero_point)
    except TypeError:
        raise DTypeError(
            f"QuantizedSparse: zero_point is {zero_point!r}, expected one whole number: zeros that are not "
            "stored have no zero point, so a range that is not symmetric gains nothing"
        ) from None
    check_range("QuantizedSparse", "zero_point", np.asarray(number), dtype)
    return number


def sparse_dtype(dtype: npt.DTypeLike, argument: str) -> np.dtype[Any]:
    """Return `dtype` if sparse matrices can be quantised to it.

    Examples
    --------
    >>> sparse_dtype("int4", "dtype")
    dtype(int4)
    """
    found = quantized(dtype, argument)
    if found not in SPARSE_DTYPES:
        names = ", ".join(map(str, SPARSE_DTYPES))
        raise UnsupportedError(f"{argument} is {found}, expected one of: {names} for a sparse matrix")
    return found


def compressed_of(values: Any) -> Any:
    """Return a sparse array as a canonical one in one of the formats."""
    if scipy.sparse.issparse(values):
        values = from_scipy("QuantizedSparse: values", values)
    if not isinstance(values, SparseArray):
        raise UnsupportedError(
            f"QuantizedSparse: values are a {type(values).__name__}, expected a sparse array; "
            "Quantized takes dense ones"
        )
    values._check_fresh()
    array = values.canonical()
    if array.nnz != values.nnz:
        raise FormatError(
            f"QuantizedSparse: values store {values.nnz - array.nnz} entries twice, expected each once"
        )
    return array.tocsr() if array.format == "coo" else array
