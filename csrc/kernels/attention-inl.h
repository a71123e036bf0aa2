// softmax(scale Q K^T) V within segments, in the order that deepgemm/stated/attention.py states.
//
// A tile of rows goes over the keys three times: scores as register tiles of Q K^T, softmax along each row,
// register tiles of P V. Scores stand in a buffer as long as the keys, which stays in L2, so nothing is
// computed twice and nothing padded. K is packed into panels of keys and V into panels of its columns, once
// for each piece.
//
// Counts for a tile of r rows and each vector of keys: r (d + d_v) multiply-adds, and r exponentials of 9
// (float) multiply-adds and some 12 simpler operations: a quarter of the time at d = 64.
#pragma once

#include "core/attention_args.h"
#include "kernels/elementary-inl.h"
#include "kernels/gemm_tile-inl.h"
#include "kernels/segments-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// As real_tile, where row r of A stands r * kAttentionStride elements from the first one: known when this is
// compiled, so that one register leads to all rows.
template <class T, int R, int NV, bool Masked>
void rows_tile(const Tile<T>& tile) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width;
  const auto load = [&](const T* p, int v) DG_INLINE_LAMBDA {
    if constexpr (Masked) return V::load_n(p, lanes_of<W>(tile.columns, v));
    return V::load(p);
  };
  vec acc[R][NV];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      acc[r][v] = tile.first ? V::zero() : load(tile.c + r * tile.c_stride + v * W, v);
    }
  }
  const T* a = tile.a;
  const T* b = tile.b;
  for (int64_t k = 0; k < tile.depth; ++k, ++a, b += tile.b_step) {
    vec bs[NV];
    DG_UNROLL
    for (int v = 0; v < NV; ++v) bs[v] = load(b + (v / 2) * tile.b_panel + (v % 2) * W, v);
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      const vec ar = V::set1(a[r * kAttentionStride]);
      DG_UNROLL
      for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(ar, bs[v], acc[r][v]);
    }
  }
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      T* to = tile.c + r * tile.c_stride + v * W;
      if constexpr (Masked) {
        V::store_n(to, acc[r][v], lanes_of<W>(tile.columns, v));
      } else {
        V::store(to, acc[r][v]);
      }
    }
  }
}

// Tiles of one panel, or of two where rows are too few for that many chains to hide their latency.
template <class T>
struct RowTiles {
  static constexpr GemmBlocking blocking =
      gemm_blocking(Isa::DG_ISA, sizeof(T) == 4 ? DType::f32 : DType::f64);

  struct Row {
    TileFn<T> of[blocking.tile_rows];
  };
  template <int NV, bool Masked, int R>
  static constexpr TileFn<T> at() {
    if constexpr (NV == 2 || R <= blocking.rows_two_panels) return rows_tile<T, R, NV, Masked>;
    return nullptr;
  }
  template <int NV, bool Masked, int... R>
  static constexpr Row row(Sequence<R...>) {
    return {{at<NV, Masked, R + 1>()...}};
  }
  static constexpr Row tiles[2][2] = {
      {row<2, false>(make_sequence<blocking.tile_rows>()), row<2, true>(make_sequence<blocking.tile_rows>())},
      {row<4, false>(make_sequence<blocking.tile_rows>()),
       row<4, true>(make_sequence<blocking.tile_rows>())}};

  static int panels_for(int rows) { return rows <= blocking.rows_two_panels ? 2 : 1; }
  static void run(int rows, const Tile<T>& tile) {
    const int panels = panels_for(rows);
    tiles[panels - 1][tile.columns < panels * blocking.panel].of[rows - 1](tile);
  }
};

template <class T, class S>
class Attention {
  using V = Simd<T>;
  using vec = typename V::vec;
  using Tiles = RowTiles<T>;
  static constexpr int W = V::width, kVectors = kLanes / W;
  static constexpr int64_t kPanel = Tiles::blocking.panel, kRows = Tiles::blocking.tile_rows;
  static constexpr int64_t kBlockSize = kRows * kAttentionStride;

