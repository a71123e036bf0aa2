// Products of block-sparse rows with a vector, in the stated order: one scalar chain for each row.
#pragma once

#include "kernels/bsr_tile-inl.h"
#include "kernels/passes-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <int Rows>
constexpr int vectors_side_by_side() {
  return Rows >= 8 ? 1 : Rows >= 4 ? 2 : 4;
}

// R rows in each of G neighbouring block rows, one scalar chain each: what bounds it is the load of
// each entry, two a cycle, once there are eight chains.
template <class T, int R, int G>
void vector_tile(const BsrArgs& args, int64_t block_row, int64_t first) {
  const int64_t size = args.height * args.width;
  const T* values = static_cast<const T*>(args.values) + first * args.width;
  const T* x = static_cast<const T*>(args.x);
  T acc[G][R] = {};
  int64_t start[G + 1], shared = INT64_MAX;
  start[0] = index_of(args.indptr, args.wide, block_row);
  for (int g = 0; g < G; ++g) {
    start[g + 1] = index_of(args.indptr, args.wide, block_row + g + 1);
    shared = min64(shared, start[g + 1] - start[g]);
  }
  if constexpr (G == 1) shared = 0;
  const auto add = [&](int g, int64_t p) DG_INLINE_LAMBDA {
    const T* block = values + p * size;
    const T* b = x + index_of(args.indices, args.wide, p) * args.width;
    for (int64_t k = 0; k < args.width; ++k) {
      DG_UNROLL
      for (int r = 0; r < R; ++r) acc[g][r] = fused(block[r * args.width + k], b[k], acc[g][r]);
    }
  };
  for (int64_t t = 0; t < shared; ++t) {
    DG_UNROLL
    for (int g = 0; g < G; ++g) add(g, start[g] + t);
  }
  T* y = static_cast<T*>(args.y);
  DG_UNROLL
  for (int g = 0; g < G; ++g) {
    for (int64_t p = start[g] + shared; p < start[g + 1]; ++p) add(g, p);
    DG_UNROLL
    for (int r = 0; r < R; ++r) y[((block_row + g) * args.height + first + r) * args.y_stride] = acc[g][r];
  }
}

template <class T>
void bsr_vector(const void* raw, int64_t begin, int64_t end, int, void*) {
  const BsrArgs& args = *static_cast<const BsrArgs*>(raw);
  constexpr int most = 8;
  if (args.height <= most) {
    with_count<most>(args.height, [&]<int R>() {
      constexpr int G = vectors_side_by_side<R>();
      int64_t row = begin;
      for (; row + G <= end; row += G) vector_tile<T, R, G>(args, row, 0);
      for (; row < end; ++row) vector_tile<T, R, 1>(args, row, 0);
    });
    return;
  }
  for (int64_t row = begin; row < end; ++row) {
    for_each_run(args.height, most, [&](int64_t first, int64_t count) {
      with_count<most>(count, [&]<int R>() { vector_tile<T, R, 1>(args, row, first); });
    });
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
