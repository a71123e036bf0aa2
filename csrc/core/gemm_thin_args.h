// What the kernels for a few rows times narrow storage are told, as plain data.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

// Most rows of a register tile, and of A: these are one tile, or two that are as high or one row lower.
constexpr std::int64_t kThinTile = 8;
constexpr std::int64_t kThinRows = 2 * kThinTile;

// Rows of a strip of C have room for whole tiles of every ISA: up to 16 vectors.
constexpr std::int64_t thin_width(std::int64_t columns) { return (columns + 255) / 256 * 256; }

// gemm_thin does columns [begin, end) of C = A B, into its workspace: rows of float32 that
// are thin_width(end - begin) apart. One of the strides of B, which count elements, is 1.
struct GemmThinArgs {
  const float* a;  // tiles of its rows, for each k side by side; the second one is as high as what is left
  std::int64_t rows, tile_rows;
  DenseView b;
};

}  // namespace deepgemm
