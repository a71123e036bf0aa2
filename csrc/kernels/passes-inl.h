// Columns cut into passes of as many vectors as registers hold.
#pragma once

#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// Calls body.template operator()<N>() for N = count, 1 to Most.
template <int Most, class Body>
DG_INLINE void with_count(int64_t count, const Body& body) {
  static_assert(Most <= 8);
  switch (count) {
#define DG_CASE(n)                                                 \
  case n:                                                          \
    if constexpr (n <= Most) return body.template operator()<n>(); \
    break;
    DG_CASE(1)
    DG_CASE(2)
    DG_CASE(3)
    DG_CASE(4)
    DG_CASE(5)
    DG_CASE(6)
    DG_CASE(7)
    DG_CASE(8)
#undef DG_CASE
  }
}

// Calls body(first, count) for runs of at most `most` of `total` things, evenly: 9 become 5 + 4, not 8 + 1.
template <class Body>
DG_INLINE void for_each_run(int64_t total, int64_t most, const Body& body) {
  const int64_t runs = (total + most - 1) / most;
  int64_t first = 0;
  for (int64_t left = runs; left > 0; --left) {
    const int64_t count = (total - first + left - 1) / left;
    body(first, count);
    first += count;
  }
}

// How many vectors of columns one pass keeps in registers where each is one chain: 8 chains hide the latency
// of FMA (4 cycles at 2 per cycle) and leave half of AVX2's registers for operands.
constexpr int kMaxVectors = 8;

// Calls body.template operator()<NV, Masked>(column, tail) for passes of up to `Most` vectors over `count`
// numbers from `first` on. They come `Unit` at a time: where a vector holds no more, none is cut off.
template <class V, int Most = kMaxVectors, int Unit = 1, class Body>
DG_INLINE void for_each_pass(int64_t first, int64_t count, const Body& body) {
  constexpr int W = V::width;
  for_each_run((count + W - 1) / W, Most, [&](int64_t vector, int64_t vectors) {
    const int64_t column = first + vector * W;
    const int tail = static_cast<int>(min64(vectors * W, first + count - column) % W);
    with_count<Most>(vectors, [&]<int NV>() {
      if constexpr (W > Unit) {
        if (tail != 0) return body.template operator()<NV, true>(column, tail);
      }
      body.template operator()<NV, false>(column, 0);
    });
  });
}

}  // namespace
}  // namespace deepgemm::DG_ISA
