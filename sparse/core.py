"""What every operand is made of: a shape, read-only parts, caches, and the hook of the products."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import UnsupportedError
from .layouts import LayoutCache
from .shared import Shared, picklable

if TYPE_CHECKING:
    from .base import SparseArray

    Array = npt.NDArray[Any]

Self = TypeVar("Self", bound="Operand")
ProductFunction = Callable[[Any, Any], Any]

FORMATS: dict[str, type[Any]] = {}
"""The class of each format, by name: conversions look here, so that formats need not import each other."""


class RecentPlan(Protocol):
    """The part of a plan that the operators use: run if the operand fits, else decline."""

    def _try(self, other: object) -> Any: ...


class Factor(Shared):
    """What can stand in a product: an immutable value with a shape, parts that may be shared, and caches.

    Attributes for the planner, private to the package:

    - `_arrays`: the parts, read-only and contiguous.
    - `_layouts`: the `LayoutCache` of this array.
    - `_recent_left`, `_recent_right`: the plan that `A @ x` and `x @ A` try first, or None.
    - `_plans`, `_accounts`: dictionaries that only the planner reads and writes.
    - `_member`: the product that `grouped_matmul` last ran with this array, or None.
    """

    __slots__ = (
        "__weakref__",
        "_accounts",
        "_arrays",
        "_fingerprint",
        "_layouts",
        "_member",
        "_plans",
        "_recent_left",
        "_recent_right",
        "_shape",
    )

    ndim: ClassVar[int] = 2
    __array_priority__: ClassVar[float] = 20.0  # above SciPy's 10.1

    _shape: tuple[int, int]
    _arrays: tuple[Array, ...]

    def _hold(
        self, shape: tuple[int, int], arrays: tuple[Array, ...], donor: LayoutCache | None = None
    ) -> None:
        """Take validated, read-only parts as this value's own."""
        self._shape = shape
        self._arrays = arrays
        self._fingerprint: int = self._take_fingerprint()
        self._layouts = LayoutCache(self, donor)
        self._plans: dict[Any, Any] = {}
        self._accounts: dict[Any, Any] = {}
        self._member: Any = None
        self._recent_left: RecentPlan | None = None
        self._recent_right: RecentPlan | None = None

    def _drop_plans(self) -> None:
        """Let go of all plans, and with them of the layouts that they hold."""
        self._recent_left = self._recent_right = self._member = None
        self._plans.clear()

    def _take_fingerprint(self) -> int:
        # In the order of memory, so that nothing is copied.
        return _core.fingerprint(*(a if a.ndim == 1 else a.ravel(order="K") for a in self._arrays))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._shape

    @property
    def nbytes(self) -> int:
        """Memory of the parts, shared or not, in bytes; layouts are not counted."""
        return sum(array.nbytes for array in self._arrays)

    # The product

    def __matmul__(self, other: Any) -> Any:
        recent = self._recent_left
        if recent is not None:
            result = recent._try(other)
            if result is not NotImplemented:
                return result
        return _left_product(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        recent = self._recent_right
        if recent is not None:
            result = recent._try(other)
            if result is not NotImplemented:
                return result
        return _right_product(self, other)

    def dot(self, other: Any) -> Any:
        """Return the matrix product `self @ other`.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> dg.CSR([[1.0, 0.0], [0.0, 2.0]]).dot(np.array([3.0, 4.0]))
        array([3., 8.])
        """
        return self.__matmul__(other)


class Operand(Factor):
    """Storage and identity of a sparse array; the arithmetic is mixed in by `SparseArray`.

    Beyond what every factor has, private to the package: `_data`, the first of `_arrays`, which are in the
    order of `_part_names`, and `_inspection`, what the validation pass measured (None for coo).
    """

    __slots__ = ("_block_fill", "_canonical", "_data", "_inspection", "_merge", "_transposed")

    format: ClassVar[str]
    _part_names: ClassVar[tuple[str, ...]]
    __hash__: ClassVar[None]  # type: ignore[assignment]  # `==` is element-wise

    _data: Array
    _inspection: _core.Inspection | None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "format" in cls.__dict__:
            FORMATS[cls.format] = cls

    def _adopt(
        self,
        shape: tuple[int, int],
        arrays: tuple[Array, ...],
        inspection: _core.Inspection | None,
        donor: LayoutCache | None = None,
    ) -> None:
        """Take validated, read-only parts as this array's own."""
        self._hold(shape, arrays, donor)
        self._data = arrays[0]
        self._inspection = inspection
        self._block_fill: Any = None  # what the planner measured of blocks, once it looked
        self._canonical: Any = None  # the canonical copy, once it was asked for
        self._merge: Any = None  # how that copy's values follow from these
        self._transposed: Any = None  # the transpose, or a weak reference to what this transposes

    @classmethod
    def _trusted(
        cls: type[Self],
        shape: tuple[int, int],
        arrays: tuple[Array, ...],
        inspection: _core.Inspection | None = None,
        donor: LayoutCache | None = None,
    ) -> Self:
        """Make an array of parts that are valid by construction."""
        array = cls.__new__(cls)
        array._adopt(shape, arrays, inspection, donor)
        return array

    # What it is

    @property
    def data(self) -> Array:
        """The stored entries, read-only."""
        return self._data

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the stored entries."""
        return self._data.dtype

    @property
    def nnz(self) -> int:
        """Number of stored entries, explicit zeros and duplicates included."""
        return self._data.size

    @property
    def size(self) -> int:
        """The same as `nnz`, as in SciPy."""
        return self._data.size

    @property
    def density(self) -> float:
        """Stored entries as a share of all places; 0 for an empty matrix."""
        places = self._shape[0] * self._shape[1]
        return self.nnz / places if places else 0.0

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(shape={self._shape}, dtype={self.dtype}, nnz={self.nnz}, "
            f"density={self.density:.3g}, memory={in_units(self.nbytes)})"
        )

    def __len__(self) -> NoReturn:
        raise TypeError("the length of a sparse array is ambiguous; use shape[0] or nnz")

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is immutable; with_data() gives it other entries")

    def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is never made dense silently; use .toarray(), or .to_scipy() for SciPy"
        )

    # Copies

    def copy(self: Self) -> Self:
        """Return the same array with private memory."""
        arrays = tuple(_freeze(array.copy()) for array in self._arrays)
        return self._trusted(self._shape, arrays, self._inspection)

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_fresh()
        return _restore, (type(self), self._shape, self.dtype, picklable(self._data), self._arrays[1:])


def _restore(
    cls: type[SparseArray],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    data: Array,
    structure: tuple[Array, ...],
) -> SparseArray:
    """Rebuild a pickled array, validating what came over the wire."""
    return cls._from_parts(shape, (data.view(dtype), *structure))


def _freeze(array: Array) -> Array:
    array.setflags(write=False)
    return array


def in_units(nbytes: int) -> str:
    """Return a number of bytes with a readable unit."""
    size = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _no_product(array: Factor, other: Any) -> Any:
    raise UnsupportedError("products need deepgemm.ops, which `import deepgemm` loads")


_left_product: ProductFunction = _no_product
_right_product: ProductFunction = _no_product


def register_product(left: ProductFunction, right: ProductFunction) -> None:
    """Set what `A @ other` calls, as `left(A, other)`, and what `other @ A` calls, as `right(A, other)`."""
    global _left_product, _right_product
    _left_product, _right_product = left, right
