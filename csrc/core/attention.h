// Attention within the segments of ragged arrays.
#pragma once

#include "core/attention_args.h"
#include "core/kernel_table.h"

namespace deepgemm {

// Fills `out` for all segments; of `args` the caller leaves `pieces` and `keys` open. Segments, rows and
// heads are split between threads by their work, so a long segment is cut. `dtype` is that of the storage.
Status attend(AttentionArgs args, std::int64_t segments, DType dtype, Isa highest, int threads);

}  // namespace deepgemm
