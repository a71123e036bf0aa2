// What the dense kernels are told, as plain data. Strides count elements (a complex number is one).
#pragma once

#include <cstdint>

#include "core/epilogue.h"
#include "core/kernel_table.h"

namespace deepgemm {

// The block sizes of one ISA and dtype: the kernels take them at compile time, the driver at run time.
struct GemmBlocking {
  int lanes;             // elements in the lanes of a vector (complex: numbers, as re and im vectors)
  int panel;             // columns of a packed panel of the right operand: two vectors
  int tile_rows;         // most rows of a register tile one panel wide
  int rows_two_panels;   // most rows of one two panels wide
  int rows_four_panels;  // and four
  std::int64_t depth;    // inner index of one block

  // Low tiles take more columns, so that enough independent chains are in flight.
  constexpr int panels_for(std::int64_t rows) const {
    return rows <= rows_four_panels ? 4 : rows <= rows_two_panels ? 2 : 1;
  }
};

// A block of k costs one pass over C, whose lines come from L3 or memory: with 512, 1024, 2048 of k 1024
// cubed gave 210, 222, 221 GFLOP/s (one thread of a Zen 5 with 1 MB of L2, peak 247), 2048 cubed 204, 216,
// 219. A panel of B need not fit into L1, only stream from L2.
constexpr std::int64_t kGemmDepth = 1024;

// A tile of r rows and v vectors takes r * v registers for C, min(r, v) for the operand that is kept
// and one for the other.
constexpr GemmBlocking gemm_blocking(Isa isa, DType dtype) {
  const bool cplx = is_complex(dtype);
  const int real_bytes = static_cast<int>(size_of(dtype)) / (cplx ? 2 : 1);
  const int lanes = (isa == Isa::avx512 ? 64 : isa == Isa::avx2 ? 32 : real_bytes) / real_bytes;
  if (cplx) return {lanes, lanes, isa == Isa::avx512 ? 12 : isa == Isa::avx2 ? 5 : 4, 0, 0, kGemmDepth};
  if (isa == Isa::avx512) return {lanes, 2 * lanes, 14, 6, 3, kGemmDepth};
  if (isa == Isa::avx2) return {lanes, 2 * lanes, 6, 3, 1, kGemmDepth};
  return {lanes, 2 * lanes, 4, 2, 1, kGemmDepth};
}

// A right operand of numbers that stand for others: an element is its number less a zero point, which is
// exact, times a scale, rounded once to float32.
struct GemmScaling {
  DenseView data;  // of 4-bit numbers two columns share a byte, and these columns are counted
  bool nibbles = false, is_signed = false;
  // Of group g along k and column j: scales[g * scale_row + j * scale_col]; scale_col is 0 or 1.
  const float* scales = nullptr;
  const float* zeros = nullptr;  // the same; null for none
  std::int64_t scale_row = 0, scale_col = 0;
  std::int64_t group = 1;  // k's of one
};

// gemm_pack_left and gemm_pack_right pack panels [begin, end) of `width` rows of A or columns of B:
// for each k the panel's elements side by side. Panel p starts at element p * width * depth. The last
// panel of a left operand is as narrow as what is left of it; of a right operand it is filled up.
struct GemmPackArgs {
  const void* source;
  std::int64_t across;  // rows of A or columns of B
  std::int64_t across_stride;
  std::int64_t depth;
  std::int64_t depth_stride;
  std::int64_t width;
  std::int64_t strip_panels;  // panels of B that are packed side by side
  void* packed;
  std::int64_t elements;  // gemm_group_*, gemm_pair_*: how many bytes along k exist from the source on
  // gemm_pack_scaled: the operand, in place of `source`, and the row and column where this part begins.
  const GemmScaling* scaling = nullptr;
  std::int64_t row = 0, col = 0;
  // gemm_group_right: where what a raised A leaves out of the sums of these columns goes, or null.
  std::int32_t* starts = nullptr;
};

// Integer chains sum products of groups of so many 8-bit elements along k; depths and their strides count
// groups. Packed elements of A are unsigned and those of B signed, as vpdpbusd wants them: signed ones of A
// are raised by kRaise and unsigned ones of B lowered by it. What exceeds k is zero in both.
constexpr std::int64_t kGroup = 4;
constexpr std::int64_t kRaise = 128;

// gemm_block_halves sums this many pairs of float16 numbers along k in float16 before it widens the sums; its
// blocks of k are whole ones of these. Chains of 32, 64 and 128 steps cost 22, 11 and 5 % beside their
// multiply-adds (7 instructions for each vector of sums), and put sums of 4096 normally distributed products
// off by 1.8, 2.5 and 3.5 times 2^-11 of their standard deviation (rounding them to float16 0.4).
constexpr std::int64_t kHalfChain = 64;

// Whether tiles read B where it stands: by rows, its columns being adjacent, or by columns, its rows
// being adjacent and those of A at most rows_four_panels; or no tiles but streams along so few rows. Real
// numbers only; a C whose columns are apart is computed in tiles.
enum class GemmDirect : std::uint8_t { no, by_rows, by_columns, streamed };

// gemm_block does tasks [begin, end) of C = A B over one stretch of k; a task is a range of row tiles
// and of column panels: task t has part t % row_tasks of the tiles and t / row_tasks of the panels.
struct GemmBlockArgs {
  DenseView a, b, c;
  KernelFn pack_left, pack_right;  // for the dtypes in which A and B are stored
  std::int64_t a_size, b_size;     // and the bytes of their elements
  std::int64_t elements;           // as in GemmPackArgs, from the stretch on
  const GemmScaling* scaling;      // of B, whose part begins at this row and column of it; or null
  std::int64_t scaled_row, scaled_col;
  bool first;         // the stretch begins at k = 0: chains start from +0, not from C
  bool swapped;       // `b` holds the left operand of what the user wrote (complex order)
  GemmDirect direct;  // set only where packed_b is null
  std::int64_t tile_rows;
  std::int64_t depth_block;
  std::int64_t strip_panels;  // panels of B that a task packs at a time, a multiple of a tile's
  // Packed by the driver, or null: then each task packs what it needs into its workspace.
  const void* packed_a;
  const void* packed_b;
  std::int64_t packed_b_depth;   // k extent of packed_b, which may be more than this stretch
  std::int64_t packed_b_offset;  // where in it the stretch begins
  std::int64_t row_tasks;
  std::int64_t col_tasks;
  std::int64_t own_a_bytes;       // where in the workspace the packed panels of B begin
  std::int64_t own_starts_bytes;  // before them, of what their columns begin with
  // What is added to sums of integers where the first stretch begins, one number for each row of C, and where
  // this one begins, one for each column; or null.
  const std::int32_t* start_rows;
  const std::int32_t* start_cols;
  std::int32_t* overflowed;  // of gemm_block_halves: becomes 1 where a sum is not finite
  // After the last stretch each task finishes what it has computed; null: nothing follows.
  KernelFn epilogue;
  EpilogueArgs ending;  // of all of C
  std::int64_t to_size;
};

// One leading axis of a stack of products: how far each operand goes from one member to the next.
struct GemmAxis {
  std::int64_t extent, a_stride, b_stride, c_stride;
};

// gemm_small does members [begin, end) of a stack of C = A B, numbered in C order of its axes. Rows of C
// have unit stride.
struct GemmSmallArgs {
  DenseView a, b, c;  // of member 0
  const GemmAxis* axes;
  int axis_count;
  bool pack_b;  // rows of B have another stride: they go through the workspace, see gemm_small_bytes
};

// gemm_sums does lines [begin, end): the sum of the elements of each.
struct GemmSumsArgs {
  const void* data;
  std::int64_t line_stride, stride, length;
  std::int64_t* sums;
};

// gemm_finish does rows [begin, end): to (+)= from + kRaise * row_sums.
struct GemmFinishArgs {
  DenseView from;                // int32, rows contiguous
  DenseView to;                  // int64
  const std::int64_t* row_sums;  // of A; null if B was not lowered
  bool add;
};

// gemm_dots does rows [begin, end) of C, each element in the order of `dot`. Rows of A and columns of B are
// contiguous, C has unit column stride.
//
// gemm_flat does all of C in the same order where B has 2 to kMostFlat columns and stands without a gap, row
// by row. Rows of A are contiguous, or its columns are, and then these are at most as far apart as those of B
// are many.
struct GemmDotsArgs {
  DenseView a, b, c;
  std::int64_t behind;  // how many more k's of A stand in memory
};
constexpr int kMostFlat = 7;

// dot: `result` is one element; the part [begin, end) is the whole vector.
struct DotArgs {
  const void* a;
  std::int64_t a_stride;
  const void* b;
  std::int64_t b_stride;
  void* result;
};

}  // namespace deepgemm
