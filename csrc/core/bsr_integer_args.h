// What the kernels for blocks of 8-bit integers are told, as plain data.
#pragma once

#include <cstdint>

#include "core/kernel_table.h"

namespace deepgemm {

// Columns of a panel of X: vectors of a tile.
constexpr std::int64_t block_integer_columns(Isa isa) {
  return isa == Isa::avx512 ? 64 : isa == Isa::avx2 ? 16 : 2;
}

// bsr_integers and bsr_integers_vnni do block rows [begin, end) of a panel of columns of Y = S X. The dtype
// is that of S. Both operands come in groups of four along k, as 32-bit words: of S each row of a block
// filled up with zeros; of X, signed where S is unsigned and unsigned where S is signed, for each group of
// each block column one word a column.
struct BsrIntegerArgs {
  const void* indptr;
  const void* indices;
  bool wide;  // whether both hold 64-bit integers
  const void* values;
  std::int64_t height;
  std::int64_t groups;        // of a row of a block
  const std::int32_t* start;  // what the sums of each row begin with; null: zero
  const void* x;
  std::int64_t x_stride;  // words from one group to the next
  DenseView y;            // the panel's columns
  DType out;              // int32 or int64
};

}  // namespace deepgemm
