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

// gram_count and gram_fill do rows [begin, end) of the upper triangle as a sparse matrix: first how many
// entries each has, then those entries. `dense` is without columns to cut and without `out`.
struct SparseGramArgs {
  GramArgs dense;
  std::int64_t* out_ptr;  // gram_count writes out_ptr[i + 1] for row i, gram_fill reads where row i begins
  void* out_indices;      // of the type of `indices`
  void* out_values;
};

// The workspace of these two: a row of `columns` values, then marks of its columns, then marks of those that
// are not zero. All of it is zero before a call and after it.
constexpr std::int64_t gram_mark_words(std::int64_t columns) { return (columns + 63) / 64; }
constexpr std::int64_t gram_workspace(std::int64_t columns) {
  return 8 * (columns + gram_mark_words(columns) + gram_mark_words(gram_mark_words(columns)));
}

}  // namespace deepgemm