 public:
  Attention(const AttentionArgs& args, const AttentionPiece& piece, T* memory)
      : args_(args),
        piece_(piece),
        group_(args.q.heads / args.k.heads),
        queries_(args.q.length(piece.segment)),
        keys_(args.k.length(piece.segment)),
        space_(args, kRows, kPanel),
        memory_(memory) {}

  void run() {
    const Seen first = seen(piece_.row), last = seen(piece_.row + piece_.rows - 1);
    base_ = first.begin / kLanes * kLanes;  // so that lanes are those of whole segments
    count_ = last.end - base_;
    if (count_ > 0) {
      pack_keys();
      finite_ = pack_values();
    }
    const int64_t tiles = (piece_.rows + kRows - 1) / kRows;
    for (int64_t t = 0; t < tiles; ++t) {
      const Range rows = part(piece_.rows, t, tiles);
      row_tile(piece_.row + rows.begin, static_cast<int>(rows.end - rows.begin));
    }
  }

 private:
  // Keys that a row sees; begin and end both ascend with rows.
  struct Seen {
    int64_t begin, end;
  };
  Seen seen(int64_t row) const {
    const int64_t at = row / group_ + keys_ - queries_;
    const int64_t begin = at > args_.before ? min64(at - args_.before, keys_) : 0;
    const int64_t end = at < keys_ - args_.after ? at + args_.after + 1 : keys_;
    return {begin, end > begin ? end : begin};
  }

  const S* source(const AttentionRows& rows, int64_t row, int64_t head) const {
    return static_cast<const S*>(rows.values) +
           ((rows.begin(piece_.segment) + row) * rows.heads + head) * rows.width;
  }

  void pack_keys() {
    const PackSource<S> from{source(args_.k, base_, piece_.key_head), args_.k.heads * args_.k.width, 1};
    pack_real(from, count_, kPanel, args_.k.width, memory_ + space_.k);
  }

  // Whether all of it is finite: a sum with x - x says so.
  bool pack_values() {
    const int64_t width = args_.v.width;
    vec differences = V::zero();
    for (int64_t key = 0; key < count_; ++key) {
      const S* from = source(args_.v, base_ + key, piece_.key_head);
      T* to = memory_ + space_.v + key * kPanel;
      for (int64_t j = 0; j < width; j += kPanel, to += kPanel * count_) {
        for (int64_t i = 0; i < kPanel && j + i < width; i += W) {
          const vec x = load_stored(from + j + i, at_most(width - j - i, W));
          differences = sum(differences, difference(x, x));
          V::store(to + i, x);
        }
      }
    }
    T lanes[W];
    V::store(lanes, differences);
    for (int l = 0; l < W; ++l) {
      if (!(lanes[l] == T(0))) return false;
    }
    return true;
  }

  DG_INLINE static vec load_stored(const S* p, int n) {
    return n == W ? Storage<T, S>::load(p) : Storage<T, S>::load_n(p, n);
  }

  void row_tile(int64_t row, int rows) {
    const Seen first = seen(row), last = seen(row + rows - 1);
    const int64_t begin = first.begin - base_, end = last.end - base_;
    vec totals[kRows] = {};
    if (begin < end) {
      load_queries(row, rows);
      scores(rows, begin / kPanel * kPanel, end);
      for (int r = 0; r < rows; ++r) {
        const Seen own = seen(row + r);
        totals[r] = softmax(r, {begin, end}, {own.begin - base_, own.end - base_});
      }
      // A key that a row does not see has weight 0 in its tile, which only a finite value forgives.
      if (finite_ || (first.begin == last.begin && first.end == last.end)) {
        weighted(0, rows, begin, end);
      } else {
        for (int r = 0; r < rows; ++r) {
          const Seen own = seen(row + r);
          weighted(r, 1, own.begin - base_, own.end - base_);
        }
      }
    }
    for (int r = 0; r < rows; ++r) {
      const Seen own = seen(row + r);
      write(row + r, r, own.begin < own.end, totals[r]);
    }
  }

