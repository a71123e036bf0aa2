// Products with few results, whose chains run along k in lanes: every element in the order of `dot`.
//
// Both operands pass by once where one of them has few lines; nothing is copied or turned before.
#pragma once

#include "core/gemm_args.h"
#include "kernels/dot-inl.h"
#include "simd/reduce.h"
#include "simd/spread.h"

namespace deepgemm::DG_ISA {
namespace {

// ---- rows of A and columns of B that are contiguous along k -------------------------------------------
//
// Counts for a tile of r rows and c columns: for 16 k's r + c loads and r c FMAs of 16 lanes; one tree of
// lanes for all elements.

template <class T>
struct DotsTile {
  const T* a;
  int64_t a_row;
  const T* b;
  int64_t b_col;
  int64_t length;
  T* c;
  int64_t c_row;
};

// `Ahead`: as many columns again are fetched meanwhile. Lines that are read once are too short for the
// hardware to get going (3 x 100000 x 100 of float32 read 46 GB/s, and so reads 82, two threads); fetching
// the first 8 to 64 cache lines of each did not help. Lines that several rows read are in L2, and asking for
// them cost a quarter.
template <class T, int R, int C, bool Ahead>
void dots_tile(const DotsTile<T>& tile) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width, kCount = Chains<T>::count;
  static_assert(R * C <= W);
  vec chains[R][C][kCount];
  DG_UNROLL
  for (int i = 0; i < R * C * kCount; ++i) chains[i / (C * kCount)][i / kCount % C][i % kCount] = V::zero();
  const auto step = [&](int64_t k, auto load) DG_INLINE_LAMBDA {
    DG_UNROLL
    for (int v = 0; v < kCount; ++v) {
      vec bs[C];
      DG_UNROLL
      for (int j = 0; j < C; ++j) {
        const T* b = tile.b + j * tile.b_col + k + v * W;
        if constexpr (Ahead) DG_PREFETCH_L2(b + C * tile.b_col);
        bs[j] = load(b, v);
      }
      DG_UNROLL
      for (int r = 0; r < R; ++r) {
        const vec ar = load(tile.a + r * tile.a_row + k + v * W, v);
        DG_UNROLL
        for (int j = 0; j < C; ++j) chains[r][j][v] = V::fma(ar, bs[j], chains[r][j][v]);
      }
    }
  };
  int64_t k = 0;
  for (; k + kChains <= tile.length; k += kChains) {
    step(k, [](const T* p, int) DG_INLINE_LAMBDA { return V::load(p); });
  }
  if (const int n = static_cast<int>(tile.length - k); n > 0) {
    step(k,
         [n](const T* p, int v) DG_INLINE_LAMBDA { return v * W < n ? V::load_n(p, n - v * W) : V::zero(); });
  }
  vec folded[W];
  DG_UNROLL
  for (int i = 0; i < W; ++i) {
    if (i >= R * C) {
      folded[i] = V::zero();
      continue;
    }
    vec(&lanes)[kCount] = chains[i / C][i % C];
    for (int half = kCount / 2; half > 0; half /= 2) {
      for (int v = 0; v < half; ++v) lanes[v] = sum(lanes[v], lanes[v + half]);
    }
    folded[i] = lanes[0];
  }
  T sums[W];
  V::store(sums, tree_of_lanes(folded));
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < C; ++j) tile.c[r * tile.c_row + j] = sums[r * C + j];
  }
}

// Half of the registers hold chains.
template <class T>
struct DotsTiles {
  static constexpr int dots = Simd<T>::registers / 2 / Chains<T>::count;
  static constexpr int rows = dots >= 8 ? 4 : dots >= 2 ? 2 : 1;
  static constexpr int cols = dots >= 2 ? dots / rows : 1;
  using Fn = void (*)(const DotsTile<T>&);
  struct Row {
    Fn of[cols];
    Fn ahead;
  };
  struct Table {
    Row of[rows];
  };
  template <int R, int... C>
  static constexpr Row row(Sequence<C...>) {
    return {{dots_tile<T, R, C + 1, false>...}, dots_tile<T, R, cols, true>};
  }
  template <int... R>
  static constexpr Table table(Sequence<R...>) {
    return {{row<R + 1>(make_sequence<cols>())...}};
  }
  static constexpr Table tiles = table(make_sequence<rows>());
};

template <class T>
void gemm_dots(const void* raw, int64_t begin, int64_t end, int, void*) {
  using Tiles = DotsTiles<T>;
  const GemmDotsArgs& args = *static_cast<const GemmDotsArgs*>(raw);
  const DenseView &a = args.a, &b = args.b, &c = args.c;
  DotsTile<T> tile;
  tile.a_row = a.row_stride;
  tile.b_col = b.col_stride;
  tile.c_row = c.row_stride;
  tile.length = a.cols;
  const bool once = end - begin <= Tiles::rows;
  for (int64_t i = begin; i < end; i += Tiles::rows) {
    tile.a = static_cast<const T*>(a.data) + i * a.row_stride;
    const auto& row = Tiles::tiles.of[min64(Tiles::rows, end - i) - 1];
    for (int64_t j = 0; j < c.cols; j += Tiles::cols) {
      tile.b = static_cast<const T*>(b.data) + j * b.col_stride;
      tile.c = static_cast<T*>(c.data) + i * c.row_stride + j;
      const bool ahead = once && j + 2 * Tiles::cols <= c.cols;
      (ahead ? row.ahead : row.of[min64(Tiles::cols, c.cols - j) - 1])(tile);
    }
  }
}

