// The SELL layout: rows in lanes, sorted by length inside windows, stored without padding.
//
// Rows are sorted by falling length inside windows of kSellWindow rows and cut into slices of one
// 64-byte vector of numbers of the chain. Inside a slice, entry 0 of every row comes first, then entry 1 of
// every row that has one, and so on; since lengths fall, the rows that are still active are the first ones,
// and nothing needs to be stored for the others.
// After: Kreutzer et al., "A unified sparse matrix data format for efficient general sparse
// matrix-vector multiplication on modern processors with wide SIMD units", SIAM J. Sci. Comput. 36(5),
// 2014 (SELL-C-sigma); compaction in place of padding is ours.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/kernel_args.h"
#include "core/product.h"
#include "core/workspace.h"

namespace deepgemm {

// Windows keep rows that are stored together near each other in x and y.
constexpr std::int64_t kSellWindow = 1024;

struct SellStructure {
  std::int64_t rows = 0, cols = 0, nnz = 0;
  int lanes = 0;
  bool in_order = true;
  std::vector<SellSlice> slices;  // and one more, where the last one ends
  std::vector<std::int32_t> length, row;
  AlignedBuffer offsets;

  std::int64_t slice_count() const { return static_cast<std::int64_t>(slices.size()) - 1; }
  std::size_t bytes() const {
    return slices.size() * sizeof(SellSlice) + (length.size() + row.size()) * 4 + offsets.bytes();
  }
};

struct Sell {
  std::shared_ptr<const SellStructure> structure;
  AlignedBuffer values;
  DType dtype = DType::f32;

  std::size_t bytes() const {
    return structure->bytes() + static_cast<std::size_t>(structure->nnz) * size_of(dtype);
  }
};

// Null when memory runs out. `s` must have canonical compressed rows, fewer than 2^31 rows and columns,
// and real values, or 8- or 16-bit ones, whose chains are float32.
std::unique_ptr<Sell> build_sell(const CompressedView& s, int threads);
// The same structure with the values of `s`, which has the structure that `old` was built from.
std::unique_ptr<Sell> refill_sell(const Sell& old, const CompressedView& s, int threads);

// The product with a vector of dtype `other`, in `out`: those of the chain, unless values are stored
// narrower.
std::unique_ptr<Product> make_sell_product(std::shared_ptr<const Sell> sell, DType other, DType out,
                                           Isa highest);

}  // namespace deepgemm
