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

// out = A^T diag(weights) A without conjugation, columns x columns and row-major; `weights` is null for
// A^T A. Without `mirror` only the upper triangle is written. Threads split the elements of `out`, a single
// long row included.
Status gram(const GramOperand& a, const void* weights, const DenseView& out, bool mirror, Isa highest,
            int threads);

}  // namespace deepgemm
