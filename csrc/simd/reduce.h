// Sums across the lanes of many vectors at once, by the tree that halves: l + W/2, ..., l + 2, l + 1.
#pragma once

namespace deepgemm::DG_ISA {
namespace {

// Lane by lane.
#if DG_ISA_AVX512
inline __m512 sum(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
inline __m512d sum(__m512d a, __m512d b) { return _mm512_add_pd(a, b); }
#elif DG_ISA_AVX2
inline __m256 sum(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
inline __m256d sum(__m256d a, __m256d b) { return _mm256_add_pd(a, b); }
#else
inline float sum(float a, float b) { return a + b; }
inline double sum(double a, double b) { return a + b; }
#endif

// Lane i of the result is the tree over the lanes of rows[i]. Two vectors are halved by one addition, so a
// square of W vectors takes W - 1 additions instead of W trees; rows are paired so that sums end in order.
#if DG_ISA_AVX512
inline __m512 tree_of_lanes(const __m512 (&rows)[16]) {
  __m512 fours[4];
  for (int c = 0; c < 4; ++c) {  // rows c, c + 4, c + 8, c + 12, four lanes each
    const __m512 a = rows[c], b = rows[c + 4], d = rows[c + 8], e = rows[c + 12];
    const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 de = _mm512_add_ps(_mm512_shuffle_f32x4(d, e, 0x44), _mm512_shuffle_f32x4(d, e, 0xee));
    fours[c] = _mm512_add_ps(_mm512_shuffle_f32x4(ab, de, 0x88), _mm512_shuffle_f32x4(ab, de, 0xdd));
  }
  const __m512 even =
      _mm512_add_ps(_mm512_shuffle_ps(fours[0], fours[1], 0x44), _mm512_shuffle_ps(fours[0], fours[1], 0xee));
  const __m512 odd =
      _mm512_add_ps(_mm512_shuffle_ps(fours[2], fours[3], 0x44), _mm512_shuffle_ps(fours[2], fours[3], 0xee));
  return _mm512_add_ps(_mm512_shuffle_ps(even, odd, 0x88), _mm512_shuffle_ps(even, odd, 0xdd));
}

inline __m512d tree_of_lanes(const __m512d (&rows)[8]) {
  __m512d twos[2];
  for (int c = 0; c < 2; ++c) {  // rows c, c + 2, c + 4, c + 6, two lanes each
    const __m512d a = rows[c], b = rows[c + 2], d = rows[c + 4], e = rows[c + 6];
    const __m512d ab = _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x44), _mm512_shuffle_f64x2(a, b, 0xee));
    const __m512d de = _mm512_add_pd(_mm512_shuffle_f64x2(d, e, 0x44), _mm512_shuffle_f64x2(d, e, 0xee));
    twos[c] = _mm512_add_pd(_mm512_shuffle_f64x2(ab, de, 0x88), _mm512_shuffle_f64x2(ab, de, 0xdd));
  }
  return _mm512_add_pd(_mm512_unpacklo_pd(twos[0], twos[1]), _mm512_unpackhi_pd(twos[0], twos[1]));
}
#elif DG_ISA_AVX2
inline __m256 tree_of_lanes(const __m256 (&rows)[8]) {
  __m256 fours[4];
  for (int c = 0; c < 4; ++c) {  // rows c and c + 4, four lanes each
    fours[c] = _mm256_add_ps(_mm256_permute2f128_ps(rows[c], rows[c + 4], 0x20),
                             _mm256_permute2f128_ps(rows[c], rows[c + 4], 0x31));
  }
  const __m256 even =
      _mm256_add_ps(_mm256_shuffle_ps(fours[0], fours[1], 0x44), _mm256_shuffle_ps(fours[0], fours[1], 0xee));
  const __m256 odd =
      _mm256_add_ps(_mm256_shuffle_ps(fours[2], fours[3], 0x44), _mm256_shuffle_ps(fours[2], fours[3], 0xee));
  return _mm256_add_ps(_mm256_shuffle_ps(even, odd, 0x88), _mm256_shuffle_ps(even, odd, 0xdd));
}

inline __m256d tree_of_lanes(const __m256d (&rows)[4]) {
  __m256d twos[2];
  for (int c = 0; c < 2; ++c) {  // rows c and c + 2, two lanes each
    twos[c] = _mm256_add_pd(_mm256_permute2f128_pd(rows[c], rows[c + 2], 0x20),
                            _mm256_permute2f128_pd(rows[c], rows[c + 2], 0x31));
  }
  return _mm256_add_pd(_mm256_unpacklo_pd(twos[0], twos[1]), _mm256_unpackhi_pd(twos[0], twos[1]));
}
#else
template <class T>
inline T tree_of_lanes(const T (&rows)[1]) {
  return rows[0];
}
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
