// Register tiles: a few rows of packed A against a few vectors of columns of B.
//
// Counts for a tile of r rows and v vectors: for each k v loads, r broadcasts, r v FMAs; C is read and
// written once for each block of k.
//
// Meanwhile the next panels of B come from L3 into L2, a vector of them for each k (1024 cubed 216 -> 225
// GFLOP/s on one thread, packed before 221 -> 232, of 247). Without gain: prefetching the C of the next tile,
// for reading or for writing (within 2 % either way at 1024 to 2048 cubed).

#pragma once

#include "core/gemm_args.h"
#include "kernels/gemm_pack-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// One register tile: rows of packed A against vectors of columns of B.
template <class T>
struct Tile {
  const T* a;  // R values for each k
  const T* b;
  int64_t b_step;   // from one k to the next
  int64_t b_panel;  // from one pair of vectors to the next
  T* c;
  int64_t c_stride;
  int64_t depth;
  int columns;     // valid columns
  const T* ahead;  // where to fetch what is wanted next
  bool first;
  const int32_t* start_rows;  // where kStarts says so, see GemmBlockArgs
  const int32_t* start_cols;
  int32_t* overflowed;  // see GemmBlockArgs
};

// Whether chains may begin with something else than zero: those of integers, see simd/integer.h.
template <class T>
constexpr bool kStarts = false;

// Whether a tile's sums are widened and added to C, instead of going on from it: those of float16 numbers,
// see simd/halves.h.
template <class T>
constexpr bool kWidens = false;

template <class T>
using TileFn = void (*)(const Tile<T>&);
template <class T>
using StreamFn = void (*)(const Tile<T>&, int64_t columns);

template <int W>
DG_INLINE int lanes_of(int columns, int v) {
  const int n = columns - v * W;
  return n < 0 ? 0 : n < W ? n : W;
}

// ---- real tiles ----------------------------------------------------------------------------------

template <class T, int R, int NV, bool Masked>
void real_tile(const Tile<T>& tile) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width;
  const auto load = [&](const T* p, int v) {
    if constexpr (Masked) return V::load_n(p, lanes_of<W>(tile.columns, v));
    return V::load(p);
  };
  const bool first = tile.first;
  vec acc[R][NV];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      acc[r][v] = first || kWidens<T> ? V::zero() : load(tile.c + r * tile.c_stride + v * W, v);
      if constexpr (kStarts<T>) {
        if (tile.start_cols != nullptr) {
          acc[r][v] = V::add(acc[r][v], load(reinterpret_cast<const T*>(tile.start_cols) + v * W, v));
        }
        if (first && tile.start_rows != nullptr) {
          acc[r][v] = V::add(acc[r][v], V::set1(static_cast<T>(tile.start_rows[r])));
        }
      }
    }
  }
  const T* a = tile.a;
  const T* b = tile.b;
  const T* ahead = tile.ahead;
  for (int64_t k = 0; k < tile.depth; ++k, a += R, b += tile.b_step, ahead += W) {
    DG_PREFETCH_L2(ahead);
    const auto load_b = [&](int v) { return load(b + (v / 2) * tile.b_panel + (v % 2) * W, v); };
    if constexpr (R >= NV) {
      vec bs[NV];
      for (int v = 0; v < NV; ++v) bs[v] = load_b(v);
      for (int r = 0; r < R; ++r) {
        const vec ar = V::set1(a[r]);
        for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(ar, bs[v], acc[r][v]);
      }
    } else {
      vec as[R];
      for (int r = 0; r < R; ++r) as[r] = V::set1(a[r]);
      for (int v = 0; v < NV; ++v) {
        const vec bv = load_b(v);
        for (int r = 0; r < R; ++r) acc[r][v] = V::fma(as[r], bv, acc[r][v]);
      }
    }
  }
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      T* to = tile.c + r * tile.c_stride + v * W;
      if constexpr (kWidens<T>) {
        const int lanes = first ? 0 : Masked ? lanes_of<W>(tile.columns, v) : W;
        acc[r][v] = V::widened(acc[r][v], V::load_n(to, lanes));
      }
      if constexpr (Masked) {
        V::store_n(to, acc[r][v], lanes_of<W>(tile.columns, v));
      } else {
        V::store(to, acc[r][v]);
      }
    }
  }
}

// ---- real tiles that read B where it stands, its columns running along k --------------------------

