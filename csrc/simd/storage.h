// Loads that widen storage to float, exactly, and stores that round float to storage, once, to nearest even.
//
// One conversion serves a product of any width, so kernels are written for float alone. Subnormal numbers
// are kept in both directions. vcvtneps2bf16 is not used: it flushes them.
#pragma once

#include <stdint.h>
#include <string.h>

#include "core/storage.h"

namespace deepgemm::DG_ISA {
namespace {

// ---- single elements: what every ISA does with tails that it cannot mask ---------------------------

inline float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float widened(float x) { return x; }
inline double widened(double x) { return x; }
inline float widened(int8_t x) { return x; }
inline float widened(uint8_t x) { return x; }
inline float widened(BFloat16 x) { return float_of(static_cast<uint32_t>(x.bits) << 16); }
// Exponent and fraction moved into a float's places, and the difference of the biases multiplied in: that
// is exact for subnormal numbers too.
inline float widened(Float16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16, rest = x.bits & 0x7fff;
  if (rest >= 0x7c00) return float_of(sign | 0x7f800000u | (rest & 0x3ff) << 13);
  return float_of(sign | bits_of(float_of(rest << 13) * 0x1p112f));
}
inline float widened(Float8E5M2 x) { return widened(Float16{static_cast<uint16_t>(x.bits << 8)}); }
inline float widened(Float8E4M3 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x80) << 24, rest = x.bits & 0x7f;
  if (rest == 0x7f) return float_of(sign | 0x7fc00000u);
  return float_of(sign | bits_of(float_of(rest << 20) * 0x1p120f));
}

inline void narrow(float x, float& to) { to = x; }
inline void narrow(float x, BFloat16& to) {
  const uint32_t bits = bits_of(x);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  to.bits = static_cast<uint16_t>((nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
inline void narrow(float x, Float16& to) {
  const uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ff);
  } else if (magnitude >= 0x477ff000u) {  // from 65520 on
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // subnormal: the sum's last place is 2^-24, so it rounds there
    half = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13;
  }
  to.bits = static_cast<uint16_t>(sign | half);
}

// ---- vectors ---------------------------------------------------------------------------------------

// Elements of storage S as vectors of T; where they differ, T is float.
template <class T, class S>
struct Storage;

template <class T>
struct Storage<T, T> {
  using vec = typename Simd<T>::vec;
  static vec load(const T* p) { return Simd<T>::load(p); }
  static vec load_n(const T* p, int n) { return Simd<T>::load_n(p, n); }
  static void store(T* p, vec x) { Simd<T>::store(p, x); }
  static void store_n(T* p, vec x, int n) { Simd<T>::store_n(p, x, n); }
};

#if DG_ISA_AVX512

inline __m512 widen(__m256i x, Float16) { return _mm512_cvtph_ps(x); }
inline __m512 widen(__m256i x, BFloat16) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
inline __m512 widen(__m128i x, int8_t) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x)); }
inline __m512 widen(__m128i x, uint8_t) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x)); }
inline __m512 widen(__m128i x, Float8E5M2) {
  return _mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(x), 8));
}
// Read as a float16 it is 2^-8 of itself, subnormal numbers included. Moved into a float's places these would
// be subnormal floats, whose multiplication takes several times as long (1024 x 1024 times a row: 6.6 GB/s,
// so 21).
inline __m512 widen(__m128i x, Float8E4M3) {
  const __m256i words = _mm256_cvtepi8_epi16(x), most = _mm256_set1_epi16(0x7f);
  const __mmask16 nan = _mm256_cmpeq_epi16_mask(_mm256_and_si256(words, most), most);
  const __m256i bits = _mm256_and_si256(_mm256_slli_epi16(words, 7), _mm256_set1_epi16(~0x4000));
  const __m256i halves = _mm256_mask_mov_epi16(bits, nan, _mm256_set1_epi16(0x7e00));
  return _mm512_mul_ps(_mm512_cvtph_ps(halves), _mm512_set1_ps(0x1p8f));
}
inline __m256i narrowed(__m512 x, Float16) {
  return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline __m256i narrowed(__m512 x, BFloat16) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i even = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i kept = _mm512_mask_or_epi32(even, nan, bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
}

template <int Bytes>
struct Narrow;
template <>
struct Narrow<2> {
  static __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static __m256i load_n(const void* p, int n) { return _mm256_maskz_loadu_epi16(Simd<float>::first(n), p); }
  static void store(void* p, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
  static void store_n(void* p, __m256i x, int n) { _mm256_mask_storeu_epi16(p, Simd<float>::first(n), x); }
};
template <>
struct Narrow<1> {
  static __m128i load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m128i load_n(const void* p, int n) { return _mm_maskz_loadu_epi8(Simd<float>::first(n), p); }
};

template <class T, class S>
struct Storage {
  static __m512 load(const S* p) { return widen(Narrow<sizeof(S)>::load(p), S{}); }
  static __m512 load_n(const S* p, int n) { return widen(Narrow<sizeof(S)>::load_n(p, n), S{}); }
  static void store(S* p, __m512 x) { Narrow<sizeof(S)>::store(p, narrowed(x, S{})); }
  static void store_n(S* p, __m512 x, int n) { Narrow<sizeof(S)>::store_n(p, narrowed(x, S{}), n); }
};

#elif DG_ISA_AVX2

inline __m256 widen(__m128i x, Float16) { return _mm256_cvtph_ps(x); }
inline __m256 widen(__m128i x, BFloat16) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
inline __m256 widen(__m128i x, int8_t) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)); }
inline __m256 widen(__m128i x, uint8_t) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)); }
inline __m256 widen(__m128i x, Float8E5M2) {
  return _mm256_cvtph_ps(_mm_slli_epi16(_mm_cvtepu8_epi16(x), 8));
}
inline __m256 widen(__m128i x, Float8E4M3) {
  const __m128i words = _mm_cvtepi8_epi16(x), most = _mm_set1_epi16(0x7f);
  const __m128i nan = _mm_cmpeq_epi16(_mm_and_si128(words, most), most);
  const __m128i bits = _mm_and_si128(_mm_slli_epi16(words, 7), _mm_set1_epi16(~0x4000));
  const __m128i halves = _mm_blendv_epi8(bits, _mm_set1_epi16(0x7e00), nan);
  return _mm256_mul_ps(_mm256_cvtph_ps(halves), _mm256_set1_ps(0x1p8f));
}
inline __m128i narrowed(__m256 x, Float16) {
  return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline __m128i narrowed(__m256 x, BFloat16) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i even = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i kept = _mm256_srli_epi32(_mm256_blendv_epi8(even, quiet, nan), 16);
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi32(kept, kept), 0x08));
}

template <class T, class S>
struct Storage {
  static __m256 load(const S* p) {
    if constexpr (sizeof(S) == 2) return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), S{});
    return widen(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), S{});
  }
  static __m256 load_n(const S* p, int n) {
    if (n >= 8) return load(p);
    S whole[8] = {};
    for (int i = 0; i < n; ++i) whole[i] = p[i];
    return load(whole);
  }
  static void store(S* p, __m256 x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrowed(x, S{})); }
  static void store_n(S* p, __m256 x, int n) {
    if (n >= 8) return store(p, x);
    S whole[8];
    store(whole, x);
    for (int i = 0; i < n; ++i) p[i] = whole[i];
  }
};

#else

template <class T, class S>
struct Storage {
  static float load(const S* p) { return widened(*p); }
  static float load_n(const S* p, int n) { return n > 0 ? widened(*p) : 0.0f; }
  static void store(S* p, float x) { narrow(x, *p); }
  static void store_n(S* p, float x, int n) {
    if (n > 0) narrow(x, *p);
  }
};

#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
