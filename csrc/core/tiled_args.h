// What the kernel on tiles is told, as plain data; see core/tiled.h for the layout.
#pragma once

#include <cstdint>

namespace deepgemm {

// csr_tiled does blocks of rows [begin, end) of Y = S X; X and Y have unit column stride, and strides
// count elements.
struct TiledArgs {
  const std::int64_t* entry_start;
  const std::int64_t* row_start;
  const std::uint16_t* row;
  const std::uint32_t* length;
  const void* index;  // of 16 bits, or of 32 if wide
  bool wide;
  const void* values;  // a vector may be read beyond the last one
  std::int64_t block_rows, panel_cols, panels;
  std::int64_t first_panel, last_panel;  // which ones to do; x begins with the first
  const void* x;
  std::int64_t x_stride;
  void* y;
  std::int64_t y_stride;
  std::int64_t columns;
  bool far;    // entries of S come from beyond the L2
  bool whole;  // a row of X may be read up to the next one
};

// Bytes behind the last value, and entries behind the last column, that may be read.
constexpr int kTiledOverread = 64;
constexpr int kTiledColumnsBeyond = 4;

// Bytes of the widest rows of X that are whole: those of a panel (core/panels.h).
constexpr std::int64_t kTiledPassBytes = 256;

}  // namespace deepgemm
