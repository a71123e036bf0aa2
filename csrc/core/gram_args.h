// What the kernel of symmetric products is told, as plain data.
#pragma once

#include <cstdint>

namespace deepgemm {

// gram does rows [begin, end) of the upper triangle of G = A^T diag(w) A, in columns [first_column,
// last_column). A is given by rows, and by columns as positions in those rows.
struct GramArgs {
  const void* indptr;  // rows of A, canonical
  const void* indices;
  const void* values;
  const void* column_ptr;   // columns of A: where each begins in the next two
  const void* column_rows;  // the row of each entry
  const void* positions;    // its place in `values`
  const void* weights;      // one for each row of A, or null
  void* out;                // row-major
  std::int64_t out_stride;
  std::int64_t columns;
  std::int64_t first_column;
  std::int64_t last_column;
};

}  // namespace deepgemm
