// Vectors of float32 sums, and the step that adds two products of bfloat16 numbers to each.
//
// vdpbf16ps rounds after each of the two, as it likes, and takes subnormal numbers for zero: no stated order.
#pragma once

#include <stdint.h>

namespace deepgemm::DG_ISA {
namespace {

#if DG_ISA_AVX512 && defined(__GNUC__)
// The object is compiled for CPUs without the instruction too, so that it is named to the assembler alone;
// who runs it has looked for the feature.
enum class Pair : uint32_t {};

template <>
struct Simd<Pair> {
  using vec = __m512;
  static constexpr int width = 16;
  static constexpr int registers = 32;

  static vec zero() { return _mm512_setzero_ps(); }
  static vec set1(Pair a) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int32_t>(a))); }
  static vec load(const Pair* p) { return _mm512_loadu_ps(p); }
  static vec load_n(const Pair* p, int n) { return _mm512_maskz_loadu_ps(Simd<float>::first(n), p); }
  static void store(Pair* p, vec a) { _mm512_storeu_ps(p, a); }
  static void store_n(Pair* p, vec a, int n) { _mm512_mask_storeu_ps(p, Simd<float>::first(n), a); }
  static vec fma(vec a, vec b, vec c) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
  }
};
#define DG_HAS_PAIRS 1
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
