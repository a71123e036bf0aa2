// Narrow elements that lie several in each 32-bit lane, as squares of them that were turned in registers do.
#pragma once

#include "simd/storage.h"

namespace deepgemm::DG_ISA {
namespace {

// The elements in one place of all words, the lowest being place 0, widened.
#if DG_ISA_AVX512
template <class S>
inline __m512 element_of(__m512i words, int place, S) {
  const __m512i there = _mm512_srli_epi32(words, static_cast<unsigned>(place * 8 * int{sizeof(S)}));
  if constexpr (sizeof(S) == 2) return widen(_mm512_cvtepi32_epi16(there), S{});
  if constexpr (sizeof(S) == 1) return widen(_mm512_cvtepi32_epi8(there), S{});
}
// The low halves of all words and then the high ones: one permutation for two conversions.
inline __m512 element_of(__m512i words, int place, Float16) {
  const __m512i low_first = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30,
                                             28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i halves = _mm512_permutexvar_epi16(low_first, words);
  return _mm512_cvtph_ps(place == 0 ? _mm512_castsi512_si256(halves) : _mm512_extracti64x4_epi64(halves, 1));
}
// Every second byte is the high one of a float16.
inline __m512 element_of(__m512i words, int place, Float8E5M2) {
  const __m512i high = place % 2 == 0 ? _mm512_slli_epi16(words, 8) : words;
  return element_of(_mm512_and_si512(high, _mm512_set1_epi16(static_cast<short>(0xff00))), place / 2,
                    Float16{});
}
inline __m512 element_of(__m512i words, int place, BFloat16) {
  const __m512i high = _mm512_and_si512(words, _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
  return _mm512_castsi512_ps(place == 0 ? _mm512_slli_epi32(words, 16) : high);
}
// A byte in the fraction of a float that counts in it by ones is that number above a power of two: turned
// over by `flip`, and taken off. Conversions would take shifts, of which there are few a cycle.
inline __m512 element_of_bytes(__m512i words, int place, int flip) {
  const int odd = place % 2;
  const __m512i there = place < 2 ? words : _mm512_srli_epi32(words, 16);
  const __m512i mask = _mm512_set1_epi32(odd ? 0xff00 : 0xff);
  const __m512i above = _mm512_set1_epi32(odd ? 0x47000000 | flip << 8 : 0x4b000000 | flip);
  const __m512 raised = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(there, mask, above, 0x6a));
  return _mm512_sub_ps(raised, _mm512_set1_ps(static_cast<float>((odd ? 1 << 15 : 1 << 23) + flip)));
}
inline __m512 element_of(__m512i words, int place, int8_t) { return element_of_bytes(words, place, 0x80); }
inline __m512 element_of(__m512i words, int place, uint8_t) { return element_of_bytes(words, place, 0); }
#elif DG_ISA_AVX2
template <class S>
inline __m256 element_of(__m256i words, int place, S) {
  constexpr char x = -1;
  const __m128i picks = sizeof(S) == 2 ? _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, x, x, x, x, x, x, x, x)
                                       : _mm_setr_epi8(0, 4, 8, 12, x, x, x, x, x, x, x, x, x, x, x, x);
  const __m256i there = _mm256_srli_epi32(words, place * 8 * int{sizeof(S)});
  const __m128i low = _mm_shuffle_epi8(_mm256_castsi256_si128(there), picks);
  const __m128i high = _mm_shuffle_epi8(_mm256_extracti128_si256(there, 1), picks);
  return widen(sizeof(S) == 2 ? _mm_unpacklo_epi64(low, high) : _mm_unpacklo_epi32(low, high), S{});
}
inline __m256 element_of(__m256i words, int place, BFloat16) {
  const __m256i high = _mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xffff0000u)));
  return _mm256_castsi256_ps(place == 0 ? _mm256_slli_epi32(words, 16) : high);
}
#endif

// Vectors of words of elements of storage S; they are handed on as floats, by moves that know no numbers.
template <class S>
struct Words {
  using vec = typename Simd<float>::vec;
  static constexpr int width = Simd<float>::width;
  static constexpr int places = 4 / sizeof(S);

  static vec load(const S* p) { return load_n(p, width); }
  // n words.
  static vec load_n(const S* p, int n) {
    if constexpr (width > 1) {
      const float* words = reinterpret_cast<const float*>(p);
      return n >= width ? Simd<float>::load(words) : Simd<float>::load_n(words, n);
    } else {
      vec word = Simd<float>::zero();
      if (n > 0) memcpy(&word, p, sizeof word);
      return word;
    }
  }
  static vec element(vec words, int place) {
#if DG_ISA_AVX512
    return element_of(_mm512_castps_si512(words), place, S{});
#elif DG_ISA_AVX2
    return element_of(_mm256_castps_si256(words), place, S{});
#else
    S elements[places];
    memcpy(elements, &words, sizeof words);
    return widened(elements[place]);
#endif
  }
};

}  // namespace
}  // namespace deepgemm::DG_ISA
