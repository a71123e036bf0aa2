// What kernels of segments are told, as plain data.
#pragma once

#include <cstdint>

namespace deepgemm {

// Kernels do the segments [begin, end). Segment i is the rows from offsets[i] on, as many as lengths[i] says,
// or up to offsets[i + 1] where `lengths` is null. Reductions write row i of `out`; others write, for each
// row that they read, the same row of `out`.
struct SegmentArgs {
  const void* offsets;
  const void* lengths;
  bool wide;  // offsets and lengths are int64, else int32
  const void* values;
  void* out;  // of the dtype of the values; int64 for positions
  // Elements of a row, each on its own; 0 where rows are single elements, which are reduced in 16 chains.
  std::int64_t columns;
  double epsilon;  // of the layer norm
};

}  // namespace deepgemm
