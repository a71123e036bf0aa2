// Rows of a sparse operand that need not be adjacent.
#pragma once

#include "core/types.h"

namespace deepgemm {

// Row k stands at [indptr[k], ends[k]) of indices and values; without `ends`, where the next one begins.
struct SparseRows : CompressedView {
  const void* ends = nullptr;

  const void* row_ends() const {
    return ends != nullptr ? ends : static_cast<const char*>(indptr) + size_of(index_type);
  }
};

}  // namespace deepgemm
