// What the sampled product's kernel is told, as plain data. Strides count elements (a complex number is one).
#pragma once

#include <cstdint>

namespace deepgemm {

// sddmm does the entries [begin, end) of a mask in compressed rows: values[p] is the product of row i of X
// with row j of Y transposed, where entry p stands in row i and column j.
struct SddmmArgs {
  const void* indptr;
  const void* indices;
  std::int64_t rows;
  const void* x;  // rows of `inner` adjacent elements
  std::int64_t x_stride;
  const void* y;  // columns of Y: rows of `inner` adjacent elements
  std::int64_t y_stride;
  std::int64_t inner;
  void* values;
};

}  // namespace deepgemm
