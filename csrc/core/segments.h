// Operations within the segments of a ragged array.
#pragma once

#include <cstdint>

#include "core/kernel_table.h"
#include "core/segment_args.h"
#include "core/types.h"

namespace deepgemm {

// Runs kernel `id`, one of segment_*, over `segments` segments. Whole segments are split between threads, by
// rows. Returns the ISA that ran.
Isa run_segments(KernelId id, const SegmentArgs& args, std::int64_t segments, DType dtype, Isa highest,
                 int threads);

// Writes, for each segment and each of its `columns` (at least 1), positions in ascending order of the
// elements, nans last, or in descending order, nans first; equal elements stay in the order of their
// positions. Only the first `most` of them are found. `places` has the segments' rows one after the
// other, min(length, most) for each, and `columns` positions in a row.
enum class KeyType : std::uint8_t { f32, f64, i64 };
Status segment_order(const SegmentArgs& args, std::int64_t segments, KeyType type, std::int64_t most,
                     bool descending, int threads, std::int64_t* places);

}  // namespace deepgemm
