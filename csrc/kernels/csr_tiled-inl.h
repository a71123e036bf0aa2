// Products of tiles of S with a dense X, in the stated order: the accumulators of a row begin with what
// the panels before left in Y.
//
// Counts for float32, N columns: per entry 6 bytes of S, 4 N bytes of X (from L1 or L2 where panels are
// narrow), 2 N flops; per row and tile 6 bytes of S and 8 N bytes of Y. Each FMA loads its vector of X, two a
// cycle, and every other load takes the place of one: so columns and values come four entries to a load,
// are cut out by shifts and spread by shuffles, and are asked for a step early (rows of 20 entries in L1,
// NV = 4, Zen 5 with 247 GFLOP/s of FMA: 139 GFLOP/s with a load for each column and value, 158 with four
// columns to a load, 174 with four values as well; 80 entries: 149 and 188).
//
// What bounds 2048² at density 0.1, 128 columns (119 GFLOP/s on one thread, 237 on two: 48 % of the peak; 109
// and 211 before): a row finds 22 entries in a tile of 224 columns, 88 FMAs and as many loads of X. Loads
// alone allow 84 %; columns and shuffles leave 73 % of long rows in L1; X in all of L1 63 %; opening and
// closing rows (4 loads, 2 prefetches and 4 stores each) 53 %; Y and S passing through L2 and the copies of X
// the rest.
//
// What did not help: four rows side by side where NV is 4 (one thread: two 116, three 120, four 115 GFLOP/s);
// NV = 8 with panels of 96 to 128 columns (L1 holds fewer of them, so rows find 10 to 13 entries: 117); NV =
// 2 with panels of 320 (120 on tiles in L1, where NV = 4 has 133); panels of 128 to 192 columns (117 to 120);
// blocks of 1,024 rows, whose ends are foreseen better (118); large pages behind X and Y; rows of Y side by
// side.

#include "core/tiled_args.h"
#include "kernels/columns-inl.h"
#include "kernels/common-inl.h"
#include "kernels/passes-inl.h"
#include "simd/half_storage.h"

namespace deepgemm::DG_ISA {
namespace {

// Rows run side by side, the longer ones without those that have ended. That costs mispredicted ends of
// loops, so rows of different length do so from this length on only.
constexpr int64_t kTiledWorthSharing = 16;

// The accumulators of a row. Where rows of X are whole vectors, what they hold beyond the last column is
// multiplied too, and not stored: masking a load of X costs 2 cycles (2 to 5
// columns take 0.62 of the time, 12 to 33 columns 0.65 to 0.78).
template <class T, class V, int NV, bool Masked, bool Whole>
struct TileRow {
  typename V::vec acc[NV];

  DG_INLINE void open(const T* y, int tail, bool first) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      acc[v] = first                   ? V::zero()
               : Masked && v == NV - 1 ? V::load_n(y + v * V::width, tail)
                                       : V::load(y + v * V::width);
    }
  }
  DG_INLINE void add(typename V::vec a, const T* x, int tail) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      const bool part = Masked && !Whole && v == NV - 1;
      acc[v] = V::fma(a, part ? V::load_n(x + v * V::width, tail) : V::load(x + v * V::width), acc[v]);
    }
  }
  DG_INLINE void close(T* y, int tail) const {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) {
      if (Masked && v == NV - 1) {
        V::store_n(y + v * V::width, acc[v], tail);
      } else {
        V::store(y + v * V::width, acc[v]);
      }
    }
  }
};

// Where a tile reads and writes.
template <class T>
struct TilePlace {
  const T* x;
  int64_t x_stride;
  T* y;
  int64_t y_stride;
  int tail;
  bool first;
};

// Entries of a row are loaded so many at a time, and spread.
constexpr int kTogether = 4;

// Values from p on, widened where they are stored narrower than the chain: one conversion for kTogether of
// them.
template <class V, class T, class S>
DG_INLINE typename V::vec load_values(const S* p) {
  if constexpr (sizeof(S) == sizeof(T)) {
    return V::load(p);
  } else if constexpr (sizeof(typename V::vec) < sizeof(typename Simd<T>::vec)) {
    return HalfStorage<T, S>::load(p);
  } else {
    return Storage<T, S>::load(p);
  }
}

// Whether values are. Where registers are few those that say how to spread leave too few for accumulators,
// and only one vector of columns, with which every second load would be a value, is better off.
template <class T, class S, class V, int NV>
constexpr bool spreads =
    V::width >= kTogether && (NV == 1 || Simd<T>::registers >= 32 || sizeof(S) < sizeof(T));

// One value in all lanes.
template <class V, class T, class S>
DG_INLINE typename V::vec one_value(const S* p) {
  if constexpr (sizeof(S) < sizeof(T) && V::width >= kTogether) {
    return V::lane(load_values<V, T>(p), 0);
  } else {
    return V::set1(widened(*p));
  }
}

