// Sorting of pairs by their first number: by insertion where there are few, else by radix.
#pragma once

#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// A radix pass clears and sums 257 counters, whatever it sorts.
constexpr int64_t kInsertionSort = 48;

// Pairs of (key, slot) in ascending order of their keys; `pairs` is followed by as much room again.
inline uint64_t* sorted_pairs(uint64_t* pairs, int64_t count) {
  if (count <= kInsertionSort) {
    for (int64_t i = 1; i < count; ++i) {
      const uint64_t key = pairs[2 * i], slot = pairs[2 * i + 1];
      int64_t j = i;
      for (; j > 0 && pairs[2 * j - 2] > key; --j) {
        pairs[2 * j] = pairs[2 * j - 2];
        pairs[2 * j + 1] = pairs[2 * j - 1];
      }
      pairs[2 * j] = key;
      pairs[2 * j + 1] = slot;
    }
    return pairs;
  }
  uint64_t highest = 0;
  for (int64_t i = 0; i < count; ++i) highest |= pairs[2 * i];
  uint64_t* other = pairs + 2 * count;
  for (int shift = 0; shift < 64 && highest >> shift != 0; shift += 8) {
    int64_t start[257] = {};
    for (int64_t i = 0; i < count; ++i) ++start[(pairs[2 * i] >> shift & 255) + 1];
    for (int digit = 0; digit < 256; ++digit) start[digit + 1] += start[digit];
    for (int64_t i = 0; i < count; ++i) {
      const int64_t place = start[pairs[2 * i] >> shift & 255]++;
      other[2 * place] = pairs[2 * i];
      other[2 * place + 1] = pairs[2 * i + 1];
    }
    uint64_t* const swapped = pairs;
    pairs = other;
    other = swapped;
  }
  return pairs;
}

}  // namespace
}  // namespace deepgemm::DG_ISA
