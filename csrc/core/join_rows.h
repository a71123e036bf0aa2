// Two sparse matrices side by side, row for row.
#pragma once

#include "core/types.h"

namespace deepgemm {

// Writes rows of `left` followed by those of `right`, which have as many, the same dtype and index type; the
// arrays are of that index type and hold all rows.
void join_rows(const CompressedView& left, const CompressedView& right, int threads, void* indptr,
               void* indices, void* values);

}  // namespace deepgemm
