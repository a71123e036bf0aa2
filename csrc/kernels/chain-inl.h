// One step of a chain over single entries, real or complex.
#pragma once

#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <class T>
struct RealChain {
  using Value = T;
  static constexpr bool real = true;
  static DG_INLINE T step(T a, T b, T sum) { return fused(a, b, sum); }
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
};

}  // namespace
}  // namespace deepgemm::DG_ISA
