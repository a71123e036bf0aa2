// What the sparse kernels are told, as plain data. Element strides; X and Y have unit column stride.
#pragma once

#include <cstdint>

namespace deepgemm {

// csr_rowwise does rows [begin, end) of Y = S X with S in compressed rows.
// csr_scatter does columns [begin, end) of Y = S X with S in compressed columns; it clears them first.
struct SpmmArgs {
  const void* indptr;
  const void* indices;
  const void* values;
  std::int64_t major;  // rows of S for csr_rowwise, columns of S for csr_scatter
  std::int64_t minor;  // the other one
  const void* x;
  std::int64_t x_stride;
  void* y;
  std::int64_t y_stride;
  std::int64_t columns;
  // For complex products: whether S stands on the left in what the caller wrote. The order of the two
  // multiply-adds of the imaginary part depends on it.
  bool sparse_is_left;
};

// csr_vector does rows [begin, end) of y = S x.
struct SpmvArgs {
  const void* indptr;
  const void* indices;
  const void* values;
  const void* x;  // contiguous
  void* y;
  std::int64_t y_stride;
  std::int64_t nnz;  // how far values and indices may be read
  bool sparse_is_left;
};

// One slice of the SELL layout. Its indices are 16-bit offsets from a column of its own, or, where its rows
// reach further apart than those can tell, 32-bit columns.
struct SellSlice {
  std::int64_t entry;   // first entry
  std::int64_t offset;  // first index, in units of 16 bits; even where indices are 32 bits wide
  std::int64_t base;    // the column that 16-bit offsets count from; -1: 32-bit columns
};

// sell_vector does slices [begin, end) of y = S x, or halves of slices; see core/sell.h for the layout.
struct SellArgs {
  const SellSlice* slices;
  const std::int32_t* length;  // row lengths in slice order, descending within a slice, 0 past the last row
  const std::int32_t* row;     // the row of Y that each lane belongs to
  const std::uint16_t* offsets;
  const void* values;
  const void* x;
  void* y;
  std::int64_t y_stride;
  std::int64_t rows;
  bool in_order;  // lane i of slice s is row s * lanes + i
  bool halves;    // begin and end count halves of slices, two to each
};

// Rows of a slice: one 64-byte vector of values.
template <class T>
constexpr int sell_lanes() {
  return static_cast<int>(64 / sizeof(T));
}

}  // namespace deepgemm
