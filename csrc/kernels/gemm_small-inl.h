// Products of small matrices, many in one call: nothing is packed that stands well.
//
// Counts for a tile of r rows and v vectors: for each k v loads, r broadcasts from where A stands and r v
// FMAs. 64 x 64 x 64 takes 16384 vectors of FMAs in float32; packing A cost an eighth as much.
#pragma once

#include "core/gemm_args.h"
#include "kernels/gemm_tile-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <class T>
struct SmallTile {
  const T* a;
  int64_t a_row, a_step;  // to the next row, and to the next k
  const T* b;
  int64_t b_step;
  T* c;
  int64_t c_row;
  int64_t depth;
  int columns;
};

template <class T, int R, int NV, bool Masked>
void small_tile(const SmallTile<T>& tile) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width;
  vec acc[R][NV];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][v] = V::zero();
  }
  const T* a = tile.a;
  const T* b = tile.b;
  const int64_t a_row = tile.a_row;
  for (int64_t k = 0; k < tile.depth; ++k, a += tile.a_step, b += tile.b_step) {
    vec bs[NV];
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      bs[v] = Masked && v == NV - 1 ? V::load_n(b + v * W, tile.columns - v * W) : V::load(b + v * W);
    }
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      const vec ar = V::set1(a[r * a_row]);
      DG_UNROLL
      for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(ar, bs[v], acc[r][v]);
    }
  }
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      T* to = tile.c + r * tile.c_row + v * W;
      if (Masked && v == NV - 1) {
        V::store_n(to, acc[r][v], tile.columns - v * W);
      } else {
        V::store(to, acc[r][v]);
      }
    }
  }
}

// The tiles that exist: [masked][vectors - 1][rows - 1].
template <class T>
struct SmallTiles {
  static constexpr GemmBlocking blocking = Tiles<T>::blocking;
  static constexpr int kVectors = 4;
  static constexpr int most_rows(int vectors) {
    return vectors <= 2 ? blocking.tile_rows : blocking.rows_two_panels;
  }
  using Fn = void (*)(const SmallTile<T>&);
  struct Row {
    Fn of[blocking.tile_rows];
  };
  template <int NV, bool Masked, int R>
  static constexpr Fn at() {
    if constexpr (R <= most_rows(NV)) return small_tile<T, R, NV, Masked>;
    return nullptr;
  }
  template <int NV, bool Masked, int... R>
  static constexpr Row row(Sequence<R...>) {
    return {{at<NV, Masked, R + 1>()...}};
  }
  template <int NV, bool Masked>
  static constexpr Row row() {
    return row<NV, Masked>(make_sequence<blocking.tile_rows>());
  }
  static constexpr Row tiles[2][kVectors] = {
      {row<1, false>(), row<2, false>(), row<3, false>(), row<4, false>()},
      {row<1, true>(), row<2, true>(), row<3, true>(), row<4, true>()}};
};

template <class T>
DG_INLINE void small_product(const DenseView& a, const DenseView& b, const DenseView& c) {
  constexpr int64_t W = Simd<T>::width, kGroupColumns = SmallTiles<T>::kVectors * W;
  SmallTile<T> tile;
  tile.a_row = a.row_stride;
  tile.a_step = a.col_stride;
  tile.b_step = b.row_stride;
  tile.c_row = c.row_stride;
  tile.depth = a.cols;
  for (int64_t j = 0; j < c.cols; j += kGroupColumns) {
    tile.columns = static_cast<int>(min64(kGroupColumns, c.cols - j));
    tile.b = static_cast<const T*>(b.data) + j;
    const int vectors = static_cast<int>((tile.columns + W - 1) / W);
    const auto& row = SmallTiles<T>::tiles[tile.columns < vectors * W][vectors - 1];
    const int64_t most = SmallTiles<T>::most_rows(vectors), count = (c.rows + most - 1) / most;
    const int64_t height = (c.rows + count - 1) / count;
    for (int64_t i = 0; i < c.rows; i += height) {
      tile.a = static_cast<const T*>(a.data) + i * a.row_stride;
      tile.c = static_cast<T*>(c.data) + i * c.row_stride + j;
      row.of[min64(height, c.rows - i) - 1](tile);
    }
  }
}

// Rows of B side by side, with room for whole vectors.
template <class T>
DG_INLINE DenseView small_packed(const DenseView& b, T* to) {
  constexpr int64_t W = Simd<T>::width;
  const int64_t width = (b.cols + W - 1) / W * W;
  const PackSource<T> from{static_cast<const T*>(b.data), b.col_stride, b.row_stride};
  if (b.row_stride == 1 && b.rows >= W) {
    pack_columns(from, b.cols, width, b.rows, to);
  } else {
    pack_any(from, b.cols, width, b.rows, to);
  }
  return {to, b.rows, b.cols, width, 1};
}

template <class T>
void gemm_small(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const GemmSmallArgs& args = *static_cast<const GemmSmallArgs*>(raw);
  const GemmAxis* axes = args.axes;
  const void* packed_from = nullptr;
  DenseView packed{};
  for (int64_t member = begin; member < end; ++member) {
    int64_t rest = member, at_a = 0, at_b = 0, at_c = 0;
    for (int d = args.axis_count - 1; d >= 0; --d) {
      const int64_t place = d > 0 ? rest % axes[d].extent : rest;
      if (d > 0) rest /= axes[d].extent;
      at_a += place * axes[d].a_stride;
      at_b += place * axes[d].b_stride;
      at_c += place * axes[d].c_stride;
    }
    DenseView a = args.a, b = args.b, c = args.c;
    a.data = static_cast<T*>(a.data) + at_a;
    b.data = static_cast<T*>(b.data) + at_b;
    c.data = static_cast<T*>(c.data) + at_c;
    if (args.pack_b) {
      // One that all members share is packed once.
      if (b.data != packed_from) packed = small_packed(b, static_cast<T*>(workspace));
      packed_from = b.data;
      b = packed;
    }
    small_product<T>(a, b, c);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
