// Packed, register-tiled C = A B in the stated order: each element of C is one chain over ascending k.
//
// A block of k begins by loading C into the accumulators (the first from zero), so blocking leaves no
// trace.

#include "kernels/gemm_tile-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <class Kind>
DG_INLINE void run_tile(int rows, int panels, const GemmBlockArgs& args,
                        const Tile<typename Kind::scalar>& tile) {
  if constexpr (Kind::in_place) {
    if (args.direct == GemmDirect::by_columns) return Kind::column_tiles.of[rows - 1](tile);
  }
  Kind::run(rows, panels, args.swapped, tile);
}

// ---- C that a tile cannot write itself goes through a buffer ---------------------------------------

template <class T>
DG_INLINE void copy_c(bool in, T* c, int64_t row_stride, int64_t col_stride, int rows, int columns, T* buffer,
                      int64_t buffer_stride, Tiles<T>) {
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < columns; ++j) {
      T& there = c[r * row_stride + j * col_stride];
      T& here = buffer[r * buffer_stride + j];
      (in ? here : there) = in ? there : here;
    }
  }
}

template <class T>
DG_INLINE void copy_c(bool in, T* c, int64_t row_stride, int64_t col_stride, int rows, int columns, T* buffer,
                      int64_t buffer_stride, Complex<T>) {
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < columns; ++j) {
      T* there = c + 2 * (r * row_stride + j * col_stride);
      T* here = buffer + r * buffer_stride + j;
      for (int part = 0; part < 2; ++part) {
        T& planar = here[part * Complex<T>::blocking.lanes];
        (in ? planar : there[part]) = in ? there[part] : planar;
      }
    }
  }
}

template <class Kind>
void buffered_tile(int rows, int panels, const GemmBlockArgs& args, Tile<typename Kind::scalar> tile) {
  using T = typename Kind::scalar;
  constexpr int kTwoVectors = 2 * Simd<T>::width;
  static_assert(2 * Kind::blocking.rows_two_panels <= Kind::blocking.tile_rows &&
                4 * Kind::blocking.rows_four_panels <= Kind::blocking.tile_rows);
  alignas(64) T buffer[Kind::blocking.tile_rows * kTwoVectors];
  T* c = tile.c;
  tile.c = buffer;
  tile.c_stride = panels * kTwoVectors;
  if (!tile.first) {
    copy_c(true, c, args.c.row_stride, args.c.col_stride, rows, tile.columns, buffer, tile.c_stride, Kind{});
  }
  run_tile<Kind>(rows, panels, args, tile);
  copy_c(false, c, args.c.row_stride, args.c.col_stride, rows, tile.columns, buffer, tile.c_stride, Kind{});
}

// ---- blocks --------------------------------------------------------------------------------------

template <class Kind>
class Block {
  using T = typename Kind::scalar;
  static constexpr int E = Kind::reals;
  static constexpr int kPanel = Kind::blocking.panel;

 public:
  Block(const GemmBlockArgs& args, int64_t task, void* workspace)
      : args_(args),
        h_(args.tile_rows),
        tiles_(part((args.c.rows + h_ - 1) / h_, task % args.row_tasks, args.row_tasks)),
        panels_(part((args.c.cols + kPanel - 1) / kPanel, task / args.row_tasks, args.col_tasks)),
        own_a_(static_cast<T*>(workspace)),
        own_b_(reinterpret_cast<T*>(static_cast<char*>(workspace) + args.own_a_bytes)) {
    if (args.own_starts_bytes > 0) {
      own_starts_ = reinterpret_cast<int32_t*>(reinterpret_cast<char*>(own_b_) - args.own_starts_bytes);
    }
  }

  void run() {
    const int64_t depth = args_.a.cols;
    for (int64_t k0 = 0; k0 == 0 || k0 < depth; k0 += args_.depth_block) {
      k0_ = k0;
      kc_ = min64(args_.depth_block, depth - k0);
      if (args_.packed_a == nullptr) pack_a();
      if (streams()) {
        for (int64_t p = panels_.begin; p < panels_.end; p += args_.strip_panels) {
          const int64_t count = min64(args_.strip_panels, panels_.end - p);
          stream(p, count);
          if (args_.epilogue != nullptr && k0_ + kc_ == depth) finish(p, count);
        }
        continue;
      }
      const bool packs_b = args_.packed_b == nullptr && args_.direct == GemmDirect::no;
      const int64_t group = by_columns() ? 1 : Kind::blocking.panels_for(h_), strip = args_.strip_panels;
      for (int64_t p = panels_.begin; p < panels_.end; p += group) {
        if (packs_b && (p - panels_.begin) % strip == 0) pack_b(p, min64(strip, panels_.end - p));
        const int count = static_cast<int>(min64(group, panels_.end - p));
        column_group(p, count);
        if (args_.epilogue != nullptr && k0_ + kc_ == depth) finish(p, count);
      }
    }
  }

