// What the attention kernels are told, as plain data.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

// Segments of rows that hold `heads` contiguous vectors of `width` elements each.
struct AttentionRows {
  const void* values;
  const void* offsets;
  const void* lengths;  // null where segments fill their room
  IndexType type;       // of offsets and lengths
  std::int64_t heads, width;

  std::int64_t begin(std::int64_t segment) const { return index_at(offsets, type, segment); }
  std::int64_t length(std::int64_t segment) const {
    return lengths != nullptr ? index_at(lengths, type, segment) : begin(segment + 1) - begin(segment);
  }
};

// Some rows of one segment, for all query heads that share a key head: row r is head r % group of query
// r / group, so that heads fill the register tiles where queries are few.
struct AttentionPiece {
  std::int64_t segment, key_head, row, rows;
};

// attention does the pieces [begin, end). Query i of a segment stands at key i + keys - queries, and sees the
// keys from `before` in front of it to `after` behind it.
struct AttentionArgs {
  AttentionRows q, k, v;
  void* out;                        // heads of q, width of v; the queries without gaps
  const std::int64_t* out_offsets;  // first row of each segment in it
  const AttentionPiece* pieces;
  double scale;
  std::int64_t before, after;  // at least as large as any length: no limit
  std::int64_t keys;           // most that a piece sees: what the workspace has room for
};

// Scores stand in blocks of this many keys, whose rows are this far apart: a multiple of the widest vector,
// and no multiple of a page, so that rows do not fall into the same cache sets.
constexpr std::int64_t kAttentionBlock = 512;
constexpr std::int64_t kAttentionStride = kAttentionBlock + 16;

// How a workspace is divided, in elements of the chain's dtype.
struct AttentionSpace {
  std::int64_t k, v, scores, queries, sums, total;  // where each part begins

  AttentionSpace(const AttentionArgs& args, std::int64_t tile_rows, std::int64_t panel) {
    const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b * b; };
    const std::int64_t block = tile_rows * kAttentionStride;
    k = 0;
    v = k + up(up(args.keys, panel) * args.k.width, 16);
    scores = v + up(args.keys * up(args.v.width, panel), 16);
    queries = scores + up(args.keys, kAttentionBlock) / kAttentionBlock * block;
    sums = queries + up(args.k.width, kAttentionBlock) / kAttentionBlock * block;
    total = sums + up(tile_rows * up(args.v.width, panel), 16);
  }
};

}  // namespace deepgemm
