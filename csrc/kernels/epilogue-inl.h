// The last steps of a dense product, as deepgemm/stated/epilogue.py writes them down.
//
// Counts for a vector: a load and a store, one multiply-add or multiplication for each term that is there;
// the activations cost an exp or an erf, see elementary-inl.h. It runs on what a task has just finished,
// which is still in its L1 or L2.
#pragma once

#include "core/epilogue.h"
#include "kernels/elementary-inl.h"
#include "simd/storage.h"

namespace deepgemm::DG_ISA {
namespace {

template <class T, Activation Kind>
DG_INLINE typename Simd<T>::vec activated(typename Simd<T>::vec x) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr T kLowestGelu = T(-40), kHighest = static_cast<T>(INFINITY);
  const vec zero = V::zero(), one = V::set1(T(1)), half = V::set1(T(0.5));
  if constexpr (Kind == Activation::relu) return where_less(x, zero, zero, x);
  if constexpr (Kind == Activation::gelu) {
    const vec y = clamped(x, kLowestGelu, kHighest), h = product(half, y);
    return V::fma(h, error_function<T>(product(y, V::set1(T(0x1.6a09e667f3bcdp-1)))), h);
  }
  if constexpr (Kind == Activation::gelu_tanh) {
    const vec y = clamped(x, kLowestGelu, kHighest), h = product(half, y);
    const vec inner = V::fma(product(V::set1(T(0.044715)), product(y, y)), y, y);
    return V::fma(h, hyperbolic_tangent<T>(product(V::set1(T(0x1.9884533d43651p-1)), inner)), h);
  }
  if constexpr (Kind == Activation::silu) {
    const vec y = clamped(x, Elementary<T>::lowest, kHighest);
    const vec e = exponential<T>(difference(zero, magnitude<T>(y)));
    const vec s = quotient(y, V::fma(e, one, one));
    return where_less(y, zero, product(s, e), s);
  }
  return x;
}

// Up to n elements of a row, whatever their stride.
template <class T>
DG_INLINE typename Simd<T>::vec load_along(const DenseView& view, int64_t row, int64_t col, int n) {
  using V = Simd<T>;
  const T* from = static_cast<const T*>(view.data) + row * view.row_stride + col * view.col_stride;
  if (view.col_stride == 1) return V::load_n(from, n);
  if (view.col_stride == 0) return V::set1(*from);
  T lanes[V::width] = {};
  for (int i = 0; i < n; ++i) lanes[i] = from[i * view.col_stride];
  return V::load(lanes);
}

template <class T, class S>
DG_INLINE void store_along(const DenseView& view, int64_t row, int64_t col, typename Simd<T>::vec x, int n) {
  using V = Storage<T, S>;
  S* to = static_cast<S*>(view.data) + row * view.row_stride + col * view.col_stride;
  if (view.col_stride == 1) {
    V::store_n(to, x, n);
    return;
  }
  S lanes[Simd<T>::width];
  V::store(lanes, x);
  for (int i = 0; i < n; ++i) to[i * view.col_stride] = lanes[i];
}

template <class T, class S, Activation Kind>
void epilogue_rows(const EpilogueArgs& args, int64_t begin, int64_t end) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int64_t W = V::width;
  const Epilogue& terms = args.terms;
  const vec alpha = V::set1(static_cast<T>(terms.alpha)), beta = V::set1(static_cast<T>(terms.beta));
  const vec one = V::set1(T(1));
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t j = 0; j < args.to.cols; j += W) {
      const int n = static_cast<int>(min64(W, args.to.cols - j));
      vec x = load_along<T>(args.from, i, j, n);
      if (terms.alpha != 1.0) x = product(alpha, x);
      if (terms.addend.data != nullptr) x = V::fma(beta, load_along<T>(terms.addend, i, j, n), x);
      if (terms.scale.data != nullptr) x = product(load_along<T>(terms.scale, i, j, n), x);
      if (terms.bias.data != nullptr) x = V::fma(x, one, load_along<T>(terms.bias, i, j, n));
      store_along<T, S>(args.to, i, j, activated<T, Kind>(x), n);
    }
  }
}

// Rounding alone, where elements lie side by side: whole vectors without masks, which cost twice as much.
template <class T, class S>
void round_rows(const EpilogueArgs& args, int64_t begin, int64_t end) {
  using V = Simd<T>;
  using Stored = Storage<T, S>;
  int64_t rows = end - begin, cols = args.to.cols;
  const T* from = static_cast<const T*>(args.from.data) + begin * args.from.row_stride;
  S* to = static_cast<S*>(args.to.data) + begin * args.to.row_stride;
  if (args.from.row_stride == cols && args.to.row_stride == cols) {
    cols *= rows;
    rows = 1;
  }
  for (; rows > 0; --rows, from += args.from.row_stride, to += args.to.row_stride) {
    int64_t j = 0;
    for (; j + V::width <= cols; j += V::width) Stored::store(to + j, V::load(from + j));
    const int tail = static_cast<int>(cols - j);
    if (tail > 0) Stored::store_n(to + j, V::load_n(from + j, tail), tail);
  }
}

template <class T, class S>
void epilogue(const void* raw, int64_t begin, int64_t end, int, void*) {
  const EpilogueArgs& args = *static_cast<const EpilogueArgs*>(raw);
  if (args.terms.empty() && args.from.col_stride == 1 && args.to.col_stride == 1) {
    return round_rows<T, S>(args, begin, end);
  }
  switch (args.terms.activation) {
    case Activation::none:
      return epilogue_rows<T, S, Activation::none>(args, begin, end);
    case Activation::relu:
      return epilogue_rows<T, S, Activation::relu>(args, begin, end);
    case Activation::gelu:
      return epilogue_rows<T, S, Activation::gelu>(args, begin, end);
    case Activation::gelu_tanh:
      return epilogue_rows<T, S, Activation::gelu_tanh>(args, begin, end);
    case Activation::silu:
      return epilogue_rows<T, S, Activation::silu>(args, begin, end);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
