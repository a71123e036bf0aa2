// Copies panels of an operand into the order in which the register tiles read them, widening what is
// stored narrower than the dtype of the chain.
#pragma once

#include "kernels/common-inl.h"
#include "simd/storage.h"
#include "simd/transpose.h"

namespace deepgemm::DG_ISA {
namespace {

struct Range {
  int64_t begin, end;
};

// The index-th of `parts` nearly equal parts of [0, count).
DG_INLINE Range part(int64_t count, int64_t index, int64_t parts) {
  return {count * index / parts, count * (index + 1) / parts};
}

// A panel where it stands: `across` leads to its next row of A or column of B, `along` to the next k.
template <class S>
struct PackSource {
  const S* data;
  int64_t across;
  int64_t along;
};

// For each k, `count` elements and zeros up to `width`.
template <class T, class S>
void pack_any(const PackSource<S>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  for (int64_t k = 0; k < depth; ++k, to += width) {
    const S* row = from.data + k * from.along;
    for (int64_t i = 0; i < count; ++i) to[i] = widened(row[i * from.across]);
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

template <class T, class S>
DG_INLINE void pack_row(const S* from, int64_t count, int64_t width, T* to, const T* end, int64_t ahead) {
  using V = Storage<T, S>;
  constexpr int64_t W = Simd<T>::width;
  for (int64_t p = (width - 1) / W * W; p >= 0; p -= W) {
    const int64_t n = count - p;
    DG_PREFETCH(from + p + ahead);
    const auto x = n >= W  ? V::load(from + p)
                   : n > 0 ? V::load_n(from + p, static_cast<int>(n))
                           : Simd<T>::zero();
    put(to + p, x, width - p, end - (to + p));
  }
}

// How far ahead to fetch. Rows: 4 gave 16 x 4096 x 4096 75 -> 91 GFLOP/s and 16 x 4096 x 1024 82 -> 138,
// 12 and 24 a little less. Within rows: 256 bytes gave 1024 x 1 x 1024 17.2 -> 18.6; 1 KB lost a tenth.
constexpr int64_t kRowsAhead = 4;
constexpr int64_t kBytesAhead = 256;

// Panels lie side by side in the source's rows, which are read once, in order: one panel at a time
// touches a page of a wide matrix for each 128 bytes (16 x 4096 x 4096 ran at a third of the speed).
template <class T, class S>
void pack_rows(const PackSource<S>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  const int64_t panel = width * depth;
  for (int64_t k = 0; k < depth; ++k) {
    const S* row = from.data + k * from.along;
    T* there = to + k * width;
    for (int64_t j = 0; j < count; j += width, there += panel) {
      pack_row(row + j, min64(width, count - j), width, there, there + panel - k * width,
               kRowsAhead * from.along);
    }
  }
}

// A vector of n elements from each of `count` rows; lanes and rows beyond are zero.
template <class T, class S, class Vec, int W>
DG_INLINE void load_square(const S* from, int64_t stride, int64_t count, int n, Vec (&square)[W]) {
  using V = Storage<T, S>;
  DG_UNROLL
  for (int i = 0; i < W; ++i, from += stride) {
    DG_PREFETCH(from + kBytesAhead / sizeof(S));
    square[i] = i >= count ? Simd<T>::zero() : n == W ? V::load(from) : V::load_n(from, n);
  }
}

// Along k the source is contiguous: squares are transposed in registers. A group of rows is followed
// to its end before the next one: with the loops the other way round the hardware lost track of the
// streams (1024 x 1 x 1024 172 us instead of 122).
template <class T, class S>
void pack_columns(const PackSource<S>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  using V = Simd<T>;
  constexpr int64_t W = V::width;
  const T* const end = to + width * depth;
  for (int64_t p = (width - 1) / W * W; p >= 0; p -= W) {
    for (int64_t k = 0; k < depth; k += W) {
      const int n = static_cast<int>(min64(W, depth - k));
      typename V::vec square[W];
      load_square<T>(from.data + p * from.across + k, from.across, count - p, n, square);
      transpose(square);
      DG_UNROLL
      for (int j = 0; j < W; ++j) {
        T* there = to + (k + j) * width + p;
        if (j < n) put(there, square[j], width - p, end - there);
      }
    }
  }
}

// Panels of `width`, the last one filled up.
template <class T, class S>
void pack_real(const PackSource<S>& from, int64_t count, int64_t width, int64_t depth, T* to) {
  if (from.across == 1) {
    pack_rows(from, count, width, depth, to);
    return;
  }
  for (int64_t j = 0; j < count; j += width, to += width * depth) {
    const PackSource<S> panel{from.data + j * from.across, from.across, from.along};
    if (from.along == 1 && 2 * depth >= Simd<T>::width) {
      pack_columns(panel, min64(width, count - j), width, depth, to);
    } else {
      pack_any(panel, min64(width, count - j), width, depth, to);
    }
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
  for (int64_t j = 0; j < count; j += width) {
    for (int64_t k = 0; k < depth; ++k, to += 2 * width) {
      const int64_t n = min64(width, count - j);
      const T* row = from.data + 2 * (j * from.across + k * from.along);
      for (int64_t i = 0; i < width; ++i) {
        to[i] = i < n ? row[2 * i * from.across] : T(0);
        to[width + i] = i < n ? row[2 * i * from.across + 1] : T(0);
      }
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
