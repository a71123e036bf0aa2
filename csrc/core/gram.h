// Symmetric products A^T A and A^T diag(w) A of a sparse A, with a dense result.
#pragma once

#include "core/types.h"

namespace deepgemm {

// A by rows (canonical), and the same entries by columns: column i holds positions[p] in the rows' arrays, in
// row rows_of[p], for column_ptr[i] <= p < column_ptr[i + 1]. All indices have the type of `rows`.
struct GramOperand {
  CompressedView rows;
  const void* column_ptr;
  const void* rows_of;
  const void* positions;
};

// out = A^T diag(weights) A, columns x columns and row-major; `weights` is null for A^T A. Without `mirror`
// only the upper triangle is written. Threads split the elements of `out`, a single long row included.
Status gram(const GramOperand& a, const void* weights, const DenseView& out, bool mirror, Isa highest,
            int threads);

// The upper triangle of the same as compressed rows: first out_ptr[0 .. columns], then, with memory for
// out_ptr[columns] entries, those in ascending order. `indices` has the index type of `a`.
Status sparse_gram_count(const GramOperand& a, Isa highest, int threads, std::int64_t* out_ptr);
Status sparse_gram_fill(const GramOperand& a, const void* weights, Isa highest, int threads,
                        std::int64_t* out_ptr, void* indices, void* values);

// The whole symmetric matrix from its upper triangle `upper`, whose rows begin at upper_ptr: first row_ptr
// [0 .. n], then row_ptr[n] entries. One pass each, by one thread.
void mirror_count(const CompressedView& upper, const std::int64_t* upper_ptr, std::int64_t* row_ptr);
Status mirror_fill(const CompressedView& upper, const std::int64_t* upper_ptr, const std::int64_t* row_ptr,
                   void* indices, void* values);

}  // namespace deepgemm
