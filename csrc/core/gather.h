// Picks rows of compressed storage. Nothing is computed, so values are bytes of any dtype.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/types.h"

namespace deepgemm {

// Compressed rows whose values take `item` bytes each; CompressedView::dtype is not read.
struct Rows {
  CompressedView view;
  std::size_t item = 0;
};

// start[i] = entries of the rows picked before the i-th, for 0 <= i <= count. A negative pick counts from the
// end. Returns the position of the first pick out of range, or -1. O(count), two random reads each.
std::int64_t gather_starts(const Rows& from, const std::int64_t* picks, std::int64_t count, int threads,
                           std::int64_t* start);

// Copies the picked rows to a matrix whose indices are `to`, which must hold start[count] if it is narrower
// than the source's. O(count + entries): each entry is read once and written once.
void gather_rows(const Rows& from, const std::int64_t* picks, std::int64_t count, const std::int64_t* start,
                 IndexType to, int threads, void* indptr, void* indices, void* values);

// The rows of `parts` one below the other.
void stack_rows(const Rows* parts, std::int64_t count, IndexType to, int threads, void* indptr, void* indices,
                void* values);

}  // namespace deepgemm