// Calls step<First>(t) for the t-th entries of rows First .. R - 1, while row First has one; then without it.
template <int First, int R, class Step>
DG_INLINE void for_each_step(int64_t t, const uint32_t* length, const Step& step) {
  if constexpr (First < R) {
    for (; t < length[First]; ++t) step.template operator()<First>(t);
    for_each_step<First + 1, R>(t, length, step);
  }
}

// R rows of one tile, the shortest first; `index` and `values` are theirs, one row after another.
template <class T, class S, class I, class V, int R, int NV, bool Masked, bool Whole>
DG_INLINE int64_t tile_rows(const TilePlace<T>& at, const uint16_t* row, const uint32_t* length,
                            const I* index, const S* values) {
  TileRow<T, V, NV, Masked, Whole> tile[R];
  int64_t start[R], end = 0;
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    start[r] = end;
    end += length[r];
    tile[r].open(at.y + row[r] * at.y_stride, at.tail, at.first);
  }
  // A shift where the stride is known: products of integers cost 4 to 8 % here.
  const int64_t stride = Whole ? NV * V::width : at.x_stride;
  int64_t t = 0;
  if constexpr (spreads<T, S, V, NV>) {
    const int64_t shared = length[0];
    Columns<I> ahead[R];
    DG_UNROLL
    for (int r = 0; r < R; ++r) ahead[r].load(index + start[r]);
    typename V::vec a[R];
    const auto add = [&](const Columns<I>* columns, int lane) DG_INLINE_LAMBDA {
      DG_UNROLL
      for (int r = 0; r < R; ++r) {
        tile[r].add(V::lane(a[r], lane), at.x + columns[r].get(lane) * stride, at.tail);
      }
    };
    for (; t + kTogether <= shared; t += kTogether) {
      Columns<I> columns[R];
      DG_UNROLL
      for (int r = 0; r < R; ++r) {
        a[r] = load_values<V, T>(values + start[r] + t);
        columns[r] = ahead[r];
        ahead[r].load(index + start[r] + t + kTogether);
      }
      DG_UNROLL
      for (int lane = 0; lane < kTogether; ++lane) add(columns, lane);
    }
    DG_UNROLL
    for (int r = 0; r < R; ++r) a[r] = load_values<V, T>(values + start[r] + t);
    DG_UNROLL
    for (int lane = 0; lane < kTogether - 1; ++lane) {
      if (t + lane >= shared) break;
      add(ahead, lane);
    }
    t = shared;
  }
  for_each_step<0, R>(t, length, [&]<int First>(int64_t step) DG_INLINE_LAMBDA {
    DG_UNROLL
    for (int r = First; r < R; ++r) {
      const int64_t p = start[r] + step;
      tile[r].add(one_value<V, T>(values + p), at.x + static_cast<int64_t>(index[p]) * stride, at.tail);
    }
  });
  DG_UNROLL
  for (int r = 0; r < R; ++r) tile[r].close(at.y + row[r] * at.y_stride, at.tail);
  return end;
}

// Rows of Y come in no order that the hardware could foresee: those of the next group are asked for while
// this one is computed, and every second line brings its neighbour along (2048² at density 0.1: 113 GFLOP/s
// without, 119 with every line, 121 so). The first panel does not read Y.
template <class T, class V, int NV>
DG_INLINE void fetch_rows(const TilePlace<T>& at, const uint16_t* row, int64_t count) {
  if (at.first) return;
  for (int64_t r = 0; r < count; ++r) {
    const T* y = at.y + row[r] * at.y_stride;
    DG_UNROLL
    for (int byte = 0; byte < NV * static_cast<int>(sizeof(typename V::vec)); byte += 128) {
      DG_PREFETCH(reinterpret_cast<const char*>(y) + byte);
    }
  }
}

// As many entries of S as were taken, a while ahead: X from L1 hides them from the hardware's prefetcher
// (2048² at density 0.5, 12 MB: 120 to 140 GFLOP/s became 144 to 153; at 0.1, 2.5 MB, 1 % is lost).
template <class S, class I>
DG_INLINE void fetch_entries(const I* index, const S* values, int64_t taken) {
  constexpr int64_t ahead = 512;
  for (int64_t i = 0; i < taken; i += 64 / static_cast<int64_t>(sizeof(S))) DG_PREFETCH(values + ahead + i);
  for (int64_t i = 0; i < taken; i += 64 / static_cast<int64_t>(sizeof(I))) DG_PREFETCH(index + ahead + i);
}

// Rows side by side: chains enough to hide the latency of FMA.
template <class T, int NV>
constexpr int rows_together() {
  if (NV == 1) return 4;
  if (Simd<T>::registers < 32) return NV <= 4 ? 2 : 1;
  return NV == 2 ? 4 : NV <= 4 ? 3 : 1;
}

