// What the kernels for weights that stay narrow are told, as plain data.
//
// Weights stand in panels of columns, the elements of one k side by side. A panel is four vectors of floats
// wide, for 4-bit ones eight: a row of it then is one or two vectors of storage.
#pragma once

#include <cstdint>

#include "core/kernel_table.h"

namespace deepgemm {

// 4-bit elements are read as words of 32 bits: lane l of a panel's vector v is column 8 l + v. So they need
// not be reordered; results are, and scales once.
constexpr std::int64_t narrow_columns(std::int64_t lanes, bool nibbles) { return (nibbles ? 8 : 4) * lanes; }

// Most rows of a register tile of `lanes` floats a vector, two vectors wide: of 32 registers, or of 16.
constexpr std::int64_t narrow_tile_rows(std::int64_t lanes) { return lanes == 16 ? 12 : lanes == 8 ? 5 : 4; }

constexpr std::int64_t narrow_column(std::int64_t position, std::int64_t lanes, bool nibbles) {
  return nibbles ? position % lanes * 8 + position / lanes : position;
}

// narrow_pack does panels [begin, end). Bytes count as elements where two columns share one. What lies past
// the last column is filled with zero bits.
struct NarrowPackArgs {
  const void* source;
  std::int64_t row_stride, col_stride;  // in elements
  std::int64_t rows, cols;
  std::uint8_t flip;  // turned over in each byte, so that unsigned elements become signed ones
  void* packed;
  std::int64_t panel_bytes;
};

// narrow_block and narrow_block_nibbles do panels [begin, end) of C = A B.
struct NarrowArgs {
  const float* a;  // tiles of rows, for each k side by side; the last one is as high as what is left
  std::int64_t rows, tile_rows, depth;
  const char* b;           // panel 0
  std::int64_t b_panel;    // bytes from one panel to the next
  std::int64_t b_row;      // and from one k
  const float* scales;     // for each group of k's and each column of whole panels; null: elements are floats
  const float* zeros;      // the same; null: none is shifted
  std::int64_t scale_row;  // elements from one group to the next
  std::int64_t group;      // k's of one
  DenseView c;
  DType out;
};

// narrow_block needs so many bytes of workspace.
constexpr std::size_t narrow_workspace(std::int64_t lanes, bool nibbles) {
  return static_cast<std::size_t>(narrow_columns(lanes, nibbles) * narrow_tile_rows(lanes)) * sizeof(float);
}

}  // namespace deepgemm
