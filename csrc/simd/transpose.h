// Square transposes in registers, for packing operands whose vectors run the other way.
#pragma once

namespace deepgemm::DG_ISA {
namespace {

// rows[i][j] becomes rows[j][i].
#if DG_ISA_AVX512
inline void transpose(__m512 (&rows)[16]) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 4) {
    const __m512 a = _mm512_unpacklo_ps(rows[i], rows[i + 1]), b = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    const __m512 c = _mm512_unpacklo_ps(rows[i + 2], rows[i + 3]);
    const __m512 d = _mm512_unpackhi_ps(rows[i + 2], rows[i + 3]);
    t[i] = _mm512_shuffle_ps(a, c, 0x44);
    t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
    t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
  }
  // t[4g + q] holds, in 128-bit lane l, column 4l + q of rows 4g .. 4g + 3.
  for (int q = 0; q < 4; ++q) {
    const __m512 a = _mm512_shuffle_f32x4(t[q], t[4 + q], 0x44);
    const __m512 b = _mm512_shuffle_f32x4(t[q], t[4 + q], 0xee);
    const __m512 c = _mm512_shuffle_f32x4(t[8 + q], t[12 + q], 0x44);
    const __m512 d = _mm512_shuffle_f32x4(t[8 + q], t[12 + q], 0xee);
    rows[q] = _mm512_shuffle_f32x4(a, c, 0x88);
    rows[4 + q] = _mm512_shuffle_f32x4(a, c, 0xdd);
    rows[8 + q] = _mm512_shuffle_f32x4(b, d, 0x88);
    rows[12 + q] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}

inline void transpose(__m512d (&rows)[8]) {
  __m512d t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_pd(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_pd(rows[i], rows[i + 1]);
  }
  // t[2g + q] holds, in 128-bit lane l, column 2l + q of rows 2g and 2g + 1.
  for (int q = 0; q < 2; ++q) {
    const __m512d a = _mm512_shuffle_f64x2(t[q], t[2 + q], 0x44);
    const __m512d b = _mm512_shuffle_f64x2(t[q], t[2 + q], 0xee);
    const __m512d c = _mm512_shuffle_f64x2(t[4 + q], t[6 + q], 0x44);
    const __m512d d = _mm512_shuffle_f64x2(t[4 + q], t[6 + q], 0xee);
    rows[q] = _mm512_shuffle_f64x2(a, c, 0x88);
    rows[2 + q] = _mm512_shuffle_f64x2(a, c, 0xdd);
    rows[4 + q] = _mm512_shuffle_f64x2(b, d, 0x88);
    rows[6 + q] = _mm512_shuffle_f64x2(b, d, 0xdd);
  }
}
#endif

#if DG_ISA_AVX2 || DG_ISA_AVX512
inline void transpose(__m256 (&rows)[8]) {
  __m256 t[8];
  for (int i = 0; i < 8; i += 4) {
    const __m256 a = _mm256_unpacklo_ps(rows[i], rows[i + 1]), b = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    const __m256 c = _mm256_unpacklo_ps(rows[i + 2], rows[i + 3]);
    const __m256 d = _mm256_unpackhi_ps(rows[i + 2], rows[i + 3]);
    t[i] = _mm256_shuffle_ps(a, c, 0x44);
    t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
  for (int q = 0; q < 4; ++q) {
    rows[q] = _mm256_permute2f128_ps(t[q], t[4 + q], 0x20);
    rows[4 + q] = _mm256_permute2f128_ps(t[q], t[4 + q], 0x31);
  }
}

inline void transpose(__m256d (&rows)[4]) {
  const __m256d a = _mm256_unpacklo_pd(rows[0], rows[1]), b = _mm256_unpackhi_pd(rows[0], rows[1]);
  const __m256d c = _mm256_unpacklo_pd(rows[2], rows[3]), d = _mm256_unpackhi_pd(rows[2], rows[3]);
  rows[0] = _mm256_permute2f128_pd(a, c, 0x20);
  rows[1] = _mm256_permute2f128_pd(b, d, 0x20);
  rows[2] = _mm256_permute2f128_pd(a, c, 0x31);
  rows[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
#else
template <class T>
inline void transpose(T (&)[1]) {}
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
