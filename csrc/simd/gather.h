// Elements of x from anywhere, four at a time, and four rows side by side: what products with a vector need.
#pragma once

#include <stdint.h>
#include <string.h>

#include "simd/marks.h"

namespace deepgemm::DG_ISA {
namespace {

#if DG_ISA_AVX512 || DG_ISA_AVX2
#define DG_HAS_QUADS 1

// Where four elements stand. Four 16-bit offsets come with one load and are cut out of it: the units that
// load are the busy ones here (0.19 against 0.21 ns an entry with a load for each offset, float32 on Zen 5).
struct Places {
  int64_t a, b, c, d;
};
inline Places places(const int32_t* i) { return {i[0], i[1], i[2], i[3]}; }
inline Places places(const uint16_t* i) {
  uint64_t word;
  memcpy(&word, i, 8);
  return {static_cast<int64_t>(word & 0xffff), static_cast<int64_t>(word >> 16 & 0xffff),
          static_cast<int64_t>(word >> 32 & 0xffff), static_cast<int64_t>(word >> 48)};
}

// Four lanes of T, one for each of four rows. Loads and shuffles beat vgatherdps (16 elements: 8 against 20
// cycles on Zen 5); gathers are slowed down further by the mitigations of older Intel cores.
template <class T>
struct Quad;

template <>
struct Quad<float> {
  using vec = __m128;
  static vec zero() { return _mm_setzero_ps(); }
  static vec load(const float* p) { return _mm_loadu_ps(p); }
  static void store(float* p, vec a) { _mm_storeu_ps(p, a); }
  static vec pick(const float* x, Places i) {
    const __m128 low = _mm_unpacklo_ps(_mm_load_ss(x + i.a), _mm_load_ss(x + i.b));
    const __m128 high = _mm_unpacklo_ps(_mm_load_ss(x + i.c), _mm_load_ss(x + i.d));
    return _mm_movelh_ps(low, high);
  }
  static vec fma(vec a, vec b, vec c) { return _mm_fmadd_ps(a, b, c); }
  // Lanes whose length is at most t keep `c`.
  static vec fma_longer(vec a, vec b, vec c, __m128i length, int32_t t) {
#if DG_ISA_AVX512
    return _mm_mask3_fmadd_ps(a, b, c, _mm_cmpgt_epi32_mask(length, _mm_set1_epi32(t)));
#else
    return _mm_blendv_ps(c, fma(a, b, c), _mm_castsi128_ps(_mm_cmpgt_epi32(length, _mm_set1_epi32(t))));
#endif
  }
  static void transpose(vec (&rows)[4]) { _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]); }
};

template <>
struct Quad<double> {
  using vec = __m256d;
  static vec zero() { return _mm256_setzero_pd(); }
  static vec load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, vec a) { _mm256_storeu_pd(p, a); }
  static vec pick(const double* x, Places i) {
    const __m128d low = _mm_loadh_pd(_mm_load_sd(x + i.a), x + i.b);
    const __m128d high = _mm_loadh_pd(_mm_load_sd(x + i.c), x + i.d);
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(low), high, 1);
  }
  static vec fma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
  static vec fma_longer(vec a, vec b, vec c, __m128i length, int32_t t) {
#if DG_ISA_AVX512
    return _mm256_mask3_fmadd_pd(a, b, c, _mm_cmpgt_epi32_mask(length, _mm_set1_epi32(t)));
#else
    const __m256i wide = _mm256_cvtepi32_epi64(_mm_cmpgt_epi32(length, _mm_set1_epi32(t)));
    return _mm256_blendv_pd(c, fma(a, b, c), _mm256_castsi256_pd(wide));
#endif
  }
  static void transpose(vec (&rows)[4]) {
    const vec a = _mm256_unpacklo_pd(rows[0], rows[1]), b = _mm256_unpackhi_pd(rows[0], rows[1]);
    const vec c = _mm256_unpacklo_pd(rows[2], rows[3]), d = _mm256_unpackhi_pd(rows[2], rows[3]);
    rows[0] = _mm256_permute2f128_pd(a, c, 0x20);
    rows[1] = _mm256_permute2f128_pd(b, d, 0x20);
    rows[2] = _mm256_permute2f128_pd(a, c, 0x31);
    rows[3] = _mm256_permute2f128_pd(b, d, 0x31);
  }
};

// Lengths of four rows; stored one by one and loaded together they would wait for the stores.
inline __m128i row_lengths(const int32_t* indptr) {
  return _mm_sub_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(indptr + 1)),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(indptr)));
}
// Of lengths below 2^31.
inline __m128i row_lengths(const int64_t* indptr) {
  const __m256i length = _mm256_sub_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(indptr + 1)),
                                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(indptr)));
  const __m256i even = _mm256_permutevar8x32_epi32(length, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
  return _mm256_castsi256_si128(even);
}

// A 32-byte register of elements of x.
template <class Index>
inline __m256 gather(const float* x, const Index* i) {
  const __m128 low = Quad<float>::pick(x, places(i)), high = Quad<float>::pick(x, places(i + 4));
  return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
}
template <class Index>
inline __m256d gather(const double* x, const Index* i) {
  return Quad<double>::pick(x, places(i));
}
#else
template <class T, class Index>
inline T gather(const T* x, const Index* i) {
  return x[*i];
}
#endif

// How many of the first `Count` lengths, which fall, are greater than t.
template <int Count>
inline int count_longer(const int32_t* length, int32_t t) {
#if DG_ISA_AVX512
  const __m256i bar = _mm256_set1_epi32(t);
  unsigned longer = 0;
  for (int i = 0; i < Count; i += 8) {
    const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(length + i));
    longer |= static_cast<unsigned>(_mm256_cmpgt_epi32_mask(part, bar)) << i;
  }
  return count_bits(longer);
#elif DG_ISA_AVX2
  const __m256i bar = _mm256_set1_epi32(t);
  unsigned longer = 0;
  for (int i = 0; i < Count; i += 8) {
    const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(length + i));
    const __m256 above = _mm256_castsi256_ps(_mm256_cmpgt_epi32(part, bar));
    longer |= static_cast<unsigned>(_mm256_movemask_ps(above)) << i;
  }
  return count_bits(longer);
#else
  int count = Count;
  while (count > 0 && length[count - 1] <= t) --count;
  return count;
#endif
}

}  // namespace
}  // namespace deepgemm::DG_ISA