 private:
  bool by_columns() const { return args_.direct == GemmDirect::by_columns; }
  bool streams() const { return args_.direct == GemmDirect::streamed && args_.c.col_stride == 1; }
  int rows_of(int64_t tile) const { return static_cast<int>(min64(h_, args_.c.rows - tile * h_)); }

  // Tiles and panels come out side by side: panel p begins at p * width * depth.
  void pack_a() {
    const DenseView& a = args_.a;
    const int64_t row = tiles_.begin * h_;
    const GemmPackArgs pack{at(a, row * a.row_stride + k0_ * a.col_stride, args_.a_size),
                            min64((tiles_.end - tiles_.begin) * h_, args_.c.rows - row),
                            a.row_stride,
                            kc_,
                            a.col_stride,
                            h_,
                            1,
                            own_a_,
                            args_.elements - kGroup * k0_};
    args_.pack_left(&pack, 0, tiles_.end - tiles_.begin, 0, nullptr);
  }

  void pack_b(int64_t panel, int64_t panels) {
    const DenseView& b = args_.b;
    const GemmPackArgs pack{at(b, k0_ * b.row_stride + panel * kPanel * b.col_stride, args_.b_size),
                            min64(panels * kPanel, args_.c.cols - panel * kPanel),
                            b.col_stride,
                            kc_,
                            b.row_stride,
                            kPanel,
                            panels,
                            own_b_,
                            args_.elements - kGroup * k0_,
                            args_.scaling,
                            args_.scaled_row + k0_,
                            args_.scaled_col + panel * kPanel,
                            own_starts_};
    args_.pack_right(&pack, 0, panels, 0, nullptr);
    strip_ = panel;
  }

  static const void* at(const DenseView& view, int64_t element, int64_t size) {
    return static_cast<const char*>(view.data) + element * size;
  }

  const T* b_at(int64_t panel) const {
    const DenseView& b = args_.b;
    return static_cast<const T*>(b.data) + E * (k0_ * b.row_stride + panel * kPanel * b.col_stride);
  }

  const T* a_tile(int64_t t) const {
    if (args_.packed_a == nullptr) return own_a_ + E * (t - tiles_.begin) * h_ * kc_;
    return static_cast<const T*>(args_.packed_a) + E * (t * h_ * args_.a.cols + k0_ * rows_of(t));
  }

  void point_at_b(int64_t panel, Tile<T>& tile) const {
    tile.b_step = E * kPanel;
    if (args_.packed_b != nullptr) {
      tile.b_panel = E * kPanel * args_.packed_b_depth;
      tile.b = static_cast<const T*>(args_.packed_b) + panel * tile.b_panel +
               (args_.packed_b_offset + k0_) * tile.b_step;
    } else if (args_.direct != GemmDirect::no) {
      tile.b_step = by_columns() ? args_.b.col_stride : args_.b.row_stride;
      tile.b_panel = kPanel;
      tile.b = b_at(panel);
    } else {
      tile.b_panel = E * kPanel * kc_;
      tile.b = own_b_ + (panel - strip_) * tile.b_panel;
    }
  }

  // The share of the next panels that the index-th tile fetches; nothing new if others have fetched all.
  const T* ahead_of(const Tile<T>& tile, int64_t index, int64_t panel, int panels) const {
    const int64_t begin = index * kc_ * Simd<T>::width, size = E * kPanel * kc_;
    const bool wanted =
        begin < size * panels && panel + panels < panels_.end && args_.direct == GemmDirect::no;
    return wanted ? tile.b + (panels + begin / size) * tile.b_panel + begin % size : tile.b;
  }

