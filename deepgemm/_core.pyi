"""Types of the C++ core."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]
_DType = np.dtype[Any]
_Index = npt.NDArray[np.int32] | npt.NDArray[np.int64]

class Inspection:
    @property
    def status(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def value(self) -> int: ...
    @property
    def sorted(self) -> bool: ...
    @property
    def canonical(self) -> bool: ...
    @property
    def nnz(self) -> int: ...
    @property
    def max_row(self) -> int: ...
    @property
    def empty_rows(self) -> int: ...
    @property
    def bandwidth(self) -> int: ...
    @property
    def row_sq_sum(self) -> float: ...
    @property
    def near(self) -> float: ...
    @property
    def window_fill(self) -> float: ...
    @property
    def quantiles(self) -> tuple[int, int, int, int, int, int, int]: ...

class Product:
    @property
    def kernel(self) -> str: ...
    @property
    def isa(self) -> str: ...
    @property
    def dtypes(self) -> tuple[str, str]: ...

class Sell:
    @property
    def nbytes(self) -> int: ...
    def refill(self, values: _Array) -> Sell: ...

class Tiled:
    @property
    def nbytes(self) -> int: ...
    def refill(self, values: _Array) -> Tiled: ...

class CodeScales:
    def __init__(self, scales: _Array, of: str, zero: float, nibbles: bool, is_signed: bool) -> None: ...

class Narrow:
    @property
    def nbytes(self) -> int: ...

class PackedIntegers:
    @property
    def nbytes(self) -> int: ...

class PackedRight:
    @property
    def nbytes(self) -> int: ...

class Runner:
    def _bind(
        self,
        *,
        product: Product | None,
        other_side: str,
        other_shape: tuple[int, ...],
        other_dtype: np.dtype[Any],
        out_shape: tuple[int, ...],
        out_dtype: np.dtype[Any],
        names: tuple[str, str, str],
        fallback: Product | None = None,
        callback: Callable[..., _Array] | None = None,
        ending: tuple[Any, ...] | None = None,
        place: Callable[[Any], _Array] | None = None,
        refusal: str = "",
        transposed: bool = False,
        fold: bool = False,
        share_members: bool = False,
        members: int = 1,
        threads: int = 0,
        guards: tuple[_Array, ...] = (),
        apart: tuple[_Array, ...] = ...,
        full_check: bool = False,
        terms: tuple[float, float, float, float] = ...,
    ) -> None: ...
    def _try(self, other: object, /) -> Any: ...
    @property
    def _account(self) -> tuple[int, float, float, bool]: ...
    def __call__(
        self,
        other: npt.ArrayLike,
        *,
        out: _Array | None = None,
        C: npt.ArrayLike | None = None,
        beta: float | None = None,
    ) -> _Array: ...

def inspect_compressed(indptr: _Index, indices: _Index, minor: int) -> Inspection: ...
def transpose(
    indptr: _Index, indices: _Index, minor: int, values: _Array | None = None
) -> tuple[_Index, _Index, _Array]: ...
def compress(
    major: _Index, minor: _Index, n_major: int, values: _Array | None = None
) -> tuple[_Index, _Index, _Array]: ...
def csr_values(
    isa: str | None,
    indptr: _Index,
    indices: _Index,
    positions: _Index | None,
    values: _Array,
    x: _Array,
    out: _Array,
    minor: int,
    sparse_is_left: bool,
    threads: int,
) -> None: ...
def gather(values: _Array, positions: _Index) -> _Array: ...
def fingerprint(*arrays: _Array) -> int: ...
def all_finite(array: _Array) -> bool: ...
def zero_share(array: _Array, samples: int) -> float: ...
def dense_to_csr(array: _Array) -> tuple[_Array, _Index, _Index]: ...
def csr_product(
    algorithm: str,
    isa: str | None,
    indptr: _Index,
    indices: _Index,
    values: _Array,
    minor: int,
    sparse_is_left: bool,
) -> Product: ...
def bsr_product(
    algorithm: str,
    isa: str | None,
    indptr: _Index,
    indices: _Index,
    blocks: _Array,
    block_cols: int,
    sparse_is_left: bool,
) -> Product: ...
def bsr_integers(
    isa: str | None,
    indptr: _Index,
    indices: _Index,
    blocks: _Array,
    block_cols: int,
    width: int,
    other: _DType,
    out: _DType,
) -> Product: ...
def block_fill(indptr: _Index, indices: _Index, height: int, width: int, sample: int) -> float: ...
def rows_alike(indptr: _Index, indices: _Index, sample: int) -> int: ...
def blocks_of_rows(
    indptr: _Index, indices: _Index, height: int, width: int
) -> tuple[_Index, _Index, _Index]: ...
def scatter_values(values: _Array, places: _Index, elements: _Array) -> None: ...
def split_product(
    isa: str | None, indptr: _Index, indices: _Index, values: _Array, minor: int, sparse_is_left: bool
) -> Product: ...
def sell_build(indptr: _Index, indices: _Index, values: _Array, minor: int) -> Sell: ...
def sell_product(isa: str | None, sell: Sell) -> Product: ...
def sell_narrow_product(isa: str | None, sell: Sell, other: _DType, out: _DType) -> Product: ...
def tiled_build(indptr: _Index, indices: _Index, values: _Array, minor: int) -> Tiled: ...
def tiled_product(isa: str | None, tiled: Tiled) -> Product: ...
def tiled_narrow_product(isa: str | None, tiled: Tiled, other: _DType, out: _DType) -> Product: ...
def gemm_product(
    isa: str | None, fixed: _Array, side: str, swap_roles: bool, other: _DType, out: _DType
) -> Product: ...
def gemm_split_product(isa: str | None, fixed: _Array, side: str) -> Product: ...
def pack_right(isa: str | None, right: _Array, chain: _DType) -> PackedRight: ...
def pack_integers(isa: str | None, right: _Array) -> PackedIntegers: ...
def packed_integers(packed: PackedIntegers, other: _DType, out: _DType) -> Product: ...
def has_pairs(isa: str | None, dtype: _DType) -> bool: ...
def pairs_product(isa: str | None, fixed: _Array, side: str, out: _DType) -> Product: ...
def packed_pairs(isa: str | None, right: _Array, out: _DType) -> Product: ...
def packed_product(packed: PackedRight, swap_roles: bool, other: _DType, out: _DType) -> Product: ...
def multiply_plain(left: Any, right: Any, out: Any, /) -> Any: ...
def multiply_dense(
    isa: str | None,
    left: _Array,
    right: _Array,
    out: _Array,
    threads: int,
    epilogue: tuple[Any, ...] | None = None,
) -> None: ...
def finish_dense(
    isa: str | None, product: _Array, out: _Array, epilogue: tuple[Any, ...], threads: int
) -> None: ...
def serves_dense(left: _DType, right: _DType, out: _DType) -> bool: ...
def narrow_matrix(
    isa: str | None,
    values: _Array,
    nibbles: bool,
    is_signed: bool,
    columns: int,
    scales: _Array | None,
    zeros: _Array | None,
    group: int,
    pack: bool,
) -> Narrow: ...
def scaled_product(
    isa: str | None,
    values: _Array,
    nibbles: bool,
    is_signed: bool,
    columns: int,
    scales: _Array,
    zeros: _Array | None,
    group: int,
    other: _DType,
    out: _DType,
) -> Product: ...
def pack_scaled(
    isa: str | None,
    values: _Array,
    nibbles: bool,
    is_signed: bool,
    columns: int,
    scales: _Array,
    zeros: _Array | None,
    group: int,
) -> PackedRight: ...
def cast(source: _Array, to: _Array) -> None: ...
def narrow_rows(
    isa: str | None,
    indptr: _Index,
    indices: _Index,
    values: _Array,
    minor: int,
    block: tuple[int, int],
    other: _DType,
    out: _DType,
    scales: CodeScales | None,
) -> Product: ...
def decode(
    indptr: _Index, indices: _Index, values: _Array, minor: int, block: tuple[int, int], scales: CodeScales
) -> _Array: ...
def narrow_product(matrix: Narrow, other: _DType, out: _DType) -> Product: ...
def dot(isa: str | None, left: _Array, right: _Array) -> Any: ...
def sddmm(
    isa: str | None,
    indptr: _Index,
    indices: _Index,
    x: _Array,
    y: _Array,
    values: _Array,
    threads: int,
) -> None: ...
def gram(
    isa: str | None,
    indptr: _Index,
    indices: _Index,
    values: _Array,
    column_ptr: _Index,
    rows_of: _Index,
    positions: _Index,
    weights: _Array | None,
    out: _Array,
    mirror: bool,
    threads: int,
) -> None: ...
def csr_csr(
    isa: str | None,
    left: tuple[_Index, _Index, _Array],
    right: tuple[_Index, _Index, _Array] | tuple[_Index, _Index, _Array, _Index],
    columns: int,
    threads: int = 0,
    top: int | None = None,
    threshold: float | None = None,
    most_int32: int = ...,
    most_bytes: int = 0,
) -> Any: ...  # (indptr, indices, data); None as soon as entries take more than most_bytes
def csr_csr_dense(
    isa: str | None,
    left: tuple[_Index, _Index, _Array],
    right: tuple[_Index, _Index, _Array],
    out: _Array,
    threads: int = 0,
) -> str: ...
def join_rows(
    left: tuple[_Index, _Index, _Array], right: tuple[_Index, _Index, _Array]
) -> tuple[_Index, _Index, _Array]: ...
def csr_csr_row_bounds(
    left: tuple[_Index, _Index, _Array], right: tuple[_Index, _Index, _Array], columns: int
) -> _Index: ...
def csr_csr_bounds(
    left: tuple[_Index, _Index, _Array], right: tuple[_Index, _Index, _Array], columns: int
) -> tuple[int, int, int]: ...
def gather_rows(
    what: str, indptr: _Index, indices: _Index, values: _Array, picks: _Index, most_int32: int = ...
) -> tuple[_Array, _Index, _Index]: ...
def stack_rows(
    blocks: list[tuple[_Array, _Index, _Index]], most_int32: int = ...
) -> tuple[_Array, _Index, _Index]: ...
def scale(
    indptr: _Index,
    indices: _Index,
    values: _Array,
    weights: _Array,
    by_index: bool,
    divide: bool,
    minor: int,
    dtype: np.dtype[Any],
) -> _Array: ...
def reduce(
    reduction: str,
    indptr: _Index,
    indices: _Index,
    values: _Array,
    minor: int,
    across: bool,
    in_lanes: bool,
    dtype: np.dtype[Any],
    center: _Array | None = None,
    all: bool = False,
) -> Any: ...
def limit() -> int: ...
def process_limit() -> int: ...
def set_process_limit(threads: int) -> None: ...
def set_thread_limit(threads: int) -> int: ...
def cpu_info() -> dict[str, Any]: ...
def assume_feature(feature: str) -> None: ...
def best_isa() -> str: ...
def segments(
    operation: str,
    isa: str | None,
    offsets: _Index,
    lengths: _Index | None,
    values: _Array,
    out: _Array,
    epsilon: float = 0.0,
) -> str: ...
def segment_order(
    offsets: _Index, lengths: _Index | None, keys: _Array, most: int, descending: bool, places: _Array
) -> None: ...
def bags(
    mode: str,
    isa: str | None,
    parts: list[tuple[Any, ...]],  # (table, ids, offsets, lengths, weights, padding)
    out_of_range: str,
    out: _Array,
) -> str | tuple[int, int]: ...  # the ISA that ran, or (feature, position) of the first id that is no row
def order_ids(
    ids: _Index, offsets: _Index, lengths: _Index | None, rows: int, padding: int, out_of_range: str
) -> Any: ...  # (rows, offsets, places, bags), or the position of the first id that is no row
def step_rows(
    optimiser: str,
    isa: str | None,
    table: _Array,
    state: _Array | None,
    rows: _Index,
    gradient: _Array,
    bags: _Index,
    offsets: _Index,
    weights: _Array | None,
    rate: float,
    epsilon: float,
) -> str: ...
def ragged_product(
    isa: str | None,
    left: tuple[Any, ...],
    right: tuple[Any, ...],
    out: tuple[Any, ...],
    chain: np.dtype[Any],
    threads: int = 0,
) -> str: ...
def ragged_products(
    products: list[tuple[Product, bool, int]],
    left: tuple[Any, ...],
    out: tuple[Any, ...],
    threads: int,
) -> None: ...
def attention(
    isa: str | None,
    q: tuple[_Array, _Index, _Index | None],
    k: tuple[_Array, _Index, _Index | None],
    v: tuple[_Array, _Index, _Index | None],
    out: _Array,
    out_offsets: _Index,
    scale: float,
    before: int,
    after: int,
    threads: int = 0,
) -> str: ...
