// Packing of narrow elements several at a time: what follows each other along k becomes 32-bit words in
// panels.
#pragma once

#include <string.h>

#include "kernels/gemm_pack-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// Lines (rows of A or columns of B) of elements of one or two bytes.
template <class T>
struct WordSource {
  const T* data;
  int64_t across;    // elements to the next line
  int64_t along;     // elements to the next k
  int64_t elements;  // along k; what is not there is zero
};

template <class T>
constexpr int64_t kInWord = 4 / sizeof(T);

// The first `count` elements of a word, and zeros.
template <class T>
DG_INLINE uint32_t word_at(const T* p, int64_t along, int64_t count) {
  T parts[kInWord<T>] = {};
  for (int64_t i = 0; i < min64(count, kInWord<T>); ++i) parts[i] = p[i * along];
  uint32_t word;
  memcpy(&word, parts, sizeof word);
  return word;
}

// Words [first, depth) of `count` lines, one by one.
template <class T>
void words_any(const WordSource<T>& from, int64_t count, int64_t width, int64_t first, int64_t depth,
               uint32_t* to) {
  for (int64_t g = first; g < depth; ++g) {
    const T* p = from.data + kInWord<T> * g * from.along;
    for (int64_t i = 0; i < count; ++i) {
      to[g * width + i] = word_at(p + i * from.across, from.along, from.elements - kInWord<T> * g);
    }
  }
}

// Along k the source is contiguous: words are transposed in registers, by moves that know no numbers.
template <class T>
void words_columns(const WordSource<T>& from, int64_t count, int64_t width, int64_t whole, uint32_t* to) {
  constexpr int64_t W = Simd<float>::width;
  float* const panel = reinterpret_cast<float*>(to);
  const float* const end = panel + width * whole;
  for (int64_t p = (width - 1) / W * W; p >= 0; p -= W) {
    for (int64_t g = 0; g < whole; g += W) {
      const int n = static_cast<int>(min64(W, whole - g));
      typename Simd<float>::vec square[W];
      const T* line = from.data + p * from.across + kInWord<T> * g;
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

// Sixteen columns of a word's rows become sixteen words.
DG_INLINE void interleave(const uint16_t* row, int64_t along, uint32_t* to) {
  for (int64_t i = 0; i < 16; ++i) to[i] = row[i] | static_cast<uint32_t>(row[along + i]) << 16;
}
#if DG_ISA_AVX512 || DG_ISA_AVX2
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
  for (int64_t i = 0; i < 16; ++i) to[i] = word_at(row + i, along, 4);
}
#endif

// Of a row only a piece is read at a time, too short for the hardware to see the next ones coming.
constexpr int64_t kWordsAhead = 4;

// Lines side by side in the source's rows, which are read once, in order, for all panels.
template <class T>
void words_rows(const WordSource<T>& from, int64_t count, int64_t width, int64_t depth, int64_t whole,
                uint32_t* to) {
  for (int64_t g = 0; g < whole; ++g) {
    const T* row = from.data + kInWord<T> * g * from.along;
    const T* ahead = row + kWordsAhead * kInWord<T> * from.along;
    for (int64_t p = 0; p < count; p += width) {
      for (int64_t i = 0; i < kInWord<T>; ++i) DG_PREFETCH(ahead + i * from.along + p);
      uint32_t* there = to + p * depth + g * width;
      const int64_t lines = min64(width, count - p);
      int64_t i = 0;
      for (; i + 16 <= lines; i += 16) interleave(row + p + i, from.along, there + i);
      for (; i < lines; ++i) there[i] = word_at(row + p + i, from.along, kInWord<T>);
    }
  }
}

// Panels of `width` lines, `depth` words deep; `finish(panel, whole)` follows each, of whose words the first
// `whole` are full.
template <class T, class Finish>
void word_panels(const WordSource<T>& from, int64_t count, int64_t width, int64_t depth, uint32_t* to,
                 const Finish& finish) {
  const int64_t whole = min64(depth, from.elements / kInWord<T>);
  const bool side_by_side = from.across == 1 && from.along != 1;
  if (side_by_side) words_rows(from, count, width, depth, whole, to);
  for (int64_t p = 0; p < count; p += width, to += width * depth) {
    const WordSource<T> panel{from.data + p * from.across, from.across, from.along, from.elements};
    const int64_t lines = min64(width, count - p);
    if (!side_by_side && from.along == 1) {
      words_columns(panel, lines, width, whole, to);
    } else if (!side_by_side) {
      words_any(panel, lines, width, 0, whole, to);
    }
    words_any(panel, lines, width, whole, depth, to);
    finish(to, whole);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
