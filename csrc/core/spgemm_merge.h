// The best of a row that was cut by columns, from the best of its parts.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spgemm_pieces.h"
#include "core/types.h"
#include "core/workspace.h"

namespace deepgemm {

// Holds what it made of some pieces.
class MergedParts {
 public:
  // Leaves the `most` best of each cut row in the piece of its first part, and nothing in the others.
  // Selections are of float32 or float64. False when there is no memory.
  bool merge(SpgemmPieces& pieces, std::int64_t most, DType dtype, IndexType type);

 private:
  template <class T, class I>
  bool merge_row(SpgemmPieces& pieces, std::int64_t first, int parts, std::int64_t most);

  std::vector<AlignedBuffer> memory_;
};

}  // namespace deepgemm
