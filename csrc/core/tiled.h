// The tiled layout: blocks of rows × panels of columns, each tile with its rows in order of length and
// with 16-bit columns.
//
// What it buys. Rows of one length follow each other, so the ends of loops are predicted: graphs with 3 to
// 14 entries a row run twice as fast at 8 columns of X as straight from CSR. Where rows are long, panels
// are so narrow that the rows of X that a tile reads stay in L1 (2048² at density 0.1, 128 columns, one
// thread: 103 GFLOP/s against 57). Columns are stored in 16 bits where a panel has no more than that, so
// an entry of float32 takes 6 bytes instead of 8.
//
// Rows that have nothing in a tile are listed in the first panel only, which is the one that clears Y.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/product.h"

namespace deepgemm {

struct TiledStructure {
  std::int64_t rows = 0, cols = 0, nnz = 0;
  std::int64_t block_rows = 1, panel_cols = 1, blocks = 0, panels = 1;
  // Tile t = block * panels + panel begins at entry_start[t] and at row_start[t].
  std::vector<std::int64_t> entry_start, row_start;
  // Of the rows of each tile, shortest first: where they stand in the block, and how many entries they have.
  std::vector<std::uint16_t> row;
  std::vector<std::uint32_t> length;
  // Columns in the panel; only one of the two is filled.
  std::vector<std::uint16_t> index;
  std::vector<std::uint32_t> wide_index;

  bool is_wide() const { return panel_cols > 65536; }

  // Work of the blocks before `block`: entries, and a few more for opening and closing each row.
  std::int64_t work_before(std::int64_t block) const {
    constexpr std::int64_t kRowWork = 4;
    const auto tile = static_cast<std::size_t>(block * panels);
    return entry_start[tile] + kRowWork * row_start[tile];
  }
  // First block of task `task` out of `tasks`, which cover all blocks, in order, by work.
  std::int64_t first_block(std::int64_t task, std::int64_t tasks) const;

  std::size_t bytes() const {
    return (entry_start.size() + row_start.size()) * 8 + (row.size() + index.size()) * 2 +
           (length.size() + wide_index.size()) * 4;
  }
};

struct Tiled {
  std::shared_ptr<const TiledStructure> structure;
  std::shared_ptr<char[]> values;
  DType dtype = DType::f32;

  std::size_t bytes() const {
    return structure->bytes() + static_cast<std::size_t>(structure->nnz) * size_of(dtype);
  }
};

// Null when memory runs out. `s` must have canonical compressed rows, at most 2^32 columns, and real values,
// or 8- and 16-bit ones, whose panels never exceed what 16 bits tell.
std::unique_ptr<Tiled> build_tiled(const CompressedView& s, int threads);
// The same structure with the values of `s`, which has the structure that `old` was built from.
std::unique_ptr<Tiled> refill_tiled(const Tiled& old, const CompressedView& s, int threads);

std::unique_ptr<Product> make_tiled_product(std::shared_ptr<const Tiled> tiled, Isa highest);
// The product of values that are stored narrower than float32 with an X of dtype `other`, in `out`.
std::unique_ptr<Product> make_narrow_tiled(std::shared_ptr<const Tiled> tiled, DType other, DType out,
                                           Isa highest);

// Bytes of a copied row of X, which ends with the half or the whole vectors that it takes.
inline std::int64_t whole_vectors(std::int64_t bytes) {
  const std::int64_t vector = bytes <= 32 ? 32 : 64;
  return (bytes + vector - 1) / vector * vector;
}

}  // namespace deepgemm
