// One step of a chain over single entries, real or complex, and a factor rounded before it.
#pragma once

#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <class T>
struct RealChain {
  using Value = T;
  static constexpr bool real = true;
  static DG_INLINE T step(T a, T b, T sum) { return fused(a, b, sum); }
  static DG_INLINE T times(T a, T b) { return a * b; }
};

template <class T>
struct Pair {
  T re, im;
};

template <class T>
struct ComplexChain {
  using Value = Pair<T>;
  static constexpr bool real = false;
  static DG_INLINE Value step(Value a, Value b, Value sum) {
    return {fused(-a.im, b.im, fused(a.re, b.re, sum.re)), fused(a.im, b.re, fused(a.re, b.im, sum.im))};
  }
  // Each real product and each sum is rounded.
  static DG_INLINE Value times(Value a, Value b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
};

}  // namespace
}  // namespace deepgemm::DG_ISA
