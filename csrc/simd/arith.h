// What elementary functions and reductions along lanes want of a vector, beyond multiply-adds.
#pragma once

#include <stdint.h>
#include <string.h>

namespace deepgemm::DG_ISA {
namespace {

// where_less gives `yes` in lanes where a < b, and `no` elsewhere, also where one of them is a nan.
// larger and smaller keep a nan of either operand; larger_number may drop it, for a third of the
// instructions. load_or fills lanes at or past n with `fill`. scaled is (p * 2^(n >> 1)) * 2^(n - (n >> 1)),
// where n is the integer in the low bits of the sum t = n + kMagic: one rounding, of results that are
// subnormal. mirrored exchanges halves of pieces of 2 * Step lanes.
#if DG_ISA_AVX512
inline __m512 difference(__m512 a, __m512 b) { return _mm512_sub_ps(a, b); }
inline __m512d difference(__m512d a, __m512d b) { return _mm512_sub_pd(a, b); }
inline __m512 product(__m512 a, __m512 b) { return _mm512_mul_ps(a, b); }
inline __m512d product(__m512d a, __m512d b) { return _mm512_mul_pd(a, b); }
inline __m512 quotient(__m512 a, __m512 b) { return _mm512_div_ps(a, b); }
inline __m512d quotient(__m512d a, __m512d b) { return _mm512_div_pd(a, b); }
inline __m512 root(__m512 a) { return _mm512_sqrt_ps(a); }
inline __m512d root(__m512d a) { return _mm512_sqrt_pd(a); }
// max and min give the second operand where one is a nan.
inline __m512 larger(__m512 a, __m512 b) {
  return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
inline __m512d larger(__m512d a, __m512d b) {
  return _mm512_mask_mov_pd(_mm512_max_pd(a, b), _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q), a);
}
inline __m512 smaller(__m512 a, __m512 b) {
  return _mm512_mask_mov_ps(_mm512_min_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
inline __m512d smaller(__m512d a, __m512d b) {
  return _mm512_mask_mov_pd(_mm512_min_pd(a, b), _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q), a);
}
inline __m512 larger_number(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
inline __m512d larger_number(__m512d a, __m512d b) { return _mm512_max_pd(a, b); }
inline __m512 clamped(__m512 x, float low, float high) {
  return _mm512_max_ps(_mm512_set1_ps(low), _mm512_min_ps(_mm512_set1_ps(high), x));
}
inline __m512d clamped(__m512d x, double low, double high) {
  return _mm512_max_pd(_mm512_set1_pd(low), _mm512_min_pd(_mm512_set1_pd(high), x));
}
inline __m512 load_or(const float* p, int n, __m512 fill) {
  return _mm512_mask_loadu_ps(fill, Simd<float>::first(n), p);
}
inline __m512d load_or(const double* p, int n, __m512d fill) {
  return _mm512_mask_loadu_pd(fill, Simd<double>::first(n), p);
}
// vscalef rounds as the two factors do.
inline __m512 scaled(__m512 p, __m512 t, float magic) {
  return _mm512_scalef_ps(p, _mm512_sub_ps(t, _mm512_set1_ps(magic)));
}
inline __m512d scaled(__m512d p, __m512d t, double magic) {
  return _mm512_scalef_pd(p, _mm512_sub_pd(t, _mm512_set1_pd(magic)));
}
template <int Step>
inline __m512 mirrored(__m512 a) {
  if constexpr (Step == 8) return _mm512_shuffle_f32x4(a, a, 0x4e);
  if constexpr (Step == 4) return _mm512_shuffle_f32x4(a, a, 0xb1);
  if constexpr (Step == 2) return _mm512_permute_ps(a, 0x4e);
  return _mm512_permute_ps(a, 0xb1);
}
template <int Step>
inline __m512d mirrored(__m512d a) {
  if constexpr (Step == 4) return _mm512_shuffle_f64x2(a, a, 0x4e);
  if constexpr (Step == 2) return _mm512_shuffle_f64x2(a, a, 0xb1);
  return _mm512_permute_pd(a, 0x55);
}
inline __m512 where_less(__m512 a, __m512 b, __m512 yes, __m512 no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
inline __m512d where_less(__m512d a, __m512d b, __m512d yes, __m512d no) {
  return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), no, yes);
}
inline float first_lane(__m512 a) { return _mm512_cvtss_f32(a); }
inline double first_lane(__m512d a) { return _mm512_cvtsd_f64(a); }
#elif DG_ISA_AVX2
inline __m256 difference(__m256 a, __m256 b) { return _mm256_sub_ps(a, b); }
inline __m256d difference(__m256d a, __m256d b) { return _mm256_sub_pd(a, b); }
inline __m256 product(__m256 a, __m256 b) { return _mm256_mul_ps(a, b); }
inline __m256d product(__m256d a, __m256d b) { return _mm256_mul_pd(a, b); }
inline __m256 quotient(__m256 a, __m256 b) { return _mm256_div_ps(a, b); }
inline __m256d quotient(__m256d a, __m256d b) { return _mm256_div_pd(a, b); }
inline __m256 root(__m256 a) { return _mm256_sqrt_ps(a); }
inline __m256d root(__m256d a) { return _mm256_sqrt_pd(a); }
inline __m256 larger(__m256 a, __m256 b) {
  return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
inline __m256d larger(__m256d a, __m256d b) {
  return _mm256_blendv_pd(_mm256_max_pd(a, b), a, _mm256_cmp_pd(a, a, _CMP_UNORD_Q));
}
inline __m256 smaller(__m256 a, __m256 b) {
  return _mm256_blendv_ps(_mm256_min_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
inline __m256d smaller(__m256d a, __m256d b) {
  return _mm256_blendv_pd(_mm256_min_pd(a, b), a, _mm256_cmp_pd(a, a, _CMP_UNORD_Q));
}
inline __m256 larger_number(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
inline __m256d larger_number(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
inline __m256 clamped(__m256 x, float low, float high) {
  return _mm256_max_ps(_mm256_set1_ps(low), _mm256_min_ps(_mm256_set1_ps(high), x));
}
inline __m256d clamped(__m256d x, double low, double high) {
  return _mm256_max_pd(_mm256_set1_pd(low), _mm256_min_pd(_mm256_set1_pd(high), x));
}
inline __m256 load_or(const float* p, int n, __m256 fill) {
  const __m256i mask = Simd<float>::first(n);
  return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
inline __m256d load_or(const double* p, int n, __m256d fill) {
  const __m256i mask = Simd<double>::first(n);
  return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, mask), _mm256_castsi256_pd(mask));
}
inline __m256 power_of_two(__m256i n, float) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
// Only the low half of each n matters: the shift drops the rest.
inline __m256d power_of_two(__m256i n, double) {
  return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_add_epi32(n, _mm256_set1_epi32(1023)), 52));
}
inline __m256 scaled(__m256 p, __m256 t, float magic) {
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(_mm256_set1_ps(magic)));
  const __m256i half = _mm256_srai_epi32(n, 1);
  return product(product(p, power_of_two(half, 0.0f)), power_of_two(_mm256_sub_epi32(n, half), 0.0f));
}
inline __m256d scaled(__m256d p, __m256d t, double) {  // the low half of the magic number is zero
  const __m256i n = _mm256_castpd_si256(t), half = _mm256_srai_epi32(n, 1);
  return product(product(p, power_of_two(half, 0.0)), power_of_two(_mm256_sub_epi32(n, half), 0.0));
}
template <int Step>
inline __m256 mirrored(__m256 a) {
  if constexpr (Step == 4) return _mm256_permute2f128_ps(a, a, 0x01);
  if constexpr (Step == 2) return _mm256_permute_ps(a, 0x4e);
  return _mm256_permute_ps(a, 0xb1);
}
template <int Step>
inline __m256d mirrored(__m256d a) {
  if constexpr (Step == 2) return _mm256_permute2f128_pd(a, a, 0x01);
  return _mm256_permute_pd(a, 0x5);
}
inline __m256 where_less(__m256 a, __m256 b, __m256 yes, __m256 no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
inline __m256d where_less(__m256d a, __m256d b, __m256d yes, __m256d no) {
  return _mm256_blendv_pd(no, yes, _mm256_cmp_pd(a, b, _CMP_LT_OQ));
}
inline float first_lane(__m256 a) { return _mm256_cvtss_f32(a); }
inline double first_lane(__m256d a) { return _mm256_cvtsd_f64(a); }
#else
template <class T>
inline T difference(T a, T b) {
  return a - b;
}
template <class T>
inline T product(T a, T b) {
  return a * b;
}
template <class T>
inline T quotient(T a, T b) {
  return a / b;
}
inline float root(float a) { return sqrtf(a); }
inline double root(double a) { return sqrt(a); }
template <class T>
inline T larger(T a, T b) {
  return a != a || a > b ? a : b;
}
template <class T>
inline T smaller(T a, T b) {
  return a != a || a < b ? a : b;
}
template <class T>
inline T larger_number(T a, T b) {
  return a > b ? a : b;
}
template <class T>
inline T clamped(T x, T low, T high) {
  return x > high ? high : x < low ? low : x;
}
template <class T>
inline T load_or(const T* p, int n, T fill) {
  return n > 0 ? *p : fill;
}
inline float power_of_two(int32_t n, float) {
  const uint32_t bits = static_cast<uint32_t>(n + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return power;
}
inline double power_of_two(int32_t n, double) {
  const uint64_t bits = static_cast<uint64_t>(static_cast<uint32_t>(n + 1023)) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return power;
}
template <class T>
inline T scaled(T p, T t, T magic) {
  if (!(t == t)) return t;
  const int32_t n = static_cast<int32_t>(t - magic), half = n >> 1;
  return (p * power_of_two(half, T(0))) * power_of_two(n - half, T(0));
}
template <int Step, class T>
inline T mirrored(T a) {
  return a;
}
template <class T>
inline T where_less(T a, T b, T yes, T no) {
  return a < b ? yes : no;
}
template <class T>
inline T first_lane(T a) {
  return a;
}
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
