// Half a register of elements that are stored narrower than they are computed with.
#pragma once

#include "simd/storage.h"

namespace deepgemm::DG_ISA {
namespace {

template <class T, class S>
struct HalfStorage {
  static typename HalfSimd<T>::vec load(const S* p) {
#if DG_ISA_AVX512
    if constexpr (sizeof(S) < sizeof(T)) return widen_half(p);
#else
    if constexpr (sizeof(S) < sizeof(T)) return Storage<T, S>::load(p);
#endif
    else
      return HalfSimd<T>::load(p);
  }

#if DG_ISA_AVX512
 private:
  static __m128i bits(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256 widen_half(const Float16* p) { return _mm256_cvtph_ps(bits(p)); }
  static __m256 widen_half(const BFloat16* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits(p)), 16));
  }
  static __m256 widen_half(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
#endif
};

}  // namespace
}  // namespace deepgemm::DG_ISA
