// Dense copies in another floating dtype: narrow storage widened to float32, exactly, and float32 rounded
// once.
#pragma once

#include "core/types.h"

namespace deepgemm {

// One of the two dtypes is float32. What is widened fills `to`, whose rows or columns follow each other; what
// is rounded comes from rows or columns that are contiguous, and goes anywhere, as do whole numbers that
// become i32 or i64.
void cast(const DenseView& from, DType stored, const DenseView& to, DType target, Isa highest, int threads);

}  // namespace deepgemm
