// Exact products of 8-bit numbers: the tiles of the real products over groups of four numbers along k.
//
// Counts for a tile of r rows and v vectors: for each four k v loads, r broadcasts and r v vpdpbusd, which
// are 64 multiply-adds each, four times those of an FMA; without VNNI six instructions do the work of one.
#pragma once

#include "kernels/gemm-inl.h"
#include "simd/integer.h"

namespace deepgemm::DG_ISA {
namespace {

// The corrections of raised and lowered operands are where the sums begin: no pass over the result.
template <>
constexpr bool kStarts<int32_t> = true;
#if DG_HAS_VNNI
template <>
constexpr bool kStarts<Vnni> = true;
#endif

template <class T>
struct Integer : Tiles<T> {
  static constexpr bool in_place = false;
};

// ---- packing: 8-bit elements where they stand, groups of four along k as 32-bit words in panels ------

struct GroupSource {
  const uint8_t* data;
  int64_t across;    // bytes to the next row of A or column of B
  int64_t along;     // bytes to the next k
  int64_t elements;  // along k
};

DG_INLINE uint32_t group_at(const uint8_t* p, int64_t along, int64_t count) {
  uint8_t bytes[4] = {};
  for (int64_t i = 0; i < min64(count, 4); ++i) bytes[i] = p[i * along];
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

// Groups [first, depth) of `count` lines, one by one.
inline void group_any(const GroupSource& from, int64_t count, int64_t width, int64_t first, int64_t depth,
                      uint32_t* to) {
  for (int64_t g = first; g < depth; ++g) {
    const uint8_t* p = from.data + 4 * g * from.along;
    for (int64_t i = 0; i < count; ++i) {
      to[g * width + i] = group_at(p + i * from.across, from.along, from.elements - 4 * g);
    }
  }
}

// Along k the source is contiguous: words are transposed in registers, by moves that know no numbers.
inline void group_columns(const GroupSource& from, int64_t count, int64_t width, int64_t whole,
                          uint32_t* to) {
  constexpr int64_t W = Simd<float>::width;
  float* const panel = reinterpret_cast<float*>(to);
  const float* const end = panel + width * whole;
  for (int64_t p = (width - 1) / W * W; p >= 0; p -= W) {
    for (int64_t g = 0; g < whole; g += W) {
      const int n = static_cast<int>(min64(W, whole - g));
      typename Simd<float>::vec square[W];
      const uint8_t* line = from.data + p * from.across + 4 * g;
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

#if DG_ISA_AVX512 || DG_ISA_AVX2
// Sixteen columns of four rows become sixteen words.
DG_INLINE void interleave(const uint8_t* row, int64_t along, uint32_t* to) {
  const auto load = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + i * along)); };
  const __m128i a = load(0), b = load(1), c = load(2), d = load(3);
  const __m128i ab[2] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
  const __m128i cd[2] = {_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)};
  for (int half = 0; half < 2; ++half) {
    __m128i* there = reinterpret_cast<__m128i*>(to + 8 * half);
    _mm_storeu_si128(there, _mm_unpacklo_epi16(ab[half], cd[half]));
    _mm_storeu_si128(there + 1, _mm_unpackhi_epi16(ab[half], cd[half]));
  }
}
#else
DG_INLINE void interleave(const uint8_t* row, int64_t along, uint32_t* to) {
  for (int64_t i = 0; i < 16; ++i) to[i] = group_at(row + i, along, 4);
}
#endif

// Lines side by side in the source's rows, which are read once, in order, for all panels.
inline void group_rows(const GroupSource& from, int64_t count, int64_t width, int64_t depth, int64_t whole,
                       uint32_t* to) {
  for (int64_t g = 0; g < whole; ++g) {
    const uint8_t* row = from.data + 4 * g * from.along;
    for (int64_t p = 0; p < count; p += width) {
      uint32_t* there = to + p * depth + g * width;
      const int64_t lines = min64(width, count - p);
      int64_t i = 0;
      for (; i + 16 <= lines; i += 16) interleave(row + p + i, from.along, there + i);
      for (; i < lines; ++i) there[i] = group_at(row + p + i, from.along, 4);
    }
  }
}

// Panels of `width` lines; Flip is 0x80 where the sign bit is to be turned over.
template <uint8_t Flip>
void group_panels(const GroupSource& from, int64_t count, int64_t width, int64_t depth, uint32_t* to) {
  const int64_t whole = min64(depth, from.elements / 4);
  const bool side_by_side = from.across == 1 && from.along != 1;
  if (side_by_side) group_rows(from, count, width, depth, whole, to);
  for (int64_t p = 0; p < count; p += width, to += width * depth) {
    const GroupSource panel{from.data + p * from.across, from.across, from.along, from.elements};
    const int64_t lines = min64(width, count - p);
    if (!side_by_side && from.along == 1) {
      group_columns(panel, lines, width, whole, to);
    } else if (!side_by_side) {
      group_any(panel, lines, width, 0, whole, to);
    }
    group_any(panel, lines, width, whole, depth, to);
    if constexpr (Flip != 0) {
      for (int64_t i = 0; i < width * whole; ++i) to[i] ^= 0x01010101u * Flip;
      // Of the last group only what exists: the rest adds nothing if it stays zero.
      const uint8_t flips[3] = {Flip, Flip, Flip};
      const uint32_t mask = group_at(flips, 1, from.elements - 4 * whole);
      for (int64_t i = width * whole; i < width * depth; ++i) to[i] ^= mask;
    }
  }
}

template <bool Left, class S>
void gemm_group(const void* raw, int64_t begin, int64_t end, int, void*) {
  constexpr bool kSigned = S(-1) < S(0);
  constexpr uint8_t kFlip = kSigned == Left ? 0x80 : 0;
  const GemmPackArgs& args = *static_cast<const GemmPackArgs*>(raw);
  const int64_t step = Left ? 1 : args.strip_panels;
  for (int64_t p = begin; p < end; p += step) {
    const int64_t at = p * args.width, count = min64(min64(step, end - p) * args.width, args.across - at);
    const GroupSource from{static_cast<const uint8_t*>(args.source) + at * args.across_stride,
                           args.across_stride, args.depth_stride / kGroup, args.elements};
    // The last panel of a left operand is as narrow as what is left of it.
    group_panels<kFlip>(from, count, Left ? count : args.width, args.depth,
                        static_cast<uint32_t*>(args.packed) + at * args.depth);
  }
}

// ---- what raising and lowering left out ------------------------------------------------------------

template <class S>
void gemm_sums(const void* raw, int64_t begin, int64_t end, int, void*) {
  const GemmSumsArgs& args = *static_cast<const GemmSumsArgs*>(raw);
  const S* data = static_cast<const S*>(args.data);
  constexpr int64_t kLines = 512, kDepth = int64_t{1} << 22;  // sums of so many bytes fit 32 bits
  if (args.line_stride != 1 || args.stride == 1) {
    for (int64_t i = begin; i < end; ++i) {
      const S* line = data + i * args.line_stride;
      int64_t sum = 0;
      for (int64_t k = 0; k < args.length; ++k) sum += line[k * args.stride];
      args.sums[i] = sum;
    }
    return;
  }
  for (int64_t i = begin; i < end; i += kLines) {
    const int64_t lines = min64(kLines, end - i);
    for (int64_t j = 0; j < lines; ++j) args.sums[i + j] = 0;
    for (int64_t k0 = 0; k0 < args.length; k0 += kDepth) {
      int32_t sums[kLines] = {};
      for (int64_t k = k0; k < min64(k0 + kDepth, args.length); ++k) {
        const S* row = data + i + k * args.stride;
        for (int64_t j = 0; j < lines; ++j) sums[j] += row[j];
      }
      for (int64_t j = 0; j < lines; ++j) args.sums[i + j] += sums[j];
    }
  }
}

inline void gemm_finish(const void* raw, int64_t begin, int64_t end, int, void*) {
  const GemmFinishArgs& args = *static_cast<const GemmFinishArgs*>(raw);
  for (int64_t i = begin; i < end; ++i) {
    const int32_t* from = static_cast<const int32_t*>(args.from.data) + i * args.from.row_stride;
    int64_t* to = static_cast<int64_t*>(args.to.data) + i * args.to.row_stride;
    const int64_t stride = args.to.col_stride, row = args.row_sums != nullptr ? kRaise * args.row_sums[i] : 0;
    for (int64_t j = 0; j < args.to.cols; ++j) {
      const int64_t col = args.col_sums != nullptr ? kRaise * args.col_sums[j] : 0;
      to[j * stride] = (args.add ? to[j * stride] : 0) + from[j] + row - col;
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
