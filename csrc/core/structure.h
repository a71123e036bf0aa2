// One pass over compressed indices that both validates and measures them.
#pragma once

#include <array>
#include <cstdint>

#include "core/types.h"

namespace deepgemm {

enum class Defect : std::uint8_t {
  none,
  indptr_start,       // indptr[0] is not 0
  indptr_decreasing,  // indptr[position + 1] < indptr[position]
  indptr_end,         // indptr[-1] is beyond the number of indices
  index_negative,
  index_range,
};

struct Inspection {
  Defect defect = Defect::none;
  std::int64_t position = 0;  // row for defects of indptr, entry for defects of indices
  std::int64_t value = 0;     // what stands there
  bool sorted = true;         // indices never decrease within a row
  bool canonical = true;      // indices strictly increase within a row
  std::int64_t nnz = 0;
  std::int64_t max_row = 0, empty_rows = 0, bandwidth = 0;
  double row_sq_sum = 0.0;   // sum of squared row lengths
  double near = 0.0;         // share of sampled entries within 16 columns of the entry before
  double window_fill = 1.0;  // mean over mean-of-maxima of row lengths in groups of 16: SELL without sorting
  std::array<std::int64_t, 7> quantiles{};  // of row lengths, at 0 .25 .5 .75 .9 .99 1
};

// O(rows + entries), on up to `threads` threads. `indices_size` is the length of the index array.
Inspection inspect_compressed(const CompressedView& s, std::int64_t indices_size, int threads);

}  // namespace deepgemm
