// Products of tiles of S with a dense X, in the stated order: the accumulators of a row begin with what
// the panels before left in Y.
//
// Counts for float32, N columns: per entry 6 bytes of S, 4 N bytes of X (from L1 or L2 where panels are
// narrow), 2 N flops; per row and tile 6 bytes of S and 8 N bytes of Y. Each FMA loads its vector of X and
// each entry broadcasts its value, so two loads a cycle allow NV / (NV + 1) of the FMA peak. On one thread
// the loop alone reaches two thirds of it in L1 (NV = 4), and products of 2048² with 128 columns half of it
// at densities 0.2 to 0.5 and 0.47 at 0.1.
//
// What did not help: three or four rows side by side where NV is 4 (the loop is level, their ends cost
// more); NV = 8 with panels of 64 columns (L1 holds them, but rows find too few entries in each).

#include "core/tiled_args.h"
#include "kernels/common-inl.h"
#include "kernels/passes-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// Rows run side by side, the longer ones without those that have ended. That costs mispredicted ends of
// loops, so rows of different length do so from this length on only.
constexpr int64_t kTiledWorthSharing = 16;

template <class T, class V, int NV, bool Masked>
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
      const bool part = Masked && v == NV - 1;
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

// Calls step<First>(t) for the t-th entries of rows First .. R - 1, while row First has one; then without it.
template <int First, int R, class Step>
DG_INLINE void for_each_step(int64_t t, const uint32_t* length, const Step& step) {
  if constexpr (First < R) {
    for (; t < length[First]; ++t) step.template operator()<First>(t);
    for_each_step<First + 1, R>(t, length, step);
  }
}

// R rows of one tile, the shortest first; `index` and `values` are theirs, one row after another.
template <class T, class I, class V, int R, int NV, bool Masked>
DG_INLINE int64_t tile_rows(const TilePlace<T>& at, const uint16_t* row, const uint32_t* length,
                            const I* index, const T* values) {
  // With one vector of columns the broadcast of a value would be every second load, and loads are the
  // limit: values are loaded four at a time and spread by shuffles (a tenth to a third faster).
  constexpr int kLanes = NV == 1 && V::width >= 4 ? 4 : 1;
  TileRow<T, V, NV, Masked> tile[R];
  int64_t start[R], end = 0;
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    start[r] = end;
    end += length[r];
    tile[r].open(at.y + row[r] * at.y_stride, at.tail, at.first);
  }
  const auto x_row = [&](int64_t p)
                         DG_INLINE_LAMBDA { return at.x + static_cast<int64_t>(index[p]) * at.x_stride; };
  const int64_t shared = length[0];
  int64_t t = 0;
  if constexpr (kLanes > 1) {
    for (; t + kLanes <= shared; t += kLanes) {
      typename V::vec a[R];
      DG_UNROLL
      for (int r = 0; r < R; ++r) a[r] = V::load(values + start[r] + t);
      DG_UNROLL
      for (int lane = 0; lane < kLanes; ++lane) {
        DG_UNROLL
        for (int r = 0; r < R; ++r) {
          tile[r].add(V::lane(a[r], lane), x_row(start[r] + t + lane), at.tail);
        }
      }
    }
  }
  for_each_step<0, R>(t, length, [&]<int First>(int64_t step) DG_INLINE_LAMBDA {
    DG_UNROLL
    for (int r = First; r < R; ++r) {
      tile[r].add(V::set1(values[start[r] + step]), x_row(start[r] + step), at.tail);
    }
  });
  DG_UNROLL
  for (int r = 0; r < R; ++r) tile[r].close(at.y + row[r] * at.y_stride, at.tail);
  return end;
}

// Rows of Y come in no order that the hardware could foresee: those of the next group are asked for while
// this one is computed (2048² at density 0.1: 107 -> 116 GFLOP/s). The first panel does not read Y.
template <class T, class V, int NV>
DG_INLINE void fetch_ahead(const TilePlace<T>& at, const uint16_t* row, int64_t count) {
  if (at.first) return;
  for (int64_t r = 0; r < count; ++r) {
    const T* y = at.y + row[r] * at.y_stride;
    DG_UNROLL
    for (int v = 0; v < NV; ++v) DG_PREFETCH(y + v * V::width);
  }
}

template <class T, class I, class V, int NV, bool Masked>
void tile_pass(const TiledArgs& args, int64_t tile, const TilePlace<T>& at) {
  constexpr int R = NV == 1 ? 4 : NV <= 4 ? 2 : 1;
  const int64_t end = args.row_start[tile + 1];
  const I* index = static_cast<const I*>(args.index) + args.entry_start[tile];
  const T* values = static_cast<const T*>(args.values) + args.entry_start[tile];
  int64_t i = args.row_start[tile];
  while (i < end) {
    const uint16_t* row = args.row + i;
    const uint32_t* length = args.length + i;
    fetch_ahead<T, V, NV>(at, row + R, min64(R, end - i - R));
    int64_t taken;
    if (R > 1 && i + R <= end && (length[0] == length[R - 1] || length[0] >= kTiledWorthSharing)) {
      taken = tile_rows<T, I, V, R, NV, Masked>(at, row, length, index, values);
      i += R;
    } else {
      taken = tile_rows<T, I, V, 1, NV, Masked>(at, row, length, index, values);
      ++i;
    }
    index += taken;
    values += taken;
  }
}

// Panels outside, blocks inside: the rows of X of a panel are used by all blocks while they are near.
template <class T, class I, class V, int NV, bool Masked>
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
      tile_pass<T, I, V, NV, Masked>(args, block * args.panels + panel, at);
    }
  }
}

template <class T, class I>
void all_columns(const TiledArgs& args, int64_t begin, int64_t end) {
  using Half = HalfSimd<T>;
  if (args.columns <= Half::width) {
    const int columns = static_cast<int>(args.columns);
    if (columns == Half::width) {
      tiles_pass<T, I, Half, 1, false>(args, begin, end, 0, 0);
    } else {
      tiles_pass<T, I, Half, 1, true>(args, begin, end, 0, columns);
    }
    return;
  }
  for_each_pass<Simd<T>>(0, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
    tiles_pass<T, I, Simd<T>, NV, Masked>(args, begin, end, column, tail);
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

}  // namespace
}  // namespace deepgemm::DG_ISA