// Few rows make the transpose the greater part of the work, so it stays in registers: W columns by W of
// k at a time. 1024 x 1 x 1024 took 109 us by way of a packed panel, 78 with 32 columns side by side, and
// takes 45 with 16: where columns lie 4 KB apart, the lines of 32 have no place in one set of L1. Nor did
// two groups of 16 gain that follow each other at a distance, so that their lines lie in other sets.
template <class T, int R>
void column_tile(const Tile<T>& tile) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width;
  for (int v = 0; v < 2; ++v) {
    const int lanes = lanes_of<W>(tile.columns, v);
    T* const c = tile.c + v * W;
    vec acc[R];
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      acc[r] = tile.first ? V::zero() : V::load_n(c + r * tile.c_stride, lanes);
    }
    const T* a = tile.a;
    const T* b = tile.b + v * W * tile.b_step;
    for (int64_t k = 0; lanes > 0 && k < tile.depth; k += W, a += R * W) {
      const int n = static_cast<int>(min64(W, tile.depth - k));
      vec square[W];
      load_square<T>(b + k, tile.b_step, lanes, n, square);
      transpose(square);
      DG_UNROLL
      for (int j = 0; j < W; ++j) {
        if (j >= n) break;
        for (int r = 0; r < R; ++r) acc[r] = V::fma(V::set1(a[j * R + r]), square[j], acc[r]);
      }
    }
    DG_UNROLL
    for (int r = 0; r < R; ++r) V::store_n(c + r * tile.c_stride, acc[r], lanes);
  }
}

// ---- real rows of C against all columns of a task, B being read where it stands --------------------

// K rows of B pass by at a time, each from its first column to its last: long streams, which the hardware
// fetches ahead. C stays in L1. With tiles, which follow 128 columns through all of k, 1 x 4096 x 4096 read
// 42 GB/s and so reads 58; with 2, 4, 8 and 16 rows at a time 43, 58, 59 and 45.
template <class T, int R, int K>
DG_INLINE void stream_step(const Tile<T>& tile, int64_t columns, const T* a, const T* b, bool first) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int64_t W = V::width;
  vec as[K][R];
  for (int k = 0; k < K; ++k) {
    for (int r = 0; r < R; ++r) as[k][r] = V::set1(a[k * R + r]);
  }
  const auto vector = [&](int64_t j, auto load, auto store) {
    vec acc[R];
    for (int r = 0; r < R; ++r) acc[r] = first ? V::zero() : load(tile.c + r * tile.c_stride + j);
    DG_UNROLL
    for (int k = 0; k < K; ++k) {
      const vec bv = load(b + k * tile.b_step + j);
      for (int r = 0; r < R; ++r) acc[r] = V::fma(as[k][r], bv, acc[r]);
    }
    for (int r = 0; r < R; ++r) store(tile.c + r * tile.c_stride + j, acc[r]);
  };
  int64_t j = 0;
  for (; j + W <= columns; j += W) {
    vector(j, [](const T* p) { return V::load(p); }, [](T* p, vec x) { V::store(p, x); });
  }
  if (const int n = static_cast<int>(columns - j); n > 0) {
    vector(j, [n](const T* p) { return V::load_n(p, n); }, [n](T* p, vec x) { V::store_n(p, x, n); });
  }
}

template <class T, int R>
void stream_rows(const Tile<T>& tile, int64_t columns) {
  constexpr int K = R == 1 ? 8 : 4;
  const T* a = tile.a;
  const T* b = tile.b;
  bool first = tile.first;
  int64_t k = 0;
  for (; k + K <= tile.depth; k += K, a += K * R, b += K * tile.b_step, first = false) {
    stream_step<T, R, K>(tile, columns, a, b, first);
  }
  for (; k < tile.depth; ++k, a += R, b += tile.b_step, first = false) {
    stream_step<T, R, 1>(tile, columns, a, b, first);
  }
  if (first) {  // there was no k
    for (int r = 0; r < R; ++r) {
      for (int64_t j = 0; j < columns; ++j) tile.c[r * tile.c_stride + j] = T(0);
    }
  }
}

// Which tiles exist: [Masked][log2 of the vectors][rows - 1].
template <class T>
struct Tiles {
  using scalar = T;
  static constexpr int reals = 1;
  static constexpr GemmBlocking blocking =
      gemm_blocking(Isa::DG_ISA, sizeof(T) == 4 ? DType::f32 : DType::f64);
  static constexpr int W = Simd<T>::width;

  template <int NV, bool Masked, int R>
  static constexpr TileFn<T> at() {
    constexpr int most = NV <= 2   ? blocking.tile_rows
                         : NV == 4 ? blocking.rows_two_panels
                                   : blocking.rows_four_panels;
    if constexpr (R <= most && (NV > 1 || Masked)) return real_tile<T, R, NV, Masked>;
    return nullptr;
  }

