// Columns cut into passes of as many vectors as registers hold.
#pragma once

#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// How many vectors of columns one pass keeps in registers: 8 chains hide the latency of FMA (4
// cycles at 2 per cycle) and leave half of AVX2's registers for operands.
constexpr int kMaxVectors = 8;

// Calls body.template operator()<NV, Masked>(column, tail) for passes over `count` reals from `first`
// on, evenly: nine vectors become 5 + 4, not 8 + 1.
template <class V, class Body>
DG_INLINE void for_each_pass(int64_t first, int64_t count, const Body& body) {
  constexpr int W = V::width;
  int64_t vectors = (count + W - 1) / W, passes = (vectors + kMaxVectors - 1) / kMaxVectors;
  int64_t column = first;
  const int64_t end = first + count;
  for (; passes > 0; --passes) {
    const int nv = static_cast<int>((vectors + passes - 1) / passes);
    const int64_t width = min64(static_cast<int64_t>(nv) * W, end - column);
    const int tail = static_cast<int>(width % W);
    const bool masked = tail != 0;
    switch (nv) {
#define DG_CASE(n)                                     \
  case n:                                              \
    if (masked) {                                      \
      body.template operator()<n, true>(column, tail); \
    } else {                                           \
      body.template operator()<n, false>(column, 0);   \
    }                                                  \
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
    column += width;
    vectors -= nv;
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