// ---- few columns of B side by side, its rows without a gap ----------------------------------------------
//
// Lanes run through the elements of B as they stand: element e belongs to k = e / N and column e % N, so that
// 16 N of them are the 16 chains of N columns. Lanes of A are picked. Counts for r rows: for 16 k's N loads
// of B, and r N of A, picks and FMAs, instead of 16 r FMAs with N lanes in use.

// Elements of A that a step may read behind its 16 k's, in k's.
constexpr int64_t kReadBehind = 17;

template <class T, int N>
struct FlatPlaces {
  static constexpr int W = Simd<T>::width, count = N * Chains<T>::count;
  // The first k of a vector of B.
  static constexpr int first(int v) { return v * W / N; }

  Place<T> of[count][W];

  explicit FlatPlaces(int64_t a_step) {
    for (int v = 0; v < count; ++v) {
      for (int l = 0; l < W; ++l) of[v][l] = static_cast<Place<T>>(((v * W + l) / N - first(v)) * a_step);
    }
  }
};

template <class T, int N, int R, bool Woven>
struct FlatChains {
  using V = Simd<T>;
  static constexpr int W = V::width, count = FlatPlaces<T, N>::count;
  typename V::vec lanes[R][count];

  DG_INLINE void step(const T* a, int64_t a_row, int64_t a_step, const T* b, const FlatPlaces<T, N>& places) {
    DG_UNROLL
    for (int v = 0; v < count; ++v) {
      const typename V::vec bv = V::load(b + v * W);
      const T* from = a + FlatPlaces<T, N>::first(v) * a_step;
      DG_UNROLL
      for (int r = 0; r < R; ++r) {
        lanes[r][v] = V::fma(spread<Woven ? 2 : 1>(from + r * a_row, places.of[v]), bv, lanes[r][v]);
      }
    }
  }
};

// Rows [row, row + R). `Woven`: A has its rows side by side as well, at most N of them from one k to the
// next.
template <class T, int N, int R, bool Woven>
void flat_rows(const GemmDotsArgs& args, const FlatPlaces<T, N>& places, int64_t row) {
  using V = Simd<T>;
  const DenseView &a = args.a, &c = args.c;
  const int64_t a_step = Woven ? a.col_stride : 1, a_row = Woven ? 1 : a.row_stride, depth = a.cols;
  const T* from_a = static_cast<const T*>(a.data) + row * a_row;
  const T* from_b = static_cast<const T*>(args.b.data);
  FlatChains<T, N, R, Woven> chains;
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < chains.count; ++v) chains.lanes[r][v] = V::zero();
  }
  int64_t k = 0;
  const int64_t whole = min64(depth, depth + args.behind - kReadBehind);
  for (; k + kChains <= whole; k += kChains) {
    chains.step(from_a + k * a_step, a_row, a_step, from_b + k * N, places);
  }
  for (; k < depth; k += kChains) {  // zeros past the end: fma(0, 0, chain) leaves a chain as it is
    constexpr int64_t kRow = Woven ? 1 : 2 * kChains;
    T a_copy[(R + N) * 2 * kChains] = {}, b_copy[N * kChains] = {};
    const int64_t n = min64(kChains, depth - k);
    for (int64_t i = 0; i < n; ++i) {
      for (int r = 0; r < R; ++r) a_copy[r * kRow + i * a_step] = from_a[r * a_row + (k + i) * a_step];
      for (int j = 0; j < N; ++j) b_copy[i * N + j] = from_b[(k + i) * N + j];
    }
    chains.step(a_copy, kRow, a_step, b_copy, places);
  }
  for (int r = 0; r < R; ++r) {
    T sums[N * kChains];
    for (int v = 0; v < chains.count; ++v) V::store(sums + v * V::width, chains.lanes[r][v]);
    for (int half = N * kChains / 2; half >= N; half /= 2) {
      for (int l = 0; l < half; ++l) sums[l] += sums[l + half];
    }
    for (int j = 0; j < N; ++j) static_cast<T*>(c.data)[(row + r) * c.row_stride + j] = sums[j];
  }
}

template <class T, int N, bool Woven>
void flat_columns(const GemmDotsArgs& args) {
  constexpr int kFit = 3 * Simd<T>::registers / 4 / FlatPlaces<T, N>::count;
  constexpr int kRows = kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
  const FlatPlaces<T, N> places(Woven ? args.a.col_stride : 1);
  int64_t i = 0;
  for (; i + kRows <= args.c.rows; i += kRows) flat_rows<T, N, kRows, Woven>(args, places, i);
  for (; i < args.c.rows; ++i) flat_rows<T, N, 1, Woven>(args, places, i);
}

template <class T>
struct FlatTable {
  using Fn = void (*)(const GemmDotsArgs&);
  struct Row {
    Fn of[kMostFlat - 1];
  };
  template <bool Woven, int... N>
  static constexpr Row row(Sequence<N...>) {
    return {{flat_columns<T, N + 2, Woven>...}};
  }
  static constexpr Row of[2] = {row<false>(make_sequence<kMostFlat - 1>()),
                                row<true>(make_sequence<kMostFlat - 1>())};
};

template <class T>
void gemm_flat(const void* raw, int64_t, int64_t, int, void*) {
  const GemmDotsArgs& args = *static_cast<const GemmDotsArgs*>(raw);
  FlatTable<T>::of[args.a.col_stride != 1].of[args.c.cols - 2](args);
}

}  // namespace
}  // namespace deepgemm::DG_ISA
