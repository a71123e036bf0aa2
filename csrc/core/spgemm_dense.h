// Products of two sparse matrices into a dense one: entries of B are added to rows of the result in place.
#pragma once

#include "core/sparse_rows.h"
#include "core/types.h"

namespace deepgemm {

// C = A B into `out`, whose columns are adjacent; the operands as for multiply_sparse. `found` is the ISA
// that ran. False when no kernel serves the dtype.
bool multiply_sparse_dense(const CompressedView& a, const SparseRows& b, const DenseView& out, Isa highest,
                           int threads, Isa& found);

}  // namespace deepgemm
