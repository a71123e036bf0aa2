// The blocked product that all dense products are made of: its result has the dtype of the chain.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/gemm.h"
#include "core/gemm_args.h"

namespace deepgemm {

// The kernels of one product. Integer chains take elements in groups of kGroup along k, one group being
// an element of their packed operands.
struct GemmKernels {
  FoundKernel block, pack_left, pack_right;

  // `block_id` is gemm_block or a faster one of the same panels.
  GemmKernels(const GemmTypes& types, Isa highest, KernelId block_id = KernelId::gemm_block);
};

// What dense products of one matrix and of many have in common when they are cut.
//
// An element that is fetched but hardly used counts as this many multiply-adds.
constexpr std::int64_t kWorkPerElement = 4;
// What a task packs for itself stays in L2 beside a panel of the other operand.
constexpr std::int64_t kOwnBytes = 256 << 10;
// A right operand of at most this size is read where it stands by any number of row tiles; a single tile
// reads one of up to kCachedBytes there (12 x 512 x 512 227 GFLOP/s, packed 148), but narrow columns of
// one in memory cost more than packing it by long rows (8 x 4096 x 4096 42 against 59).
constexpr std::int64_t kDirectBytes = 32 << 10;
// A right operand, or all of them together, above this size is taken to be in memory, not in L3.
constexpr std::int64_t kCachedBytes = 16 << 20;
// The block of k where nothing but a few rows of A has to stay in L1 or L2.
constexpr std::int64_t kColumnDepth = 8192;

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

inline std::int64_t bytes_of(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }

inline char* offset(const void* data, std::int64_t elements, std::int64_t size) {
  return static_cast<char*>(const_cast<void*>(data)) + elements * size;
}

// Rows [row, row + rows) and columns [col, col + cols).
inline DenseView window(const DenseView& v, std::int64_t row, std::int64_t rows, std::int64_t col,
                        std::int64_t cols, std::int64_t size) {
  return {offset(v.data, row * v.row_stride + col * v.col_stride, size), rows, cols, v.row_stride,
          v.col_stride};
}

// What a product is told beside its operands.
struct GemmRequest {
  GemmTypes types;
  GemmKernels kernels;
  int threads;
  bool swapped;  // `b` is the left operand of what the user wrote: the order of complex steps
  const std::int32_t* start_rows = nullptr;  // see GemmBlockArgs; of the C that is passed beside
  const std::int32_t* start_cols = nullptr;
  const GemmScaling* scaling = nullptr;  // of `b`, which is dequantised while it is packed
  std::int64_t depth_step = 1;           // blocks of k are multiples of it
  std::int32_t* overflowed = nullptr;    // see GemmBlockArgs
};

// A right operand in panels, from one of its rows and columns on; or one that is dequantised.
struct GemmPacked {
  const PackedMatrix* matrix = nullptr;
  std::int64_t row = 0, col = 0;
};

// What follows the product, by the tasks that have computed it: `to` and the terms are those of the whole C.
struct GemmEnding {
  KernelFn run;
  DenseView to;
  std::int64_t to_size;
  Epilogue terms;
};

// C = A B, where B is `packed` if there is one. In an integer chain inner extents and strides count groups,
// and `elements` of the 8-bit ones exist.
Status multiply_blocked(const GemmRequest& request, const DenseView& a, const DenseView& b,
                        const GemmPacked& packed, const DenseView& c, std::int64_t elements = 0,
                        const GemmEnding* ending = nullptr);

// All of B in the panels of these kernels.
void pack_panels(const GemmKernels& kernels, const DenseView& b, DType chain, int threads, void* to,
                 std::int64_t elements = 0, const GemmScaling* scaling = nullptr);

// Whether to compute C^T = B^T A^T: lanes should run along a unit stride of C, but not along a
// dimension that fills only a part of one vector.
inline bool better_transposed(const DenseView& c, std::int64_t k, int lanes) {
  const bool unit_cols = c.col_stride == 1 || c.cols == 1, unit_rows = c.row_stride == 1 || c.rows == 1;
  const bool by_stride = unit_cols == unit_rows ? c.rows > c.cols : unit_rows;
  const std::int64_t in_lanes = by_stride ? c.rows : c.cols, other = by_stride ? c.cols : c.rows;
  const bool starved = 2 * in_lanes <= lanes && other >= 2 * in_lanes && k >= 16;
  return by_stride != starved;
}

// A strip of a result in the dtype of its chain, which is brought into its stored dtype while it is in the
// caches: rows and columns of one strip. Both operands are packed anew for each, so that strips are wide as
// well as high.
struct GemmStrips {
  std::int64_t rows, cols;

  GemmStrips(const DenseView& c, bool prepacked)
      : cols(std::min(c.cols, prepacked ? 2 * kColumns : kColumns)) {
    rows = std::clamp<std::int64_t>(kElements / std::max<std::int64_t>(cols, 1), 1, c.rows);
  }

 private:
  static constexpr std::int64_t kElements = std::int64_t{1} << 20;
  static constexpr std::int64_t kColumns = 2048;
};

}  // namespace deepgemm
