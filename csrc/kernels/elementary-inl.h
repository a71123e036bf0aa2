// exp and log as deepgemm/stated/elementary.py writes them down, the same sequence on every ISA.
//
// Counts, for a vector: exp 9 multiply-adds for float and 14 for double, and six simpler operations; log, of
// which there is one for each segment, runs on single elements.
#pragma once

#include <math.h>

#include "kernels/common-inl.h"
#include "simd/arith.h"

namespace deepgemm::DG_ISA {
namespace {

template <class T>
struct Elementary;

template <>
struct Elementary<float> {
  using Bits = int32_t;
  static constexpr int fraction_bits = 23, lift = 25;
  static constexpr float magic = 0x1.8p23f, log2e = 0x1.715476p+0f;
  static constexpr float ln2_high = 0x1.62e430p-1f, ln2_low = -0x1.05c610p-29f;
  static constexpr float lowest = -104.0f, highest = 89.0f, least_normal = 0x1p-126f, lifting = 0x1p25f;
  static constexpr int exp_terms = 5, log_terms = 4;
  static constexpr float exp[exp_terms] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f, 0x1.1239e2p-7f,
                                           0x1.6a242ep-10f};
  static constexpr float log[log_terms] = {0x1.555554p-1f, 0x1.999a7ap-2f, 0x1.2438cep-2f, 0x1.e2f7e0p-3f};
  static constexpr Bits root_half = 0x3f3504f3;
};

template <>
struct Elementary<double> {
  using Bits = int64_t;
  static constexpr int fraction_bits = 52, lift = 54;
  static constexpr double magic = 0x1.8p52, log2e = 0x1.71547652b82fep+0;
  static constexpr double ln2_high = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;
  static constexpr double lowest = -746.0, highest = 710.0, least_normal = 0x1p-1022, lifting = 0x1p54;
  static constexpr int exp_terms = 10, log_terms = 7;
  static constexpr double exp[exp_terms] = {
      0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.555555555087dp-5,  0x1.1111111127be6p-7,
      0x1.6c16c1842a09fp-10, 0x1.a01a012a57064p-13, 0x1.a0199a0c78972p-16, 0x1.71df255430ed3p-19,
      0x1.28ad72bf7e407p-22, 0x1.ad7f6b5dc2ef6p-26};
  static constexpr double log[log_terms] = {0x1.5555555555592p-1, 0x1.999999997fd37p-2, 0x1.24924941f8ce2p-2,
                                            0x1.c71c5202b789bp-3, 0x1.7466405aa83bdp-3, 0x1.39a1935b55c1cp-3,
                                            0x1.2f0703f150ccbp-3};
  static constexpr Bits root_half = 0x3fe6a09e667f3bcc;
};

template <class T>
DG_INLINE typename Simd<T>::vec exponential(typename Simd<T>::vec argument) {
  using V = Simd<T>;
  using E = Elementary<T>;
  const typename V::vec x = clamped(argument, E::lowest, E::highest);
  const typename V::vec t = V::fma(x, V::set1(E::log2e), V::set1(E::magic));
  const typename V::vec n = difference(t, V::set1(E::magic));
  const typename V::vec r = V::fnma(n, V::set1(E::ln2_low), V::fnma(n, V::set1(E::ln2_high), x));
  typename V::vec p = V::set1(E::exp[E::exp_terms - 1]);
  DG_UNROLL
  for (int i = E::exp_terms - 2; i >= 0; --i) p = V::fma(p, r, V::set1(E::exp[i]));
  p = V::fma(p, r, V::set1(T(1)));
  p = V::fma(p, r, V::set1(T(1)));
  return scaled(p, t, E::magic);
}

template <class T>
inline T logarithm(T x) {
  using E = Elementary<T>;
  using Bits = typename E::Bits;
  if (x != x || x < T(0)) return static_cast<T>(NAN);
  if (x == T(0)) return static_cast<T>(-INFINITY);
  if (x == static_cast<T>(INFINITY)) return x;
  const bool small = x < E::least_normal;
  const T lifted = small ? x * E::lifting : x;
  Bits bits;
  memcpy(&bits, &lifted, sizeof bits);
  const Bits exponent = (bits - E::root_half) >> E::fraction_bits;
  bits -= exponent * (Bits(1) << E::fraction_bits);
  T f;
  memcpy(&f, &bits, sizeof f);
  f -= T(1);
  const T k = static_cast<T>(exponent - (small ? E::lift : 0));
  const T h = (T(0.5) * f) * f, s = f / (T(2) + f), z = s * s;
  T q = E::log[E::log_terms - 1];
  for (int i = E::log_terms - 2; i >= 0; --i) q = fused(q, z, E::log[i]);
  const T t = fused(s, h + z * q, k * E::ln2_low);
  return fused(k, E::ln2_high, f - (h - t));
}

}  // namespace
}  // namespace deepgemm::DG_ISA
