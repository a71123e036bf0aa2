// What the values of compressed rows stand for where they are codes, as plain data: w = (q - zero) * scale,
// rounded once.
#pragma once

#include <cstdint>

namespace deepgemm {

// Which entries share a scale: all, those of a row of S, or those of a column.
enum class ScaleOf : std::uint8_t { all, row, column };

struct CodeScales {
  const float* scales = nullptr;  // null: values stand for themselves
  ScaleOf of = ScaleOf::all;
  float zero = 0.0f;
  bool nibbles = false;   // two codes in a byte, the first in the lower bits
  std::uint8_t flip = 0;  // turned over in each nibble before the zero is taken off: 8 for signed ones
};

// decode_rows does rows [begin, end) of blocks, which are single entries in CSR: `to` begins with the first
// entry of row `begin`. Nibbles need a byte of workspace each, and one more.
struct DecodeArgs {
  const void* indptr;
  const void* indices;
  bool wide;  // whether both hold 64-bit integers
  const void* codes;
  std::int64_t height;  // rows and columns of a block
  std::int64_t width;
  CodeScales scales;
  float* to;
};

}  // namespace deepgemm
