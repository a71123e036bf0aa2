// Vectors of one element, for any CPU; fma comes from the C library where the hardware has none.
#pragma once

#include <math.h>
#include <stdint.h>

namespace deepgemm::DG_ISA {
namespace {

inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return fma(a, b, c); }

template <class T>
struct Simd {
  using vec = T;
  static constexpr int width = 1;
  static constexpr int registers = 16;

  static vec zero() { return T(0); }
  static vec set1(T a) { return a; }
  static vec load(const T* p) { return *p; }
  static vec load_n(const T* p, int n) { return n > 0 ? *p : T(0); }
  static void store(T* p, vec a) { *p = a; }
  static void store_n(T* p, vec a, int n) {
    if (n > 0) *p = a;
  }
  static vec fma(vec a, vec b, vec c) { return fused(a, b, c); }
  static vec fnma(vec a, vec b, vec c) { return fused(-a, b, c); }
  // Lanes at or past n keep `c`.
  static vec fma_n(vec a, vec b, vec c, int n) { return n > 0 ? fused(a, b, c) : c; }
};

// Vectors of one pair, the smallest that can hold a complex number.
template <class T>
struct PairSimd {
  struct vec {
    T re, im;
  };
  static constexpr int width = 2;
  static constexpr int registers = 16;

  static vec zero() { return {T(0), T(0)}; }
  static vec set1(T a) { return {a, a}; }
  static vec set2(T re, T im) { return {re, im}; }
  static vec load(const T* p) { return {p[0], p[1]}; }
  static vec load_n(const T* p, int n) { return n > 0 ? load(p) : zero(); }
  static void store(T* p, vec a) {
    p[0] = a.re;
    p[1] = a.im;
  }
  static void store_n(T* p, vec a, int n) {
    if (n > 0) store(p, a);
  }
  static vec fma(vec a, vec b, vec c) { return {fused(a.re, b.re, c.re), fused(a.im, b.im, c.im)}; }
  static vec swap2(vec a) { return {a.im, a.re}; }
  static vec even(vec a) { return {a.re, a.re}; }
  static vec odd(vec a) { return {a.im, a.im}; }
};

// Registers are narrow enough as they are.
template <class T>
using HalfSimd = Simd<T>;

}  // namespace
}  // namespace deepgemm::DG_ISA
