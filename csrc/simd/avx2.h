// AVX2 with FMA: 8 floats or 4 doubles; tails are masked by a table of lane masks.
#pragma once

#include <immintrin.h>
#include <stdint.h>

namespace deepgemm::DG_ISA {
namespace {

inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

template <class T>
struct Simd;

template <>
struct Simd<float> {
  using vec = __m256;
  static constexpr int width = 8;
  static constexpr int registers = 16;

  static __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static vec zero() { return _mm256_setzero_ps(); }
  static vec set1(float a) { return _mm256_set1_ps(a); }
  static vec load(const float* p) { return _mm256_loadu_ps(p); }
  static vec load_n(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store(float* p, vec a) { _mm256_storeu_ps(p, a); }
  static void store_n(float* p, vec a, int n) { _mm256_maskstore_ps(p, first(n), a); }
  static vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
  static vec fma_n(vec a, vec b, vec c, int n) {
    return _mm256_blendv_ps(c, fma(a, b, c), _mm256_castsi256_ps(first(n)));
  }
  static vec fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
  static vec lane(vec a, int i) { return _mm256_permutevar8x32_ps(a, _mm256_set1_epi32(i)); }
  // Lanes in pairs, for complex numbers: (re, im) everywhere, exchanged, or one of the two twice.
  static vec set2(float re, float im) { return _mm256_unpacklo_ps(set1(re), set1(im)); }
  static vec swap2(vec a) { return _mm256_permute_ps(a, 0xb1); }
  static vec even(vec a) { return _mm256_moveldup_ps(a); }
  static vec odd(vec a) { return _mm256_movehdup_ps(a); }
};

template <>
struct Simd<double> {
  using vec = __m256d;
  static constexpr int width = 4;
  static constexpr int registers = 16;

  static __m256i first(int n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static vec zero() { return _mm256_setzero_pd(); }
  static vec set1(double a) { return _mm256_set1_pd(a); }
  static vec load(const double* p) { return _mm256_loadu_pd(p); }
  static vec load_n(const double* p, int n) { return _mm256_maskload_pd(p, first(n)); }
  static void store(double* p, vec a) { _mm256_storeu_pd(p, a); }
  static void store_n(double* p, vec a, int n) { _mm256_maskstore_pd(p, first(n), a); }
  static vec fma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
  static vec fma_n(vec a, vec b, vec c, int n) {
    return _mm256_blendv_pd(c, fma(a, b, c), _mm256_castsi256_pd(first(n)));
  }
  static vec fnma(vec a, vec b, vec c) { return _mm256_fnmadd_pd(a, b, c); }
  static vec lane(vec a, int i) {
    const __m256i both = _mm256_set1_epi64x((static_cast<int64_t>(2 * i + 1) << 32) | (2 * i));
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(a), both));
  }
  static vec set2(double re, double im) { return _mm256_unpacklo_pd(set1(re), set1(im)); }
  static vec swap2(vec a) { return _mm256_permute_pd(a, 0x5); }
  static vec even(vec a) { return _mm256_movedup_pd(a); }
  static vec odd(vec a) { return _mm256_permute_pd(a, 0xf); }
};

template <class T>
using PairSimd = Simd<T>;

// Registers are narrow enough as they are.
template <class T>
using HalfSimd = Simd<T>;

}  // namespace
}  // namespace deepgemm::DG_ISA