template <class T, class S, class I, class V, int NV, bool Masked, bool Whole>
void tile_pass(const TiledArgs& args, int64_t tile, const TilePlace<T>& at) {
  constexpr int R = rows_together<T, NV>();
  const int64_t end = args.row_start[tile + 1];
  const I* index = static_cast<const I*>(args.index) + args.entry_start[tile];
  const S* values = static_cast<const S*>(args.values) + args.entry_start[tile];
  int64_t i = args.row_start[tile];
  while (i < end) {
    const uint16_t* row = args.row + i;
    const uint32_t* length = args.length + i;
    fetch_rows<T, V, NV>(at, row + R, min64(R, end - i - R));
    int64_t taken;
    if (R > 1 && i + R <= end && (length[0] == length[R - 1] || length[0] >= kTiledWorthSharing)) {
      taken = tile_rows<T, S, I, V, R, NV, Masked, Whole>(at, row, length, index, values);
      i += R;
    } else {
      taken = tile_rows<T, S, I, V, 1, NV, Masked, Whole>(at, row, length, index, values);
      ++i;
    }
    if (NV > 2 && args.far) fetch_entries(index, values, taken);
    index += taken;
    values += taken;
  }
}

// Panels outside, blocks inside: the rows of X of a panel are used by all blocks while they are near.
template <class T, class S, class I, class V, int NV, bool Masked, bool Whole>
void tiles_pass(const TiledArgs& args, int64_t begin, int64_t end, int64_t column, int tail) {
  const T* x = static_cast<const T*>(args.x) + column;
  T* y = static_cast<T*>(args.y) + column;
  for (int64_t panel = args.first_panel; panel < args.last_panel; ++panel) {
    for (int64_t block = begin; block < end; ++block) {
      const TilePlace<T> at{x + (panel - args.first_panel) * args.panel_cols * args.x_stride,
                            args.x_stride,
                            y + block * args.block_rows * args.y_stride,
                            args.y_stride,
                            tail,
                            panel == 0};
      tile_pass<T, S, I, V, NV, Masked, Whole>(args, block * args.panels + panel, at);
    }
  }
}

// One pass over columns, by how they end and whether rows of X are whole vectors.
template <class T, class I, class V, int NV, bool Masked>
DG_INLINE void columns_pass(const TiledArgs& args, int64_t begin, int64_t end, int64_t column, int tail) {
  if constexpr (NV * V::width * sizeof(T) <= kTiledPassBytes && sizeof(I) == sizeof(uint16_t)) {
    if (args.whole && args.x_stride == NV * V::width) {
      return tiles_pass<T, T, I, V, NV, Masked, true>(args, begin, end, column, tail);
    }
  }
  tiles_pass<T, T, I, V, NV, Masked, false>(args, begin, end, column, tail);
}

template <class T, class I>
void all_columns(const TiledArgs& args, int64_t begin, int64_t end) {
  using Half = HalfSimd<T>;
  if (args.columns <= Half::width) {
    const int columns = static_cast<int>(args.columns);
    if (columns == Half::width) {
      columns_pass<T, I, Half, 1, false>(args, begin, end, 0, 0);
    } else {
      columns_pass<T, I, Half, 1, true>(args, begin, end, 0, columns);
    }
    return;
  }
  for_each_pass<Simd<T>>(0, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
    columns_pass<T, I, Simd<T>, NV, Masked>(args, begin, end, column, tail);
  });
}

template <class T>
void csr_tiled(const void* raw, int64_t begin, int64_t end, int, void*) {
  const TiledArgs& args = *static_cast<const TiledArgs*>(raw);
  if (args.wide) {
    all_columns<T, uint32_t>(args, begin, end);
  } else {
    all_columns<T, uint16_t>(args, begin, end);
  }
}

// Values stay as they are stored, and X and Y are copies whose rows are whole vectors: so nothing is masked,
// and columns of S take 16 bits (core/tiled_narrow.cpp).
template <class S>
void csr_tiled_narrow(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<float>;
  using Half = HalfSimd<float>;
  const TiledArgs& args = *static_cast<const TiledArgs*>(raw);
  if (args.columns <= Half::width) {
    return tiles_pass<float, S, uint16_t, Half, 1, false, true>(args, begin, end, 0, 0);
  }
  for_each_pass<V, kMaxVectors, V::width>(0, args.columns, [&]<int NV, bool>(int64_t column, int) {
    constexpr bool all = V::width > 1;  // one pass takes all columns
    if constexpr (NV * sizeof(typename V::vec) <= kTiledPassBytes) {
      tiles_pass<float, S, uint16_t, V, NV, false, all>(args, begin, end, column, 0);
    }
  });
}

}  // namespace
}  // namespace deepgemm::DG_ISA
