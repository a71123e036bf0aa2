// The list of compiled kernels, and the look-up that falls through to the next ISA.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

enum class KernelId : std::uint8_t {
  csr_rowwise,  // rows of Y as chains over the entries of a row of S; X and Y row-major
  csr_scatter,  // columns of S added to rows of Y; X and Y row-major
  csr_vector,   // one column, straight from CSR
  sell_vector,  // one column, rows in lanes
  csr_tiled,    // tiles of rows × columns, continuing chains from panel to panel; X and Y row-major
  gemm_pack_left,
  gemm_pack_right,
  gemm_pack_scaled,  // panels of a right operand that is dequantised; u4 stands for both kinds of 4 bits
  gemm_block,
  gemm_small,       // products of small matrices, of which nothing or only the right one is packed
  gemm_thin,        // a few rows times an operand that is read once, in its narrow storage
  dense_turn,       // a copy that turns columns into rows
  gemm_block_vnni,  // the same panels of integers, with the instruction for them
  gemm_group_left,  // packs of 8-bit elements in groups along k
  gemm_group_right,
  integer_streams,  // a few rows of 8-bit integers times a matrix whose columns are adjacent
  integer_streams_vnni,
  integer_dots,  // the same, rows of the matrix being adjacent
  integer_dots_vnni,
  gemm_block_pairs,   // tiles over pairs of bfloat16 numbers along k
  gemm_block_halves,  // tiles over pairs of float16 numbers along k, in float16 arithmetic
  gemm_pair_left,     // packs of either
  gemm_pair_right,
  gemm_sums,    // of 8-bit elements along k
  gemm_finish,  // an integer result with what raising and lowering left out
  epilogue,     // what follows a product: terms, activation, rounding to the dtype of the result
  dot,
  gemm_dots,     // a few rows times a few columns, each of them a dot product
  gemm_flat,     // the same for few columns that stand side by side
  sddmm,         // dot products at the entries of a mask
  gram,          // rows of the upper triangle of A^T diag(w) A
  bsr_dense,     // rows of Y as chains over the blocks of a block row; X and Y row-major
  bsr_scatter,   // the same from the other side: Y = S^T X
  bsr_vector,    // one column
  bsr_integers,  // rows of blocks of 8-bit integers
  bsr_integers_vnni,
  segment_sum,  // within segments of rows: reductions, normalisations and running sums
  segment_max,
  segment_min,
  segment_argmax,
  segment_argmin,
  segment_softmax,
  segment_log_softmax,
  segment_layer_norm,
  segment_cumsum,
  bag_sum,  // sums or means of rows of a table, a bag of ids for each
  bag_max,
  bag_update,   // an optimiser's step on the rows that bags name
  attention,    // softmax(Q K^T) V within segments
  csr_csr,      // rows of C = A B, all of them sparse
  csr_csr_top,  // the same, the largest entries of each row only
  // rows of C = A B in a dense result
  csr_csr_dense,
  narrow_pack,   // panels of weights in the dtype in which they are stored
  narrow_block,  // few rows times such panels
  narrow_block_nibbles,
  decode_rows,  // what codes of compressed rows stand for
};

// A kernel does the part [begin, end) of a job described by plain data. `workspace` is the calling
// thread's own memory, of a size that the kernel's args header states.
using KernelFn = void (*)(const void* args, std::int64_t begin, std::int64_t end, int thread,
                          void* workspace);

struct KernelEntry {
  KernelId id;
  DType dtype;
  IndexType index_type;  // ignored by kernels without indices
  KernelFn run;
};

struct KernelTable {
  const KernelEntry* entries;
  int count;
};

struct FoundKernel {
  KernelFn run = nullptr;
  Isa isa = Isa::scalar;
};

// The best compiled and runnable kernel whose ISA is not above `highest`; run is null if none.
FoundKernel find_kernel(KernelId id, DType dtype, IndexType index_type, Isa highest);

// The best ISA that is both compiled and runnable here, and whether a given one is.
Isa best_isa();
bool is_usable(Isa isa);
bool is_compiled(Isa isa);

}  // namespace deepgemm