  void load_queries(int64_t row, int rows) {
    const int64_t width = args_.q.width;
    for (int r = 0; r < rows; ++r) {
      const int64_t query = (row + r) / group_, head = piece_.key_head * group_ + (row + r) % group_;
      const S* from = source(args_.q, query, head);
      for (int64_t j = 0; j < width; j += W) {
        T* to = memory_ + space_.queries + j / kAttentionBlock * kBlockSize + r * kAttentionStride +
                j % kAttentionBlock;
        V::store(to, load_stored(from + j, at_most(width - j, W)));
      }
    }
  }

  T* score(int r, int64_t key) const {
    return memory_ + space_.scores + key / kAttentionBlock * kBlockSize + r * kAttentionStride +
           key % kAttentionBlock;
  }

  void scores(int rows, int64_t begin, int64_t end) {
    const int64_t width = args_.k.width, step = Tiles::panels_for(rows) * kPanel;
    Tile<T> tile{};
    tile.b_step = kPanel;
    tile.b_panel = kPanel * width;
    tile.c_stride = kAttentionStride;
    for (int64_t key = begin; key < end;) {
      // Up to the end of the block, which an odd number of panels may have begun in.
      const int64_t room = min64(end, (key / kAttentionBlock + 1) * kAttentionBlock) - key;
      tile.columns = static_cast<int>(min64(step, room));
      tile.c = score(0, key);
      for (int64_t j = 0; j == 0 || j < width; j += kAttentionBlock) {
        tile.a = memory_ + space_.queries + j / kAttentionBlock * kBlockSize;
        tile.b = memory_ + space_.k + key * width + j * kPanel;
        tile.depth = min64(kAttentionBlock, width - j);
        tile.first = j == 0;
        Tiles::run(rows, tile);
      }
      key += tile.columns;
    }
  }

  // Scores of keys that the row does not see become -inf. Most vectors are whole: `n` lanes from `skip` on.
  DG_INLINE static vec visible(const T* p, int skip, int n, vec low) {
    if (skip <= 0) return n >= W ? V::load(p) : load_or(p, n, low);
    T lanes[W];
    V::store(lanes, low);
    for (int l = skip; l < n && l < W; ++l) lanes[l] = p[l];
    return V::load(lanes);
  }