  void column_group(int64_t panel, int panels) {
    const DenseView& c = args_.c;
    Tile<T> tile;
    tile.columns = static_cast<int>(min64(static_cast<int64_t>(panels) * kPanel, c.cols - panel * kPanel));
    tile.depth = kc_;
    tile.first = args_.first && k0_ == 0;
    tile.overflowed = args_.overflowed;
    if (panels == 3) panels = 4;
    point_at_b(panel, tile);
    tile.start_rows = nullptr;
    tile.start_cols = starts_of(panel);
    for (int64_t t = tiles_.begin; t < tiles_.end; ++t) {
      tile.a = a_tile(t);
      tile.ahead = ahead_of(tile, t - tiles_.begin, panel, panels);
      tile.c = static_cast<T*>(c.data) + E * (t * h_ * c.row_stride + panel * kPanel * c.col_stride);
      tile.c_stride = c.row_stride;
      if (args_.start_rows != nullptr) tile.start_rows = args_.start_rows + t * h_;
      if (E == 1 && c.col_stride == 1) {
        run_tile<Kind>(rows_of(t), panels, args_, tile);
      } else {
        buffered_tile<Kind>(rows_of(t), panels, args_, tile);
      }
    }
  }

  // What the columns of a panel begin this block with.
  const int32_t* starts_of(int64_t panel) const {
    if (own_starts_ != nullptr) return own_starts_ + (panel - strip_) * kPanel;
    return args_.start_cols != nullptr && k0_ == 0 ? args_.start_cols + panel * kPanel : nullptr;
  }

  // A strip of B by its rows, for a few rows of A.
  void stream(int64_t panel, int64_t panels) {
    if constexpr (Kind::in_place) {
      const DenseView& c = args_.c;
      Tile<T> tile{};
      tile.a = a_tile(0);
      point_at_b(panel, tile);
      tile.c = static_cast<T*>(c.data) + panel * kPanel;
      tile.c_stride = c.row_stride;
      tile.depth = kc_;
      tile.first = args_.first && k0_ == 0;
      Kind::streams.of[rows_of(0) - 1](tile, min64(panels * kPanel, c.cols - panel * kPanel));
    }
  }

  // What this task has made of a group of columns, while it is in the caches.
  void finish(int64_t panel, int64_t panels) {
    const EpilogueArgs& whole = args_.ending;
    const int64_t row = tiles_.begin * h_, col = panel * kPanel;
    EpilogueArgs mine = whole;
    mine.from = moved(whole.from, row, col, sizeof(T) * E);
    mine.to = moved(whole.to, row, col, args_.to_size);
    mine.to.cols = min64(panels * kPanel, args_.c.cols - col);
    mine.terms = whole.terms.from(row, col, sizeof(T) * E);
    args_.epilogue(&mine, 0, min64(tiles_.end * h_, args_.c.rows) - row, 0, nullptr);
  }

  static DenseView moved(DenseView view, int64_t row, int64_t col, int64_t size) {
    view.data = static_cast<char*>(view.data) + (row * view.row_stride + col * view.col_stride) * size;
    return view;
  }

  const GemmBlockArgs& args_;
  const int64_t h_;
  const Range tiles_, panels_;
  T* const own_a_;
  T* const own_b_;
  int32_t* own_starts_ = nullptr;
  int64_t k0_ = 0, kc_ = 0, strip_ = 0;
};

template <class Kind>
void gemm_block(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  for (int64_t task = begin; task < end; ++task) {
    Block<Kind>(*static_cast<const GemmBlockArgs*>(raw), task, workspace).run();
  }
}

template <class Kind, bool Left, class S = typename Kind::scalar>
void gemm_pack(const void* raw, int64_t begin, int64_t end, int, void*) {
  using T = typename Kind::scalar;
  constexpr int E = Kind::reals;
  const GemmPackArgs& args = *static_cast<const GemmPackArgs*>(raw);
  // Panels of A are packed one by one: the last one is narrower. Those of B in strips.
  const int64_t step = Left ? 1 : args.strip_panels;
  for (int64_t p = begin; p < end; p += step) {
    const int64_t at = p * args.width, count = min64(min64(step, end - p) * args.width, args.across - at);
    const PackSource<S> from{static_cast<const S*>(args.source) + E * at * args.across_stride,
                             args.across_stride, args.depth_stride};
    T* to = static_cast<T*>(args.packed) + E * at * args.depth;
    if constexpr (Left) {
      Kind::pack_left(from, count, args.depth, to);
    } else {
      Kind::pack_right(from, count, args.depth, to);
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
