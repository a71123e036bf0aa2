// What the kernel that copies transposed operands is told, as plain data.
#pragma once

#include <cstdint>

namespace deepgemm {

// dense_turn does bands [begin, end) of to[r * to_stride + c] = from[c * from_stride + r]. A band is
// kTurnRows rows, so that its cache lines on both sides are filled by one thread.
struct TurnArgs {
  const void* from;
  std::int64_t from_stride;
  void* to;
  std::int64_t to_stride;
  std::int64_t rows, cols;
};

constexpr std::int64_t kTurnRows = 16;

}  // namespace deepgemm
