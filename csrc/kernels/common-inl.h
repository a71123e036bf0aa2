// The few words that every kernel file needs and that may not come from the standard library.
#pragma once

#include <stdint.h>

#if defined(__GNUC__)
#define DG_INLINE inline __attribute__((always_inline))
#define DG_INLINE_LAMBDA __attribute__((always_inline))
#define DG_NOINLINE __attribute__((noinline))
// Loops over register tiles must vanish, or the tile goes through the stack.
#define DG_UNROLL _Pragma("GCC unroll 32")
#define DG_PREFETCH(address) __builtin_prefetch(address)
#define DG_PREFETCH_L2(address) __builtin_prefetch(address, 0, 2)
#else
#define DG_INLINE inline
#define DG_INLINE_LAMBDA
#define DG_NOINLINE
#define DG_UNROLL
#define DG_PREFETCH(address) static_cast<void>(address)
#define DG_PREFETCH_L2(address) static_cast<void>(address)
#endif

namespace deepgemm::DG_ISA {
namespace {

DG_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

// std::integer_sequence would be shared inline code, which an ISA object must not carry.
template <int...>
struct Sequence {};
template <int N, int... Rest>
constexpr auto make_sequence() {
  if constexpr (N == 0) {
    return Sequence<Rest...>{};
  } else {
    return make_sequence<N - 1, N - 1, Rest...>();
  }
}

DG_INLINE int64_t index_of(const void* array, bool wide, int64_t position) {
  // A branch that always goes one way costs less than a second copy of every tile.
  return wide ? static_cast<const int64_t*>(array)[position] : static_cast<const int32_t*>(array)[position];
}

}  // namespace
}  // namespace deepgemm::DG_ISA
