// Vectors of float16 sums, two in each word, and the step that adds a product of float16 numbers to each.
//
// Of all that AVX512-FP16 has, vfmadd231ph suffices: what is left is moves of bits and vcvtph2ps of AVX-512F.
#pragma once

#include "simd/pairs.h"

namespace deepgemm::DG_ISA {
namespace {

// Named to the assembler alone, as in simd/pairs.h.
#if DG_ASSEMBLES_FP16
enum class HalfPair : uint32_t {};

template <>
struct Simd<HalfPair> : PairedWords<HalfPair> {
  static vec fma(vec a, vec b, vec c) {
    __asm__("vfmadd231ph %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
  }

  // Both sums of a word as one, which is added to the float32 `total`. Adding them in float16 takes seven
  // instructions (vpmovdw and vcvtph2ps are two each), widening each of them eleven. A rotation of 64 bits
  // also brings each odd sum to its even one; that of 32 made GCC 12 copy all sums to the stack first.
  static vec widened(vec sums, vec total) {
    const vec exchanged = _mm512_ror_epi64(sums, 16), ones = _mm512_set1_epi16(0x3c00);
    const vec joined = fma(sums, ones, exchanged);
    const __m512 wide = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(joined));
    return _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(total), wide));
  }

  static bool finite(const HalfPair* totals, int n) {
    constexpr int kInfiniteOrNan = 0x99;
    return _mm512_fpclass_ps_mask(_mm512_castsi512_ps(load_n(totals, n)), kInfiniteOrNan) == 0;
  }
};
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
