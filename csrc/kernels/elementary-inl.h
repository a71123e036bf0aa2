// exp, log, erf and tanh as deepgemm/stated/elementary.py writes them down, the same sequence on every ISA.
//
// Counts, for a vector: exp 9 multiply-adds for float and 14 for double, and six simpler operations; tanh one
// more and a division; erf 14 and 32 beside an exp, because it takes both of its branches; log 5 and 8 and a
// division beside taking its argument apart.
#pragma once

#include <math.h>

#include "kernels/common-inl.h"
#include "simd/arith.h"
#include "simd/reduce.h"

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
  static constexpr float lowest = -104.0f, highest = 89.0f, least_normal = 0x1p-126f, least = 0x1p-149f,
                         largest = 0x1.fffffep127f, lifting = 0x1p25f;
  static constexpr int exp_terms = 5, log_terms = 4;
  static constexpr float exp[exp_terms] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f, 0x1.1239e2p-7f,
                                           0x1.6a242ep-10f};
  static constexpr float log[log_terms] = {0x1.555554p-1f, 0x1.999a7ap-2f, 0x1.2438cep-2f, 0x1.e2f7e0p-3f};
  static constexpr Bits root_half = 0x3f3504f3;
  static constexpr float erf_end = 3.925f, tanh_end = 9.125f;
  static constexpr int erf_terms = 7, erfc_terms = 7;
  static constexpr float erf[erf_terms] = {0x1.06eba8p-3f, -0x1.81273ep-2f,  0x1.ce2cf8p-4f, -0x1.b7f90ep-6f,
                                           0x1.5405b2p-8f, -0x1.a3f700p-11f, 0x1.496a30p-14f};
  static constexpr float erfc[erfc_terms] = {0x1.575b32p+2f,  0x1.1ac320p+2f,  0x1.d8f62ap-1f,
                                             0x1.0e20a2p-6f,  -0x1.d07a3ep-9f, 0x1.75ac38p-11f,
                                             -0x1.852c40p-13f};
};

template <>
struct Elementary<double> {
  using Bits = int64_t;
  static constexpr int fraction_bits = 52, lift = 54;
  static constexpr double magic = 0x1.8p52, log2e = 0x1.71547652b82fep+0;
  static constexpr double ln2_high = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;
  static constexpr double lowest = -746.0, highest = 710.0, least_normal = 0x1p-1022, least = 0x1p-1074,
                          largest = 0x1.fffffffffffffp1023, lifting = 0x1p54;
  static constexpr int exp_terms = 10, log_terms = 7;
  static constexpr double exp[exp_terms] = {
      0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.555555555087dp-5,  0x1.1111111127be6p-7,
      0x1.6c16c1842a09fp-10, 0x1.a01a012a57064p-13, 0x1.a0199a0c78972p-16, 0x1.71df255430ed3p-19,
      0x1.28ad72bf7e407p-22, 0x1.ad7f6b5dc2ef6p-26};
  static constexpr double log[log_terms] = {0x1.5555555555592p-1, 0x1.999999997fd37p-2, 0x1.24924941f8ce2p-2,
                                            0x1.c71c5202b789bp-3, 0x1.7466405aa83bdp-3, 0x1.39a1935b55c1cp-3,
                                            0x1.2f0703f150ccbp-3};
  static constexpr Bits root_half = 0x3fe6a09e667f3bcc;
  static constexpr double erf_end = 5.93, tanh_end = 19.125;
  static constexpr int erf_terms = 13, erfc_terms = 19;
  static constexpr double erf[erf_terms] = {
      0x1.06eba8214db69p-3,  -0x1.812746b0379e6p-2,  0x1.ce2f21a042b20p-4,  -0x1.b82ce3128499dp-6,
      0x1.565bcd0db02f5p-8,  -0x1.c02db3d8ed52fp-11, 0x1.f9a321a122eaep-14, -0x1.f4d1df39a88e3p-17,
      0x1.b9def1a25d43cp-20, -0x1.5f1d36e57e9d3p-23, 0x1.f7a41391f2137p-27, -0x1.386ac4ca4337ap-30,
      0x1.0579b4df66246p-34};
  static constexpr double erfc[erfc_terms] = {
      0x1.575b329b1f516p+2,   0x1.1ac3258a8dc2fp+2,   0x1.d8f5dece9248cp-1,   0x1.0dc3b5fb0bfb7p-6,
      -0x1.d406b3751bdbap-9,  0x1.7ffcfb4673003p-11,  -0x1.1bc3a55c28758p-13, 0x1.5b65735c4b523p-16,
      -0x1.0604de35a4a1ep-19, -0x1.b551a721643efp-23, 0x1.73f4621a092dap-23,  -0x1.f0796782aca68p-25,
      0x1.df572f19d094bp-27,  -0x1.5cf977f2f57aap-29, 0x1.2d9cff82a6ff2p-32,  0x1.7b03f11474847p-35,
      -0x1.48ab8d959bf63p-35, 0x1.63bc494ab4bdcp-37,  -0x1.246baaf2fa734p-40};
};

template <int Terms, class T>
DG_INLINE typename Simd<T>::vec horner(const T (&coefficients)[Terms], typename Simd<T>::vec x) {
  using V = Simd<T>;
  typename V::vec p = V::set1(coefficients[Terms - 1]);
  DG_UNROLL
  for (int i = Terms - 2; i >= 0; --i) p = V::fma(p, x, V::set1(coefficients[i]));
  return p;
}

