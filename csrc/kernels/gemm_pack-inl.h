// Copies panels of an operand into the order in which the register tiles read them.
#pragma once

#include "simd/transpose.h"

#ifndef DG_INLINE
#if defined(__GNUC__)
#define DG_INLINE inline __attribute__((always_inline))
#else
#define DG_INLINE inline
#endif
#endif

namespace deepgemm::DG_ISA {
namespace {

DG_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

struct Range {
  int64_t begin, end;
};

// The index-th of `parts` nearly equal parts of [0, count).
DG_INLINE Range part(int64_t count, int64_t index, int64_t parts) {
  return {count * index / parts, count * (index + 1) / parts};
}

// std::integer_sequence would be shared inline code, which an ISA object must not carry.
template <int...>
struct Sequence {};
template <int N, int... Rest>
constexpr auto make_sequence() {
  if constexpr (N == 0) {
    return Sequence<Rest...>{};
  } else {
    return make_sequence<N - 1, N - 1, Rest...>();
  }
}

// A panel where it stands: `across` leads to its next row of A or column of B, `along` to the next k.
template <class T>
struct PackSource {
  const T* data;
  int64_t across;
  int64_t along;
};

// For each k, `count` elements and zeros up to `width`.
template <class T>
void pack_any(const PackSource<T>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  for (int64_t k = 0; k < depth; ++k, to += width) {
    const T* row = from.data + k * from.along;
    for (int64_t i = 0; i < count; ++i) to[i] = row[i * from.across];
    for (int64_t i = count; i < width; ++i) to[i] = T(0);
  }
}

// Whole vectors are stored where the panel has room for the lanes that are too many: what comes later
// overwrites them, because k ascends and, within one k, the last vector goes first.
template <class T>
DG_INLINE void put(T* to, typename Simd<T>::vec x, int64_t wanted, int64_t room) {
  using V = Simd<T>;
  if (wanted >= V::width || room >= V::width) {
    V::store(to, x);
  } else {
    V::store_n(to, x, static_cast<int>(wanted));
  }
}

template <class T>
void pack_rows(const PackSource<T>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  using V = Simd<T>;
  constexpr int64_t W = V::width;
  const T* const end = to + width * depth;
  for (int64_t k = 0; k < depth; ++k, to += width) {
    const T* row = from.data + k * from.along;
    for (int64_t p = (width - 1) / W * W; p >= 0; p -= W) {
      const int64_t n = count - p;
      const auto x = n >= W ? V::load(row + p) : n > 0 ? V::load_n(row + p, static_cast<int>(n)) : V::zero();
      put(to + p, x, width - p, end - (to + p));
    }
  }
}

// Along k the source is contiguous: squares are transposed in registers.
template <class T>
void pack_columns(const PackSource<T>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  using V = Simd<T>;
  constexpr int64_t W = V::width;
  const T* const end = to + width * depth;
  for (int64_t k = 0; k < depth; k += W, to += W * width) {
    const int n = static_cast<int>(min64(W, depth - k));
    for (int64_t p = (width - 1) / W * W; p >= 0; p -= W) {
      typename V::vec square[W];
      for (int64_t i = 0; i < W; ++i) {
        const T* row = from.data + (p + i) * from.across + k;
        square[i] = p + i >= count ? V::zero() : n == W ? V::load(row) : V::load_n(row, n);
      }
      transpose(square);
      for (int j = 0; j < n; ++j) {
        T* there = to + j * width + p;
        put(there, square[j], width - p, end - there);
      }
    }
  }
}

template <class T>
void pack_real(const PackSource<T>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  if (from.across == 1) {
    pack_rows(from, count, width, depth, to);
  } else if (from.along == 1 && 2 * depth >= Simd<T>::width) {
    pack_columns(from, count, width, depth, to);
  } else {
    pack_any(from, count, width, depth, to);
  }
}

// Complex A keeps its parts side by side, to be broadcast one after the other.
template <class T>
void pack_complex_left(const PackSource<T>& from, int64_t count, int64_t depth, T* to) {
  for (int64_t k = 0; k < depth; ++k) {
    for (int64_t i = 0; i < count; ++i, to += 2) {
      const T* number = from.data + 2 * (i * from.across + k * from.along);
      to[0] = number[0];
      to[1] = number[1];
    }
  }
}

// Complex B: for each k the real parts of the panel, then the imaginary ones.
template <class T>
void pack_complex_right(const PackSource<T>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  for (int64_t k = 0; k < depth; ++k, to += 2 * width) {
    for (int64_t i = 0; i < width; ++i) {
      const T* number = from.data + 2 * (i * from.across + k * from.along);
      to[i] = i < count ? number[0] : T(0);
      to[width + i] = i < count ? number[1] : T(0);
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
