// Finding marked columns: 64 bytes become the bits of a word, and marked elements are packed together.
#pragma once

#include <stdint.h>
#include <string.h>

#if DG_ISA_AVX512 || DG_ISA_AVX2
#include <immintrin.h>
#endif

namespace deepgemm::DG_ISA {
namespace {

// Bit i is set where byte i, which is 0 or 1, is 1.
inline uint64_t marked64(const uint8_t* marks) {
#if DG_ISA_AVX512
  const __m512i line = _mm512_loadu_si512(marks);
  return _mm512_test_epi8_mask(line, line);
#elif DG_ISA_AVX2
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(marks));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(marks + 32));
  // A mark in bit 0 of a byte is moved to bit 7, where movemask looks.
  const uint32_t a = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_slli_epi16(low, 7)));
  const uint32_t b = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_slli_epi16(high, 7)));
  return a | static_cast<uint64_t>(b) << 32;
#else
  uint64_t found = 0;
  for (int i = 0; i < 8; ++i) {
    uint64_t word;
    memcpy(&word, marks + 8 * i, 8);
    // Byte k, counted from the lowest, goes to bit 56 + k: the shifts of the factor are 56 - 7 k.
    if (word != 0) found |= (word * 0x0102040810204080u >> 56) << (8 * i);
  }
  return found;
#endif
}

inline int lowest_bit(uint64_t word) {
#if defined(__GNUC__)
  return __builtin_ctzll(word);
#else
  int position = 0;
  while ((word >> position & 1) == 0) ++position;
  return position;
#endif
}

// Baselines without an instruction for it would call a function of the compiler's library.
inline int count_bits(uint64_t word) {
#if defined(__POPCNT__) || (defined(__GNUC__) && defined(__aarch64__))
  return __builtin_popcountll(word);
#else
  word -= word >> 1 & 0x5555555555555555u;
  word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<int>(word * 0x0101010101010101u >> 56);
#endif
}

// What a vector of accumulators can do with a mask of `lanes` bits; absent (lanes is 0) where the ISA
// cannot pack, and the caller walks over the bits.
template <class V, class I>
struct Packer {
  static constexpr int lanes = 0;
};

#if DG_ISA_AVX512
// vpcompress to memory is microcode on Zen 4, to a register it is two operations: so a full vector is
// stored, and the next one overwrites its tail.
template <>
struct Packer<float, int32_t> {
  static constexpr int lanes = 16;
  static void pack(uint32_t mask, const float* sums, int64_t column, int32_t* columns, float* values) {
    const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 m = static_cast<__mmask16>(mask);
    const __m512i all = _mm512_add_epi32(iota, _mm512_set1_epi32(static_cast<int32_t>(column)));
    _mm512_storeu_si512(columns, _mm512_maskz_compress_epi32(m, all));
    _mm512_storeu_ps(values, _mm512_maskz_compress_ps(m, _mm512_loadu_ps(sums)));
  }
  static uint32_t above(const float* sums, float bound) {
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(sums), _mm512_set1_ps(bound), _CMP_GT_OQ);
  }
  static void clear(float* sums) { _mm512_storeu_ps(sums, _mm512_setzero_ps()); }
};

template <>
struct Packer<float, int64_t> : Packer<float, int32_t> {
  static void pack(uint32_t mask, const float* sums, int64_t column, int64_t* columns, float* values) {
    const __m512i iota = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i low = _mm512_add_epi64(iota, _mm512_set1_epi64(column));
    const __m512i high = _mm512_add_epi64(iota, _mm512_set1_epi64(column + 8));
    const __mmask8 first = static_cast<__mmask8>(mask & 0xff), second = static_cast<__mmask8>(mask >> 8);
    _mm512_storeu_si512(columns, _mm512_maskz_compress_epi64(first, low));
    _mm512_storeu_si512(columns + count_bits(first), _mm512_maskz_compress_epi64(second, high));
    const __mmask16 m = static_cast<__mmask16>(mask);
    _mm512_storeu_ps(values, _mm512_maskz_compress_ps(m, _mm512_loadu_ps(sums)));
  }
};

template <>
struct Packer<double, int32_t> {
  static constexpr int lanes = 8;
  static void pack(uint32_t mask, const double* sums, int64_t column, int32_t* columns, double* values) {
    const __m256i iota = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __mmask8 m = static_cast<__mmask8>(mask);
    const __m256i all = _mm256_add_epi32(iota, _mm256_set1_epi32(static_cast<int32_t>(column)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(columns), _mm256_maskz_compress_epi32(m, all));
    _mm512_storeu_pd(values, _mm512_maskz_compress_pd(m, _mm512_loadu_pd(sums)));
  }
  static uint32_t above(const double* sums, double bound) {
    return _mm512_cmp_pd_mask(_mm512_loadu_pd(sums), _mm512_set1_pd(bound), _CMP_GT_OQ);
  }
  static void clear(double* sums) { _mm512_storeu_pd(sums, _mm512_setzero_pd()); }
};

template <>
struct Packer<double, int64_t> : Packer<double, int32_t> {
  static void pack(uint32_t mask, const double* sums, int64_t column, int64_t* columns, double* values) {
    const __m512i iota = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __mmask8 m = static_cast<__mmask8>(mask);
    const __m512i all = _mm512_add_epi64(iota, _mm512_set1_epi64(column));
    _mm512_storeu_si512(columns, _mm512_maskz_compress_epi64(m, all));
    _mm512_storeu_pd(values, _mm512_maskz_compress_pd(m, _mm512_loadu_pd(sums)));
  }
};
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