// x = n ln 2 + r, where t is n + magic; p is (e^r - 1 - r) / r^2.
template <class T>
struct TakenApart {
  typename Simd<T>::vec t, r, p;
};

template <class T>
DG_INLINE TakenApart<T> taken_apart(typename Simd<T>::vec x) {
  using V = Simd<T>;
  using E = Elementary<T>;
  const typename V::vec t = V::fma(x, V::set1(E::log2e), V::set1(E::magic));
  const typename V::vec n = difference(t, V::set1(E::magic));
  const typename V::vec r = V::fnma(n, V::set1(E::ln2_low), V::fnma(n, V::set1(E::ln2_high), x));
  return {t, r, horner<E::exp_terms, T>(E::exp, r)};
}

template <class T>
DG_INLINE typename Simd<T>::vec exponential(typename Simd<T>::vec argument) {
  using V = Simd<T>;
  using E = Elementary<T>;
  const auto [t, r, p] = taken_apart<T>(clamped(argument, E::lowest, E::highest));
  const typename V::vec one = V::set1(T(1));
  return scaled(V::fma(V::fma(p, r, one), r, one), t, E::magic);
}

template <class T>
DG_INLINE typename Simd<T>::vec magnitude(typename Simd<T>::vec x) {
  return larger(x, difference(Simd<T>::zero(), x));
}

// A result for |x| with the sign of x.
template <class T>
DG_INLINE typename Simd<T>::vec with_sign(typename Simd<T>::vec x, typename Simd<T>::vec result) {
  const typename Simd<T>::vec zero = Simd<T>::zero();
  return where_less(x, zero, difference(zero, result), result);
}

template <class T>
DG_INLINE typename Simd<T>::vec error_function(typename Simd<T>::vec x) {
  using V = Simd<T>;
  using E = Elementary<T>;
  const typename V::vec one = V::set1(T(1)), a = smaller(magnitude<T>(x), V::set1(E::erf_end));
  const typename V::vec near = V::fma(a, horner<E::erf_terms, T>(E::erf, product(a, a)), a);
  const typename V::vec q = horner<E::erfc_terms, T>(E::erfc, difference(a, V::set1(T(2))));
  const typename V::vec far = difference(one, exponential<T>(difference(V::zero(), q)));
  return with_sign<T>(x, where_less(a, one, near, far));
}

template <class T>
DG_INLINE typename Simd<T>::vec hyperbolic_tangent(typename Simd<T>::vec x) {
  using V = Simd<T>;
  using E = Elementary<T>;
  const typename V::vec one = V::set1(T(1)), a = smaller(magnitude<T>(x), V::set1(E::tanh_end));
  const auto [t, r, p] = taken_apart<T>(product(a, V::set1(T(-2))));
  const typename V::vec q = V::fma(product(p, r), r, r), power = scaled(one, t, E::magic);
  const typename V::vec m = V::fma(q, power, difference(power, one));
  const typename V::vec below = difference(V::set1(T(-2)), m);  // -(2 + m)
  return with_sign<T>(x, quotient(m, below));
}

// x = f 2^k with f from sqrt(1/2) to sqrt(2), by the bits of x; what is subnormal is lifted before. Loops
// over lanes, which compilers turn into integer vectors.
template <class T>
DG_INLINE void split_powers(typename Simd<T>::vec x, typename Simd<T>::vec& f, typename Simd<T>::vec& k) {
  using V = Simd<T>;
  using E = Elementary<T>;
  using Bits = typename E::Bits;
  T from[V::width], factors[V::width], powers[V::width];
  V::store(from, x);
  for (int l = 0; l < V::width; ++l) {
    const bool small = from[l] < E::least_normal;
    const T lifted = small ? from[l] * E::lifting : from[l];
    Bits bits;
    memcpy(&bits, &lifted, sizeof bits);
    const Bits exponent = (bits - E::root_half) >> E::fraction_bits;
    bits -= exponent * (Bits(1) << E::fraction_bits);
    memcpy(&factors[l], &bits, sizeof bits);
    powers[l] = static_cast<T>(exponent - (small ? E::lift : 0));
  }
  f = V::load(factors);
  k = V::load(powers);
}

template <class T>
DG_INLINE typename Simd<T>::vec logarithm(typename Simd<T>::vec x) {
  using V = Simd<T>;
  using E = Elementary<T>;
  using vec = typename V::vec;
  const vec zero = V::zero();
  vec f, k;
  split_powers<T>(x, f, k);
  f = difference(f, V::set1(T(1)));
  const vec h = product(product(V::set1(T(0.5)), f), f), s = quotient(f, sum(V::set1(T(2)), f));
  const vec z = product(s, s), q = horner<E::log_terms, T>(E::log, z);
  const vec t = V::fma(s, sum(h, product(z, q)), product(k, V::set1(E::ln2_low)));
  const vec result = V::fma(k, V::set1(E::ln2_high), difference(f, difference(h, t)));
  // A difference of x with itself is 0 where x is a finite number, and else a nan, which inf must not become.
  const vec some = where_less(V::set1(E::largest), x, x, sum(result, difference(x, x)));
  const vec none = where_less(x, V::set1(E::least), V::set1(static_cast<T>(-INFINITY)), some);
  return where_less(x, zero, V::set1(static_cast<T>(NAN)), none);
}

}  // namespace
}  // namespace deepgemm::DG_ISA