  // A switch would do; the table keeps the choice out of the inner loop's way.
  struct Row {
    TileFn<T> of[blocking.tile_rows];
  };
  template <int NV, bool Masked, int... R>
  static constexpr Row row(Sequence<R...>) {
    return {{at<NV, Masked, R + 1>()...}};
  }
  template <bool Masked, int Log>
  static constexpr Row row() {
    return row<1 << Log, Masked>(make_sequence<blocking.tile_rows>());
  }
  static constexpr Row tiles[2][4] = {{row<false, 0>(), row<false, 1>(), row<false, 2>(), row<false, 3>()},
                                      {row<true, 0>(), row<true, 1>(), row<true, 2>(), row<true, 3>()}};

  // `panels` are those of the group: the last may be partial, or a whole one of which half is needed.
  static void run(int rows, int panels, bool, const Tile<T>& tile) {
    int log = panels == 4 ? 3 : panels;
    while (log > 0 && tile.columns <= (W << (log - 1))) --log;
    const bool masked = log == 0 || tile.columns < (W << log);
    tiles[masked][log].of[rows - 1](tile);
  }
};

template <class T>
struct Real : Tiles<T> {
  static constexpr bool in_place = true;
  static constexpr GemmBlocking blocking = Tiles<T>::blocking;

  template <class S>
  static void pack_left(const PackSource<S>& from, int64_t count, int64_t depth, T* to) {
    pack_real(from, count, count, depth, to);
  }
  template <class S>
  static void pack_right(const PackSource<S>& from, int64_t count, int64_t depth, T* to) {
    pack_real(from, count, blocking.panel, depth, to);
  }

  template <class Fn>
  struct FewRows {
    Fn of[blocking.rows_four_panels];
  };
  template <int... R>
  static constexpr FewRows<TileFn<T>> column_row(Sequence<R...>) {
    return {{column_tile<T, R + 1>...}};
  }
  template <int... R>
  static constexpr FewRows<StreamFn<T>> stream_row(Sequence<R...>) {
    return {{stream_rows<T, R + 1>...}};
  }
  static constexpr FewRows<TileFn<T>> column_tiles = column_row(make_sequence<blocking.rows_four_panels>());
  static constexpr FewRows<StreamFn<T>> streams = stream_row(make_sequence<blocking.rows_four_panels>());
};

// ---- complex tiles: real and imaginary parts in vectors of their own ------------------------------

template <class T, int R, bool Swapped>
void complex_tile(const Tile<T>& tile) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width;
  vec re[R], im[R];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    re[r] = tile.first ? V::zero() : V::load(tile.c + r * tile.c_stride);
    im[r] = tile.first ? V::zero() : V::load(tile.c + r * tile.c_stride + W);
  }
  const T* a = tile.a;
  const T* b = tile.b;
  const T* ahead = tile.ahead;
  for (int64_t k = 0; k < tile.depth; ++k, a += 2 * R, b += tile.b_step, ahead += W) {
    DG_PREFETCH_L2(ahead);
    const vec b_re = V::load(b), b_im = V::load(b + W);
    for (int r = 0; r < R; ++r) {
      const vec a_re = V::set1(a[2 * r]), a_im = V::set1(a[2 * r + 1]);
      re[r] = V::fma(a_re, b_re, re[r]);
      re[r] = V::fnma(a_im, b_im, re[r]);
      if constexpr (Swapped) {
        im[r] = V::fma(a_im, b_re, im[r]);
        im[r] = V::fma(a_re, b_im, im[r]);
      } else {
        im[r] = V::fma(a_re, b_im, im[r]);
        im[r] = V::fma(a_im, b_re, im[r]);
      }
    }
  }
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    V::store(tile.c + r * tile.c_stride, re[r]);
    V::store(tile.c + r * tile.c_stride + W, im[r]);
  }
}

template <class T>
struct Complex {
  using scalar = T;
  static constexpr int reals = 2;
  static constexpr bool in_place = false;
  static constexpr GemmBlocking blocking =
      gemm_blocking(Isa::DG_ISA, sizeof(T) == 4 ? DType::c64 : DType::c128);

  static void pack_left(const PackSource<T>& from, int64_t count, int64_t depth, T* to) {
    pack_complex_left(from, count, depth, to);
  }
  static void pack_right(const PackSource<T>& from, int64_t count, int64_t depth, T* to) {
    pack_complex_right(from, count, blocking.panel, depth, to);
  }

  struct Row {
    TileFn<T> of[blocking.tile_rows];
  };
  template <bool Swapped, int... R>
  static constexpr Row row(Sequence<R...>) {
    return {{complex_tile<T, R + 1, Swapped>...}};
  }
  static constexpr Row tiles[2] = {row<false>(make_sequence<blocking.tile_rows>()),
                                   row<true>(make_sequence<blocking.tile_rows>())};

  static void run(int rows, int, bool swapped, const Tile<T>& tile) { tiles[swapped].of[rows - 1](tile); }
};

}  // namespace
}  // namespace deepgemm::DG_ISA
