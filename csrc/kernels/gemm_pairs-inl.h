// Products of bfloat16 numbers two at a time: the tiles of the real products over pairs along k.
//
// Counts for a tile of r rows and v vectors: for each two k v loads, r broadcasts and r v vdpbf16ps, which
// are 32 multiply-adds each, twice those of an FMA.
#pragma once

#include "kernels/gemm-inl.h"
#include "simd/pairs.h"

namespace deepgemm::DG_ISA {
namespace {

#if DG_HAS_PAIRS
template <class T>
struct Pairs : Tiles<T> {
  static constexpr bool in_place = false;
};
#endif

// ---- packing: pairs along k as 32-bit words in panels -------------------------------------------------

struct PairSource {
  const uint16_t* data;
  int64_t across;    // elements to the next row of A or column of B
  int64_t along;     // elements to the next k
  int64_t elements;  // along k; what is not there is zero
};

DG_INLINE uint32_t pair_at(const uint16_t* p, int64_t along, bool both) {
  return p[0] | (both ? static_cast<uint32_t>(p[along]) << 16 : 0u);
}

inline void pairs_any(const PairSource& from, int64_t count, int64_t width, int64_t first, int64_t depth,
                      uint32_t* to) {
  for (int64_t g = first; g < depth; ++g) {
    const uint16_t* p = from.data + 2 * g * from.along;
    for (int64_t i = 0; i < count; ++i) {
      to[g * width + i] = pair_at(p + i * from.across, from.along, 2 * g + 1 < from.elements);
    }
  }
}

// Along k the source is contiguous: words are transposed in registers, by moves that know no numbers.
inline void pairs_columns(const PairSource& from, int64_t count, int64_t width, int64_t whole, uint32_t* to) {
  constexpr int64_t W = Simd<float>::width;
  float* const panel = reinterpret_cast<float*>(to);
  const float* const end = panel + width * whole;
  for (int64_t p = (width - 1) / W * W; p >= 0; p -= W) {
    for (int64_t g = 0; g < whole; g += W) {
      const int n = static_cast<int>(min64(W, whole - g));
      typename Simd<float>::vec square[W];
      const uint16_t* line = from.data + p * from.across + 2 * g;
      for (int64_t i = 0; i < W; ++i, line += from.across) {
        square[i] = i < count - p ? Simd<float>::load_n(reinterpret_cast<const float*>(line), n)
                                  : Simd<float>::zero();
      }
      transpose(square);
      for (int j = 0; j < n; ++j) {
        float* there = panel + (g + j) * width + p;
        put(there, square[j], width - p, end - there);
      }
    }
  }
}

// Columns of two rows become words, side by side in the source's rows, which are read once, in order, for all
// panels.
inline void pairs_rows(const PairSource& from, int64_t count, int64_t width, int64_t depth, int64_t whole,
                       uint32_t* to) {
  for (int64_t g = 0; g < whole; ++g) {
    const uint16_t* even = from.data + 2 * g * from.along;
    const uint16_t* odd = even + from.along;
    for (int64_t p = 0; p < count; p += width) {
      uint32_t* there = to + p * depth + g * width;
      const int64_t lines = min64(width, count - p);
      for (int64_t i = 0; i < lines; ++i) {
        there[i] = even[p + i] | static_cast<uint32_t>(odd[p + i]) << 16;
      }
    }
  }
}

template <bool Left>
void gemm_pair(const void* raw, int64_t begin, int64_t end, int, void*) {
  const GemmPackArgs& args = *static_cast<const GemmPackArgs*>(raw);
  const int64_t step = Left ? 1 : args.strip_panels;
  for (int64_t strip = begin; strip < end; strip += step) {
    const int64_t at = strip * args.width;
    const int64_t count = min64(min64(step, end - strip) * args.width, args.across - at);
    // The last panel of a left operand is as narrow as what is left of it.
    const int64_t width = Left ? count : args.width;
    const PairSource from{static_cast<const uint16_t*>(args.source) + at * args.across_stride,
                          args.across_stride, args.depth_stride / 2, args.elements / 2};
    const int64_t whole = min64(args.depth, from.elements / 2);
    const bool side_by_side = from.across == 1 && from.along != 1;
    uint32_t* to = static_cast<uint32_t*>(args.packed) + at * args.depth;
    if (side_by_side) pairs_rows(from, count, width, args.depth, whole, to);
    for (int64_t p = 0; p < count; p += width, to += width * args.depth) {
      const PairSource panel{from.data + p * from.across, from.across, from.along, from.elements};
      const int64_t lines = min64(width, count - p);
      if (!side_by_side && from.along == 1) {
        pairs_columns(panel, lines, width, whole, to);
      } else if (!side_by_side) {
        pairs_any(panel, lines, width, 0, whole, to);
      }
      pairs_any(panel, lines, width, whole, args.depth, to);
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
