// Products of small matrices, many in one call: nothing is packed that stands well.
//
// Counts for a tile of r rows and v vectors: for each k v loads, r broadcasts from where A stands and r v
// FMAs. 64 x 64 x 64 takes 16384 vectors of FMAs in float32; packing A cost an eighth as much.
#pragma once

#include "core/gemm_args.h"
#include "kernels/gemm_tile-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// B is fetched so many rows ahead: out of memory 4 x 100000 x 64 of float64 read 28 GB/s, and so reads 53
// (two threads; 8 and 24 rows much the same). In L1 it costs nothing that could be measured.
constexpr int64_t kSmallAhead = 16;

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
      DG_PREFETCH(b + kSmallAhead * tile.b_step + v * W);
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
  if (c.rows == 0) return;
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

// The operands and the result of one member of a stack, stored as A, B and C.
template <class A, class B, class C>
DG_INLINE void small_member(const GemmSmallArgs& args, int64_t member, DenseView& a, DenseView& b,
                            DenseView& c) {
  int64_t rest = member, at_a = 0, at_b = 0, at_c = 0;
  for (int d = args.axis_count - 1; d >= 0; --d) {
    const GemmAxis& axis = args.axes[d];
    const int64_t place = d > 0 ? rest % axis.extent : rest;
    if (d > 0) rest /= axis.extent;
    at_a += place * axis.a_stride;
    at_b += place * axis.b_stride;
    at_c += place * axis.c_stride;
  }
  a = args.a;
  b = args.b;
  c = args.c;
  a.data = static_cast<A*>(a.data) + at_a;
  b.data = static_cast<B*>(b.data) + at_b;
  c.data = static_cast<C*>(c.data) + at_c;
}

template <class T>
void gemm_small(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const GemmSmallArgs& args = *static_cast<const GemmSmallArgs*>(raw);
  const void* packed_from = nullptr;
  DenseView a, b, c, packed{};
  for (int64_t member = begin; member < end; ++member) {
    small_member<T, T, T>(args, member, a, b, c);
    if (args.pack_b) {
      // One that all members share is packed once.
      if (b.data != packed_from) packed = small_packed(b, static_cast<T*>(workspace));
      packed_from = b.data;
      b = packed;
    }
    small_product<T>(a, b, c);
  }
}

// ---- elements that are stored narrower than float ---------------------------------------------------
//
// They are widened into the workspace, where the product takes place. Sums of 8-bit integers are exact up to
// 2^24, so that they are what integer arithmetic gives.

template <class S>
struct Rounded : Storage<float, S> {};

template <>
struct Rounded<int32_t> {
  static constexpr int W = Simd<float>::width;
  static void store(int32_t* p, Simd<float>::vec x) { store_n(p, x, W); }
  static void store_n(int32_t* p, Simd<float>::vec x, int n) {
    float lanes[W];
    Simd<float>::store(lanes, x);
    for (int l = 0; l < n; ++l) p[l] = static_cast<int32_t>(lanes[l]);
  }
};

template <class S>
DG_INLINE DenseView small_widened(const DenseView& from, float* to) {
  using V = Storage<float, S>;
  constexpr int64_t W = Simd<float>::width;
  const S* row = static_cast<const S*>(from.data);
  const bool whole = from.col_stride == 1 && from.row_stride == from.cols;
  const int64_t rows = whole ? 1 : from.rows, cols = whole ? from.rows * from.cols : from.cols;
  for (int64_t i = 0; i < rows; ++i, row += from.row_stride) {
    float* const there = to + i * cols;
    if (from.col_stride != 1) {
      for (int64_t j = 0; j < cols; ++j) there[j] = widened(row[j * from.col_stride]);
      continue;
    }
    int64_t j = 0;
    for (; j + W <= cols; j += W) Simd<float>::store(there + j, V::load(row + j));
    if (const int n = static_cast<int>(cols - j); n > 0) {
      Simd<float>::store_n(there + j, V::load_n(row + j, n), n);
    }
  }
  return {to, from.rows, from.cols, from.cols, 1};
}

template <class S>
DG_INLINE void small_narrowed(const DenseView& from, const DenseView& to) {
  constexpr int64_t W = Simd<float>::width;
  const float* row = static_cast<const float*>(from.data);
  S* there = static_cast<S*>(to.data);
  const bool whole = to.row_stride == to.cols;
  const int64_t rows = whole ? 1 : to.rows, cols = whole ? to.rows * to.cols : to.cols;
  for (int64_t i = 0; i < rows; ++i, row += cols, there += to.row_stride) {
    int64_t j = 0;
    for (; j + W <= cols; j += W) Rounded<S>::store(there + j, Simd<float>::load(row + j));
    if (const int n = static_cast<int>(cols - j); n > 0) {
      Rounded<S>::store_n(there + j, Simd<float>::load_n(row + j, n), n);
    }
  }
}

template <class S, class Out>
void gemm_small_widened(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const GemmSmallArgs& args = *static_cast<const GemmSmallArgs*>(raw);
  float* const wide_b = static_cast<float*>(workspace);
  float* const wide_a = wide_b + args.b.rows * args.b.cols;
  float* const wide_c = wide_a + args.a.rows * args.a.cols;
  const void* widened_from = nullptr;
  const DenseView product{wide_c, args.c.rows, args.c.cols, args.c.cols, 1};
  DenseView a, b, c, right{};
  for (int64_t member = begin; member < end; ++member) {
    small_member<S, S, Out>(args, member, a, b, c);
    if (b.data != widened_from) right = small_widened<S>(b, wide_b);
    widened_from = b.data;
    small_product<float>(small_widened<S>(a, wide_a), right, product);
    small_narrowed<Out>(product, c);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
