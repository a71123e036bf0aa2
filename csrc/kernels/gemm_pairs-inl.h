// Products of bfloat16 numbers two at a time: the tiles of the real products over pairs along k.
//
// Counts for a tile of r rows and v vectors: for each two k v loads, r broadcasts and r v vdpbf16ps, which
// are 32 multiply-adds each, twice those of an FMA.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/gemm_words-inl.h"
#include "simd/pairs.h"

namespace deepgemm::DG_ISA {
namespace {

#if DG_ASSEMBLES_BF16
template <class T>
struct Pairs : Tiles<T> {
  static constexpr bool in_place = false;
};
#endif

// ---- packing: pairs along k as 32-bit words in panels -------------------------------------------------

template <bool Left>
void gemm_pair(const void* raw, int64_t begin, int64_t end, int, void*) {
  const GemmPackArgs& args = *static_cast<const GemmPackArgs*>(raw);
  const int64_t step = Left ? 1 : args.strip_panels;
  for (int64_t strip = begin; strip < end; strip += step) {
    const int64_t at = strip * args.width;
    const int64_t count = min64(min64(step, end - strip) * args.width, args.across - at);
    // The last panel of a left operand is as narrow as what is left of it.
    const int64_t width = Left ? count : args.width;
    const WordSource<uint16_t> from{static_cast<const uint16_t*>(args.source) + at * args.across_stride,
                                    args.across_stride, args.depth_stride / 2, args.elements / 2};
    word_panels(from, count, width, args.depth, static_cast<uint32_t*>(args.packed) + at * args.depth,
                [](uint32_t*, int64_t) {});
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
