// AVX-512 (F, BW, DQ, VL): 16 floats or 8 doubles; tails are masked.
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
  using vec = __m512;
  static constexpr int width = 16;
  static constexpr int registers = 32;

  static __mmask16 first(int n) { return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u); }
  static vec zero() { return _mm512_setzero_ps(); }
  static vec set1(float a) { return _mm512_set1_ps(a); }
  static vec load(const float* p) { return _mm512_loadu_ps(p); }
  static vec load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, vec a) { _mm512_storeu_ps(p, a); }
  static void store_n(float* p, vec a, int n) { _mm512_mask_storeu_ps(p, first(n), a); }
  static vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
  static vec fma_n(vec a, vec b, vec c, int n) { return _mm512_mask3_fmadd_ps(a, b, c, first(n)); }
  static vec fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
  static vec lane(vec a, int i) { return _mm512_permutexvar_ps(_mm512_set1_epi32(i), a); }
  // Lanes in pairs, for complex numbers: (re, im) everywhere, exchanged, or one of the two twice.
  static vec set2(float re, float im) { return _mm512_unpacklo_ps(set1(re), set1(im)); }
  static vec swap2(vec a) { return _mm512_permute_ps(a, 0xb1); }
  static vec even(vec a) { return _mm512_moveldup_ps(a); }
  static vec odd(vec a) { return _mm512_movehdup_ps(a); }
};

template <>
struct Simd<double> {
  using vec = __m512d;
  static constexpr int width = 8;
  static constexpr int registers = 32;

  static __mmask8 first(int n) { return static_cast<__mmask8>(n >= 8 ? 0xffu : (1u << n) - 1u); }
  static vec zero() { return _mm512_setzero_pd(); }
  static vec set1(double a) { return _mm512_set1_pd(a); }
  static vec load(const double* p) { return _mm512_loadu_pd(p); }
  static vec load_n(const double* p, int n) { return _mm512_maskz_loadu_pd(first(n), p); }
  static void store(double* p, vec a) { _mm512_storeu_pd(p, a); }
  static void store_n(double* p, vec a, int n) { _mm512_mask_storeu_pd(p, first(n), a); }
  static vec fma(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
  static vec fma_n(vec a, vec b, vec c, int n) { return _mm512_mask3_fmadd_pd(a, b, c, first(n)); }
  static vec fnma(vec a, vec b, vec c) { return _mm512_fnmadd_pd(a, b, c); }
  static vec lane(vec a, int i) { return _mm512_permutexvar_pd(_mm512_set1_epi64(i), a); }
  static vec set2(double re, double im) { return _mm512_unpacklo_pd(set1(re), set1(im)); }
  static vec swap2(vec a) { return _mm512_permute_pd(a, 0x55); }
  static vec even(vec a) { return _mm512_movedup_pd(a); }
  static vec odd(vec a) { return _mm512_permute_pd(a, 0xff); }
};

template <class T>
using PairSimd = Simd<T>;

// Half a register, for two uses. Rows of up to 32 bytes: a masked 64-byte load that reaches into the next
// cache line pays for both (8 columns of float32: 23 against 34 GFLOP/s). Gathers: joining four loads is
// cheaper than joining eight, and a slice in two registers has twice the chains (SELL 3 to 10 % faster).
template <class T>
struct HalfSimd;

template <>
struct HalfSimd<float> {
  using vec = __m256;
  static constexpr int width = 8;

  static __mmask8 first(int n) { return static_cast<__mmask8>(n >= 8 ? 0xffu : (1u << n) - 1u); }
  static vec zero() { return _mm256_setzero_ps(); }
  static vec set1(float a) { return _mm256_set1_ps(a); }
  static vec load(const float* p) { return _mm256_loadu_ps(p); }
  static vec load_n(const float* p, int n) { return _mm256_maskz_loadu_ps(first(n), p); }
  static void store(float* p, vec a) { _mm256_storeu_ps(p, a); }
  static void store_n(float* p, vec a, int n) { _mm256_mask_storeu_ps(p, first(n), a); }
  static vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
  static vec fma_n(vec a, vec b, vec c, int n) { return _mm256_mask3_fmadd_ps(a, b, c, first(n)); }
  static vec lane(vec a, int i) { return _mm256_permutexvar_ps(_mm256_set1_epi32(i), a); }
};

template <>
struct HalfSimd<double> {
  using vec = __m256d;
  static constexpr int width = 4;

  static __mmask8 first(int n) { return static_cast<__mmask8>(n >= 4 ? 0xfu : (1u << n) - 1u); }
  static vec zero() { return _mm256_setzero_pd(); }
  static vec set1(double a) { return _mm256_set1_pd(a); }
  static vec load(const double* p) { return _mm256_loadu_pd(p); }
  static vec load_n(const double* p, int n) { return _mm256_maskz_loadu_pd(first(n), p); }
  static void store(double* p, vec a) { _mm256_storeu_pd(p, a); }
  static void store_n(double* p, vec a, int n) { _mm256_mask_storeu_pd(p, first(n), a); }
  static vec fma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
  static vec fma_n(vec a, vec b, vec c, int n) { return _mm256_mask3_fmadd_pd(a, b, c, first(n)); }
  static vec lane(vec a, int i) { return _mm256_permutexvar_pd(_mm256_set1_epi64x(i), a); }
};

}  // namespace
}  // namespace deepgemm::DG_ISA
