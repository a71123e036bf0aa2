// Exact products of 8-bit numbers: the tiles of the real products over groups of four numbers along k.
//
// Counts for a tile of r rows and v vectors: for each four k v loads, r broadcasts and r v vpdpbusd, which
// are 64 multiply-adds each, four times those of an FMA; without VNNI six instructions do the work of one.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/gemm_words-inl.h"
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

// What a raised A leaves out of the sums of a panel's two vectors of columns.
inline void find_starts(const uint32_t* panel, int64_t depth, int32_t* starts) {
  using V = Simd<int32_t>;
  constexpr int W = V::width;
  const V::vec ones = V::set1(0x01010101);
  V::vec sums[2] = {V::zero(), V::zero()};
  const int32_t* words = reinterpret_cast<const int32_t*>(panel);
  for (int64_t g = 0; g < depth; ++g, words += 2 * W) {
    for (int v = 0; v < 2; ++v) sums[v] = V::fma(ones, V::load(words + v * W), sums[v]);
  }
  for (int v = 0; v < 2; ++v) V::store(starts + v * W, sums[v]);
  for (int j = 0; j < 2 * W; ++j) {
    starts[j] = static_cast<int32_t>(static_cast<uint32_t>(-kRaise) * static_cast<uint32_t>(starts[j]));
  }
}

// Flip is 0x80 where the sign bit is to be turned over.
template <uint8_t Flip>
void group_panels(const WordSource<uint8_t>& from, int64_t count, int64_t width, int64_t depth, uint32_t* to,
                  int32_t* starts) {
  word_panels(from, count, width, depth, to, [&](uint32_t* panel, int64_t whole) {
    if constexpr (Flip != 0) {
      for (int64_t i = 0; i < width * whole; ++i) panel[i] ^= 0x01010101u * Flip;
      // Of the last group only what exists: the rest adds nothing if it stays zero.
      const uint8_t flips[3] = {Flip, Flip, Flip};
      const uint32_t mask = word_at(flips, 1, from.elements - 4 * whole);
      for (int64_t i = width * whole; i < width * depth; ++i) panel[i] ^= mask;
    }
    if (starts == nullptr) return;
    find_starts(panel, depth, starts);
    starts += width;
  });
}

template <bool Left, class S>
void gemm_group(const void* raw, int64_t begin, int64_t end, int, void*) {
  constexpr bool kSigned = S(-1) < S(0);
  constexpr uint8_t kFlip = kSigned == Left ? 0x80 : 0;
  const GemmPackArgs& args = *static_cast<const GemmPackArgs*>(raw);
  const int64_t step = Left ? 1 : args.strip_panels;
  for (int64_t p = begin; p < end; p += step) {
    const int64_t at = p * args.width, count = min64(min64(step, end - p) * args.width, args.across - at);
    const WordSource<uint8_t> from{static_cast<const uint8_t*>(args.source) + at * args.across_stride,
                                   args.across_stride, args.depth_stride / kGroup, args.elements};
    // The last panel of a left operand is as narrow as what is left of it.
    group_panels<kFlip>(from, count, Left ? count : args.width, args.depth,
                        static_cast<uint32_t*>(args.packed) + at * args.depth,
                        args.starts != nullptr ? args.starts + at : nullptr);
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
      to[j * stride] = (args.add ? to[j * stride] : 0) + from[j] + row;
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
