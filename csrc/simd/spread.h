// Lanes picked from near places in memory, for operands whose elements are used by several lanes.
#pragma once

#include <stdint.h>

namespace deepgemm::DG_ISA {
namespace {

// What lanes are picked by.
template <class T>
struct PlaceOf {
  using type = int32_t;
};
template <>
struct PlaceOf<double> {
  using type = int64_t;
};
template <class T>
using Place = typename PlaceOf<T>::type;

// Lane l is p[at[l]], each of them less than `Vectors` times the width; so much is read.
#if DG_ISA_AVX512
template <int Vectors>
inline __m512 spread(const float* p, const int32_t* at) {
  const __m512i places = _mm512_loadu_si512(at);
  if constexpr (Vectors == 1) return _mm512_permutexvar_ps(places, _mm512_loadu_ps(p));
  return _mm512_permutex2var_ps(_mm512_loadu_ps(p), places, _mm512_loadu_ps(p + 16));
}
template <int Vectors>
inline __m512d spread(const double* p, const int64_t* at) {
  const __m512i places = _mm512_loadu_si512(at);
  if constexpr (Vectors == 1) return _mm512_permutexvar_pd(places, _mm512_loadu_pd(p));
  return _mm512_permutex2var_pd(_mm512_loadu_pd(p), places, _mm512_loadu_pd(p + 8));
}
#else
template <int Vectors, class T>
inline typename Simd<T>::vec spread(const T* p, const Place<T>* at) {
  T picked[Simd<T>::width];
  for (int l = 0; l < Simd<T>::width; ++l) picked[l] = p[at[l]];
  return Simd<T>::load(picked);
}
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
