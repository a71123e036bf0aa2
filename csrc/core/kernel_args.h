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
  bool sparse_is_left;
};

// sell_vector does slices [begin, end) of y = S x; see core/sell.h for the layout.
struct SellArgs {
  const std::int64_t* slice_start;  // first entry of each slice
  const std::int32_t* length;       // row lengths in slice order, descending within a slice
  const std::int32_t* row;          // the row of Y that each lane belongs to
  const std::int32_t* indices;
  const void* values;
  const void* x;
  void* y;
  std::int64_t y_stride;
  std::int64_t rows;
  bool in_order;  // lane i of slice s is row s * lanes + i
};

// Rows of a slice: one 64-byte vector of values.
template <class T>
constexpr int sell_lanes() {
  return static_cast<int>(64 / sizeof(T));
}

}  // namespace deepgemm
