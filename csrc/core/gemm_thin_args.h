// What the kernels for a few rows times narrow storage are told, as plain data.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

// Most rows of A: beyond them multiply-adds are the limit, and a right operand is better packed.
constexpr std::int64_t kThinRows = 4;

// Rows of a strip of C have room for whole tiles of every ISA: up to 8 vectors.
constexpr std::int64_t thin_width(std::int64_t columns) { return (columns + 127) / 128 * 128; }

// gemm_thin does columns [begin, end) of C = A B, into its workspace: rows of float32 that
// are thin_width(end - begin) apart. One of the strides of B, which count elements, is 1.
struct GemmThinArgs {
  const float* a;  // its rows side by side, for each k
  std::int64_t rows;
  DenseView b;
};

}  // namespace deepgemm
