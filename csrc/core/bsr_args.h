// What the block-sparse kernels are told, as plain data. Element strides; X and Y have unit column stride.
#pragma once

#include <cstdint>

namespace deepgemm {

// S in compressed rows of blocks, each block row-major.
// bsr_dense and bsr_vector do block rows [begin, end) of Y = S X.
// bsr_scatter does columns [begin, end) of Y = S^T X; it clears them first.
struct BsrArgs {
  const void* indptr;
  const void* indices;
  bool wide;  // whether both hold 64-bit integers
  const void* values;
  std::int64_t height;  // rows and columns of a block
  std::int64_t width;
  std::int64_t block_rows;
  std::int64_t block_cols;
  const void* x;  // bsr_vector: contiguous
  std::int64_t x_stride;
  void* y;
  std::int64_t y_stride;
  std::int64_t columns;
  // For complex products: whether S stands on the left in what the caller wrote. The order of the two
  // multiply-adds of the imaginary part depends on it.
  bool sparse_is_left;
};

}  // namespace deepgemm
