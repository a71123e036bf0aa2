// Brings entries into the order of their columns: the transpose, coordinates into rows, other values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/types.h"

namespace deepgemm {

// Entries with two indices each. They are sorted by `key`, and `other` goes along with them.
struct Entries {
  IndexType index_type = IndexType::i32;
  std::int64_t count = 0;
  std::int64_t keys = 0;        // key[p] < keys
  const void* key = nullptr;    // an index of each entry
  const void* other = nullptr;  // the other one of each entry; or null, and it is the line that holds it:
  const void* indptr = nullptr;
  std::int64_t lines = 0;
  // What is moved besides: `size` bytes (1, 2, 4, 8 or 16) of each entry, or the positions if null.
  const void* values = nullptr;
  std::size_t size = 0;
};

// Writes where each key starts (keys + 1), and in that order `other` and the values, or the positions of
// the entries, of the index type. Stable, whatever the number of threads: entries of one key keep their
// order. O(keys + count).
Status sort_by_key(const Entries& entries, void* indptr, void* other, void* moved, int threads);

// to[q] = from[positions[q]] for q < count; values of `size` bytes, as above.
void gather(const void* from, const void* positions, IndexType type, std::int64_t count, std::size_t size,
            void* to, int threads);

}  // namespace deepgemm
