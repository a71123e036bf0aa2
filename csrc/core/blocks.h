// Compressed rows seen as rows of blocks: how far their entries fill blocks, and where each one goes.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

struct BlockShape {
  std::int64_t height = 1;
  std::int64_t width = 1;
};

// The share of entries in the blocks that they touch, in block rows spread over the matrix that hold about
// `sample` entries; 0 if they hold none. O(sample * height) at worst, O(sample) where blocks are full.
double sampled_fill(const CompressedView& s, BlockShape shape, std::int64_t sample);

// How many rows in a row have the same pattern, by the median over sampled rows; at most `most`. Unknowns
// that belong to one node of a mesh, or neurons pruned together, show in this. O(sample).
std::int64_t common_rows(const CompressedView& s, std::int64_t sample, std::int64_t most);

// Writes into `indptr` (of s.index_type, one for each block row and one more) where the blocks of each
// block row begin. Rows must be canonical, and a multiple of the height. O(entries + blocks * height).
void count_blocks(const CompressedView& s, BlockShape shape, void* indptr, int threads);

// Given that indptr, writes the column of each block and, for each entry, its place among the elements of
// all blocks.
void place_entries(const CompressedView& s, BlockShape shape, const void* indptr, void* indices,
                   std::int64_t* places, int threads);

// elements[places[p]] = values[p], for elements of 4, 8 or 16 bytes; no two places are the same.
void scatter_values(const void* values, const std::int64_t* places, std::int64_t count, std::int64_t size,
                    void* elements, int threads);

}  // namespace deepgemm
