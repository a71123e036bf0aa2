// Products of block-sparse rows with a vector, in the stated order: one chain for each row.
//
// Counts for float32: 4 bytes and one FMA for each entry of a block, 4 bytes of index for each block. Blocks
// of few rows are done in scalar chains, one load and one FMA for each entry. Blocks with a vector of rows
// are turned in registers, so that a chain is a lane: with 16 x 16 entries 16 loads, 64 shuffles and 16 FMAs,
// where scalars need 256 of each. There the chain bounds a block (16 FMAs of 4 cycles each, as long as two
// transposes take), so two block rows run side by side.
#pragma once

#include "kernels/bsr_tile-inl.h"
#include "kernels/passes-inl.h"
#include "simd/transpose.h"

namespace deepgemm::DG_ISA {
namespace {

template <int Rows>
constexpr int vectors_side_by_side() {
  return Rows >= 8 ? 1 : Rows >= 4 ? 2 : 4;
}

// Calls add(g, p) for the blocks p of G neighbouring block rows, each in order, side by side while all have
// one.
template <int G, class Add>
DG_INLINE void for_each_block(const BsrArgs& args, int64_t block_row, const Add& add) {
  int64_t start[G + 1], shared = INT64_MAX;
  start[0] = index_of(args.indptr, args.wide, block_row);
  for (int g = 0; g < G; ++g) {
    start[g + 1] = index_of(args.indptr, args.wide, block_row + g + 1);
    shared = min64(shared, start[g + 1] - start[g]);
  }
  if constexpr (G == 1) shared = 0;
  for (int64_t t = 0; t < shared; ++t) {
    DG_UNROLL
    for (int g = 0; g < G; ++g) add(g, start[g] + t);
  }
  DG_UNROLL
  for (int g = 0; g < G; ++g) {
    for (int64_t p = start[g] + shared; p < start[g + 1]; ++p) add(g, p);
  }
}

// R rows in each of G neighbouring block rows, one scalar chain each: what bounds it is the load of
// each entry, two a cycle, once there are eight chains.
template <class T, int R, int G>
void vector_tile(const BsrArgs& args, int64_t block_row, int64_t first) {
  const int64_t size = args.height * args.width;
  const T* values = static_cast<const T*>(args.values) + first * args.width;
  const T* x = static_cast<const T*>(args.x);
  T acc[G][R] = {};
  for_each_block<G>(args, block_row, [&](int g, int64_t p) DG_INLINE_LAMBDA {
    const T* block = values + p * size;
    const T* b = x + index_of(args.indices, args.wide, p) * args.width;
    for (int64_t k = 0; k < args.width; ++k) {
      DG_UNROLL
      for (int r = 0; r < R; ++r) acc[g][r] = fused(block[r * args.width + k], b[k], acc[g][r]);
    }
  });
  T* y = static_cast<T*>(args.y);
  DG_UNROLL
  for (int g = 0; g < G; ++g) {
    DG_UNROLL
    for (int r = 0; r < R; ++r) y[((block_row + g) * args.height + first + r) * args.y_stride] = acc[g][r];
  }
}

// Adds a vector of rows of a block, whose entries lie `width` apart, times x: a square of columns at a time.
template <class T, class V>
DG_INLINE typename V::vec add_turned(const T* block, int64_t width, const T* x, typename V::vec acc) {
  constexpr int W = V::width;
  int64_t k = 0;
  for (; k + W <= width; k += W) {
    typename V::vec square[W];
    DG_UNROLL
    for (int r = 0; r < W; ++r) square[r] = V::load(block + r * width + k);
    transpose(square);
    DG_UNROLL
    for (int c = 0; c < W; ++c) acc = V::fma(square[c], V::set1(x[k + c]), acc);
  }
  if (k == width) return acc;
  const int tail = static_cast<int>(width - k);
  typename V::vec square[W];
  DG_UNROLL
  for (int r = 0; r < W; ++r) square[r] = V::load_n(block + r * width + k, tail);
  transpose(square);
  for (int c = 0; c < tail; ++c) acc = V::fma(square[c], V::set1(x[k + c]), acc);
  return acc;
}

// A vector of rows in each of G neighbouring block rows.
template <class T, class V, int G>
void turned_tile(const BsrArgs& args, int64_t block_row, int64_t first) {
  const int64_t size = args.height * args.width;
  const T* values = static_cast<const T*>(args.values) + first * args.width;
  const T* x = static_cast<const T*>(args.x);
  typename V::vec acc[G];
  DG_UNROLL
  for (int g = 0; g < G; ++g) acc[g] = V::zero();
  for_each_block<G>(args, block_row, [&](int g, int64_t p) DG_INLINE_LAMBDA {
    const T* b = x + index_of(args.indices, args.wide, p) * args.width;
    acc[g] = add_turned<T, V>(values + p * size, args.width, b, acc[g]);
  });
  DG_UNROLL
  for (int g = 0; g < G; ++g) {
    T* y = static_cast<T*>(args.y) + ((block_row + g) * args.height + first) * args.y_stride;
    if (args.y_stride == 1) {
      V::store(y, acc[g]);
    } else {
      T rows[V::width];
      V::store(rows, acc[g]);
      for (int r = 0; r < V::width; ++r) y[r * args.y_stride] = rows[r];
    }
  }
}

// All whole vectors of rows from `first` on; the first row that is left.
template <class T, class V>
int64_t turned_rows(const BsrArgs& args, int64_t begin, int64_t end, int64_t first) {
  for (; first + V::width <= args.height; first += V::width) {
    int64_t row = begin;
    for (; row + 2 <= end; row += 2) turned_tile<T, V, 2>(args, row, first);
    if (row < end) turned_tile<T, V, 1>(args, row, first);
  }
  return first;
}

template <class T>
void bsr_vector(const void* raw, int64_t begin, int64_t end, int, void*) {
  const BsrArgs& args = *static_cast<const BsrArgs*>(raw);
  constexpr int most = 8;
  int64_t done = 0;
  if constexpr (Simd<T>::width >= 8) {
    if (args.width >= Simd<T>::width / 2) done = turned_rows<T, Simd<T>>(args, begin, end, 0);
  }
  if constexpr (HalfSimd<T>::width >= 8 && HalfSimd<T>::width < Simd<T>::width) {
    if (args.width >= HalfSimd<T>::width / 2) done = turned_rows<T, HalfSimd<T>>(args, begin, end, done);
  }
  const int64_t left = args.height - done;
  if (left == 0) return;
  if (left <= most) {
    with_count<most>(left, [&]<int R>() {
      constexpr int G = vectors_side_by_side<R>();
      int64_t row = begin;
      for (; row + G <= end; row += G) vector_tile<T, R, G>(args, row, done);
      for (; row < end; ++row) vector_tile<T, R, 1>(args, row, done);
    });
    return;
  }
  for (int64_t row = begin; row < end; ++row) {
    for_each_run(left, most, [&](int64_t first, int64_t count) {
      with_count<most>(count, [&]<int R>() { vector_tile<T, R, 1>(args, row, done + first); });
    });
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