  // Calls body(where, lanes to skip, lanes up to the end, v) for the vectors that hold keys of the range; v
  // is the place in a group of kLanes keys.
  template <class Body>
  DG_INLINE void each_score(int r, Seen own, Body body) const {
    for (int64_t group = own.begin / kLanes * kLanes; group < own.end; group += kLanes) {
      T* const at = score(r, group);
      DG_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const int64_t key = group + v * W;
        if (key >= own.end || key + W <= own.begin) continue;
        body(at + v * W, static_cast<int>(own.begin > key ? own.begin - key : 0), at_most(own.end - key, W),
             v);
      }
    }
  }

  // Leaves exponentials in place of the row's scores, zeros where the tile sees keys and the row does not,
  // and returns their sum in all lanes.
  vec softmax(int r, Seen tile, Seen own) {
    if (own.begin >= own.end) {
      for (int64_t key = tile.begin; key < tile.end; ++key) *score(r, key) = T(0);
      return V::zero();
    }
    const vec low = V::set1(static_cast<T>(-INFINITY)), scale = V::set1(static_cast<T>(args_.scale));
    Lanes<T, LargestNumber<T>> largest;
    for (int v = 0; v < kVectors; ++v) largest.lane[v] = low;
    each_score(r, own, [&](T* p, int skip, int n, int v) DG_INLINE_LAMBDA {
      vec scaled_score = product(V::load(p), scale);
      V::store(p, scaled_score);
      if (skip > 0 || n < W) scaled_score = visible(p, skip, n, low);
      largest.lane[v] = larger_number(scaled_score, largest.lane[v]);
    });
    const vec most = largest.everywhere();
    Lanes<T, Sum<T>> total;
    for (int v = 0; v < kVectors; ++v) total.lane[v] = V::zero();
    each_score(r, own, [&](T* p, int skip, int n, int v) DG_INLINE_LAMBDA {
      const vec x = skip > 0 || n < W ? visible(p, skip, n, low) : V::load(p);
      vec e = exponential<T>(difference(x, most));
      if (skip > 0 || n < W) e = only(e, skip, n);
      V::store(p, e);
      total.lane[v] = sum(total.lane[v], e);
    });
    for (int64_t key = tile.begin; key < own.begin; ++key) *score(r, key) = T(0);
    for (int64_t key = own.end; key < tile.end; ++key) *score(r, key) = T(0);
    return total.everywhere();
  }

  // Lanes [skip, n), zeros elsewhere. The exponential of -inf is 0 already, unless the largest score is nan
  // or -inf.
  DG_INLINE static vec only(vec e, int skip, int n) {
    if (skip <= 0) return V::fma_n(e, V::set1(T(1)), V::zero(), n);
    T lanes[W];
    V::store(lanes, e);
    for (int l = 0; l < skip; ++l) lanes[l] = T(0);
    for (int l = n; l < W; ++l) lanes[l] = T(0);
    return V::load(lanes);
  }

  // Rows from r on of P V, over keys [begin, end).
  void weighted(int r, int rows, int64_t begin, int64_t end) {
    const int64_t width = args_.v.width, padded = (width + kPanel - 1) / kPanel * kPanel;
    const int64_t step = Tiles::panels_for(rows) * kPanel;
    Tile<T> tile{};
    tile.b_step = kPanel;
    tile.b_panel = kPanel * count_;
    tile.c_stride = padded;
    tile.first = true;
    for (int64_t key = begin; key < end; key += tile.depth) {
      tile.depth = min64(end, (key / kAttentionBlock + 1) * kAttentionBlock) - key;
      tile.a = score(r, key);
      for (int64_t j = 0; j < width; j += step) {
        tile.columns = static_cast<int>(min64(step, width - j));
        tile.b = memory_ + space_.v + j * count_ + key * kPanel;
        tile.c = memory_ + space_.sums + r * padded + j;
        Tiles::run(rows, tile);
      }
      tile.first = false;
    }
  }

  void write(int64_t row, int r, bool any, vec total) {
    const int64_t width = args_.v.width, padded = (width + kPanel - 1) / kPanel * kPanel;
    const int64_t query = row / group_, head = piece_.key_head * group_ + row % group_;
    S* to = static_cast<S*>(args_.out) +
            ((args_.out_offsets[piece_.segment] + query) * args_.q.heads + head) * width;
    const T* from = memory_ + space_.sums + r * padded;
    for (int64_t j = 0; j < width; j += W) {
      const int n = at_most(width - j, W);
      const vec x = any ? quotient(V::load_n(from + j, n), total) : V::zero();
      Storage<T, S>::store_n(to + j, x, n);
    }
  }

  const AttentionArgs& args_;
  const AttentionPiece piece_;
  const int64_t group_, queries_, keys_;
  const AttentionSpace space_;
  T* const memory_;
  int64_t base_ = 0, count_ = 0;  // keys that are packed
  bool finite_ = true;
};

template <class T, class S>
void attention(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const AttentionArgs& args = *static_cast<const AttentionArgs*>(raw);
  for (int64_t i = begin; i < end; ++i) {
    Attention<T, S>(args, args.pieces[i], static_cast<T*>(workspace)).run();
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
