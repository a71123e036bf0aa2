// What the kernel that copies transposed operands is told, as plain data.
#pragma once

#include <cstdint>

namespace deepgemm {

// dense_turn does to[r * to_stride + c] = from[c * from_stride + r] for columns [begin, end).
struct TurnArgs {
  const void* from;
  std::int64_t from_stride;
  void* to;
  std::int64_t to_stride;
  std::int64_t rows;
};

}  // namespace deepgemm
