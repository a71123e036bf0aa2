// Vectors of 32-bit sums, and the step that adds four products of 8-bit numbers to each: a unsigned, b
// signed.
//
// vpmaddubsw would add pairs in 16 bits with saturation, so products are summed from 16-bit factors; vpdpbusd
// does the whole step, and wraps like the additions it stands for.
#pragma once

#include <stdint.h>
#include <string.h>

namespace deepgemm::DG_ISA {
namespace {

#if DG_ISA_AVX512

template <class T>
struct Integers {
  using vec = __m512i;
  static constexpr int width = 16;
  static constexpr int registers = 32;

  static __mmask16 first(int n) { return Simd<float>::first(n); }
  static vec zero() { return _mm512_setzero_si512(); }
  static vec set1(T a) { return _mm512_set1_epi32(static_cast<int32_t>(a)); }
  static vec load(const T* p) { return _mm512_loadu_si512(p); }
  static vec load_n(const T* p, int n) { return _mm512_maskz_loadu_epi32(first(n), p); }
  static void store(T* p, vec a) { _mm512_storeu_si512(p, a); }
  static void store_n(T* p, vec a, int n) { _mm512_mask_storeu_epi32(p, first(n), a); }
  static vec add(vec a, vec b) { return _mm512_add_epi32(a, b); }
  static vec turned(vec a, vec bits) { return _mm512_xor_si512(a, bits); }
};

// Rows of 64 bytes become vectors of words of four bytes, one of each row: vector q has, in its part p of
// 16 bytes, columns 16 p + 4 q to 16 p + 4 q + 3.
template <class T>
inline void interleave_bytes(__m512i (&rows)[4]) {
  const __m512i low = _mm512_unpacklo_epi8(rows[0], rows[1]), high = _mm512_unpackhi_epi8(rows[0], rows[1]);
  const __m512i low2 = _mm512_unpacklo_epi8(rows[2], rows[3]), high2 = _mm512_unpackhi_epi8(rows[2], rows[3]);
  rows[0] = _mm512_unpacklo_epi16(low, low2);
  rows[1] = _mm512_unpackhi_epi16(low, low2);
  rows[2] = _mm512_unpacklo_epi16(high, high2);
  rows[3] = _mm512_unpackhi_epi16(high, high2);
}

template <>
struct Simd<int32_t> : Integers<int32_t> {
  static vec fma(vec a, vec b, vec c) {
    const vec a_even = _mm512_and_si512(a, _mm512_set1_epi16(0xff)), a_odd = _mm512_srli_epi16(a, 8);
    const vec b_even = _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8), b_odd = _mm512_srai_epi16(b, 8);
    c = _mm512_add_epi32(c, _mm512_madd_epi16(a_even, b_even));
    return _mm512_add_epi32(c, _mm512_madd_epi16(a_odd, b_odd));
  }
};

#if defined(__GNUC__)
// Sums on a CPU that has VNNI. The object is compiled for those without it too, so that the instruction is
// named to the assembler alone; who runs it has looked for the feature.
enum class Vnni : int32_t {};

template <>
struct Simd<Vnni> : Integers<Vnni> {
  static vec fma(vec a, vec b, vec c) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
  }
};
#define DG_HAS_VNNI 1
#endif

#elif DG_ISA_AVX2

template <>
struct Simd<int32_t> {
  using vec = __m256i;
  static constexpr int width = 8;
  static constexpr int registers = 16;

  static vec zero() { return _mm256_setzero_si256(); }
  static vec set1(int32_t a) { return _mm256_set1_epi32(a); }
  static vec load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const vec*>(p)); }
  static vec load_n(const int32_t* p, int n) { return _mm256_maskload_epi32(p, Simd<float>::first(n)); }
  static void store(int32_t* p, vec a) { _mm256_storeu_si256(reinterpret_cast<vec*>(p), a); }
  static void store_n(int32_t* p, vec a, int n) { _mm256_maskstore_epi32(p, Simd<float>::first(n), a); }
  static vec add(vec a, vec b) { return _mm256_add_epi32(a, b); }
  static vec turned(vec a, vec bits) { return _mm256_xor_si256(a, bits); }
  static vec fma(vec a, vec b, vec c) {
    const vec a_even = _mm256_and_si256(a, _mm256_set1_epi16(0xff)), a_odd = _mm256_srli_epi16(a, 8);
    const vec b_even = _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8), b_odd = _mm256_srai_epi16(b, 8);
    c = _mm256_add_epi32(c, _mm256_madd_epi16(a_even, b_even));
    return _mm256_add_epi32(c, _mm256_madd_epi16(a_odd, b_odd));
  }
};

// As for AVX-512, rows of 32 bytes.
template <class T>
inline void interleave_bytes(__m256i (&rows)[4]) {
  const __m256i low = _mm256_unpacklo_epi8(rows[0], rows[1]), high = _mm256_unpackhi_epi8(rows[0], rows[1]);
  const __m256i low2 = _mm256_unpacklo_epi8(rows[2], rows[3]), high2 = _mm256_unpackhi_epi8(rows[2], rows[3]);
  rows[0] = _mm256_unpacklo_epi16(low, low2);
  rows[1] = _mm256_unpackhi_epi16(low, low2);
  rows[2] = _mm256_unpacklo_epi16(high, high2);
  rows[3] = _mm256_unpackhi_epi16(high, high2);
}

#else

template <>
struct Simd<int32_t> {
  using vec = int32_t;
  static constexpr int width = 1;
  static constexpr int registers = 16;

  static vec zero() { return 0; }
  static vec set1(int32_t a) { return a; }
  static vec load(const int32_t* p) { return *p; }
  static vec load_n(const int32_t* p, int n) { return n > 0 ? *p : 0; }
  static void store(int32_t* p, vec a) { *p = a; }
  static void store_n(int32_t* p, vec a, int n) {
    if (n > 0) *p = a;
  }
  static vec add(vec a, vec b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));  // wraps, as vectors do
  }
  static vec turned(vec a, vec bits) { return a ^ bits; }
  static vec fma(vec a, vec b, vec c) {
    uint8_t left[4];
    int8_t right[4];
    memcpy(left, &a, sizeof left);
    memcpy(right, &b, sizeof right);
    uint32_t sum = static_cast<uint32_t>(c);  // wraps, as vectors do
    for (int i = 0; i < 4; ++i) sum += static_cast<uint32_t>(left[i] * right[i]);
    return static_cast<int32_t>(sum);
  }
};

// Rows of four bytes become words of columns.
template <class T>
inline void interleave_bytes(int32_t (&rows)[4]) {
  uint8_t from[4][4], to[4][4];
  memcpy(from, rows, sizeof from);
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) to[j][i] = from[i][j];
  }
  memcpy(rows, to, sizeof to);
}

#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
