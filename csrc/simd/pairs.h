// Vectors of words that hold two 16-bit numbers, or a float32 sum; and the step that adds two products of
// bfloat16 numbers to each sum.
//
// vdpbf16ps rounds after each of the two, as it likes, and takes subnormal numbers for zero: no stated order.
#pragma once

#include <stdint.h>

namespace deepgemm::DG_ISA {
namespace {

#if DG_ISA_AVX512
template <class Word>
struct PairedWords {
  using vec = __m512i;
  static constexpr int width = 16;
  static constexpr int registers = 32;

  static vec zero() { return _mm512_setzero_si512(); }
  static vec set1(Word a) { return _mm512_set1_epi32(static_cast<int32_t>(a)); }
  static vec load(const Word* p) { return _mm512_loadu_si512(p); }
  static vec load_n(const Word* p, int n) { return _mm512_maskz_loadu_epi32(Simd<float>::first(n), p); }
  static void store(Word* p, vec a) { _mm512_storeu_si512(p, a); }
  static void store_n(Word* p, vec a, int n) { _mm512_mask_storeu_epi32(p, Simd<float>::first(n), a); }
};
#endif

// The object is compiled for CPUs without the instruction too, so that it is named to the assembler alone,
// where CMakeLists.txt has found that it knows it; who runs it has looked for the feature.
#if DG_ASSEMBLES_BF16
enum class Pair : uint32_t {};

template <>
struct Simd<Pair> : PairedWords<Pair> {
  static vec fma(vec a, vec b, vec c) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
  }
};
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
