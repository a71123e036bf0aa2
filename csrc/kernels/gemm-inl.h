// Packed, register-tiled C = A B in the stated order: each element of C is one chain over ascending k.
//
// A block of k begins by loading C into the accumulators (the first from zero), so blocking leaves no
// trace. Counts for a tile of r rows and v vectors: for each k v loads, r broadcasts, r v FMAs; C is
// read and written once for each block of k.
//
// Without gain: prefetching the C of the next tile, for reading or for writing (within 2 % either way at
// 1024 to 2048 cubed).

#include "core/gemm_args.h"
#include "kernels/gemm_pack-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// One register tile: rows of packed A against vectors of columns of B.
template <class T>
struct Tile {
  const T* a;       // R values for each k
  const T* b;
  int64_t b_step;   // from one k to the next
  int64_t b_panel;  // from one pair of vectors to the next
  T* c;
  int64_t c_stride;
  int64_t depth;
  int columns;      // valid columns
  bool first;
};

template <class T>
using TileFn = void (*)(const Tile<T>&);

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
  for (int64_t k = 0; k < tile.depth; ++k, a += R, b += tile.b_step) {
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
      if constexpr (Masked) {
        V::store_n(to, acc[r][v], lanes_of<W>(tile.columns, v));
      } else {
        V::store(to, acc[r][v]);
      }
    }
  }
}

// Which tiles exist: [Masked][log2 of the vectors][rows - 1].
template <class T>
struct Real {
  using scalar = T;
  static constexpr int reals = 1;
  static constexpr GemmBlocking blocking =
      gemm_blocking(Isa::DG_ISA, sizeof(T) == 4 ? DType::f32 : DType::f64);
  static constexpr int W = Simd<T>::width;

  static void pack_left(const PackSource<T>& from, int64_t count, int64_t depth, T* to) {
    pack_real(from, count, count, depth, to);
  }
  static void pack_right(const PackSource<T>& from, int64_t count, int64_t depth, T* to) {
    pack_real(from, count, blocking.panel, depth, to);
  }

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
  for (int64_t k = 0; k < tile.depth; ++k, a += 2 * R, b += tile.b_step) {
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

// ---- C that a tile cannot write itself goes through a buffer ---------------------------------------

template <class T>
DG_INLINE void copy_c(bool in, T* c, int64_t row_stride, int64_t col_stride, int rows, int columns, T* buffer,
                      int64_t buffer_stride, Real<T>) {
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
  alignas(64) T buffer[Kind::blocking.tile_rows * kTwoVectors];
  T* c = tile.c;
  tile.c = buffer;
  tile.c_stride = panels * kTwoVectors;
  if (!tile.first) {
    copy_c(true, c, args.c.row_stride, args.c.col_stride, rows, tile.columns, buffer, tile.c_stride, Kind{});
  }
  Kind::run(rows, panels, args.swapped, tile);
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
        own_b_(reinterpret_cast<T*>(static_cast<char*>(workspace) + args.own_a_bytes)) {}

  void run() {
    const int64_t depth = args_.a.cols;
    for (int64_t k0 = 0; k0 == 0 || k0 < depth; k0 += args_.depth_block) {
      k0_ = k0;
      kc_ = min64(args_.depth_block, depth - k0);
      if (args_.packed_a == nullptr) pack_a();
      const bool packs_b = args_.packed_b == nullptr && !args_.direct_b;
      const int64_t group = Kind::blocking.panels_for(h_), strip = args_.strip_panels;
      for (int64_t p = panels_.begin; p < panels_.end; p += group) {
        if (packs_b && (p - panels_.begin) % strip == 0) pack_b(p, min64(strip, panels_.end - p));
        column_group(p, static_cast<int>(min64(group, panels_.end - p)));
      }
    }
  }

 private:
  int rows_of(int64_t tile) const { return static_cast<int>(min64(h_, args_.c.rows - tile * h_)); }

  void pack_a() {
    for (int64_t t = tiles_.begin; t < tiles_.end; ++t) {
      const DenseView& a = args_.a;
      const T* from = static_cast<const T*>(a.data) + E * (t * h_ * a.row_stride + k0_ * a.col_stride);
      Kind::pack_left({from, a.row_stride, a.col_stride}, rows_of(t), kc_,
                      own_a_ + E * (t - tiles_.begin) * h_ * kc_);
    }
  }

  void pack_b(int64_t panel, int64_t panels) {
    const DenseView& b = args_.b;
    Kind::pack_right({b_at(panel), b.col_stride, b.row_stride},
                     min64(panels * kPanel, args_.c.cols - panel * kPanel), kc_, own_b_);
    strip_ = panel;
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
    } else if (args_.direct_b) {
      tile.b_step = args_.b.row_stride;
      tile.b_panel = kPanel;
      tile.b = b_at(panel);
    } else {
      tile.b_panel = E * kPanel * kc_;
      tile.b = own_b_ + (panel - strip_) * tile.b_panel;
    }
  }

  void column_group(int64_t panel, int panels) {
    const DenseView& c = args_.c;
    Tile<T> tile;
    tile.columns = static_cast<int>(min64(static_cast<int64_t>(panels) * kPanel, c.cols - panel * kPanel));
    tile.depth = kc_;
    tile.first = args_.first && k0_ == 0;
    if (panels == 3) panels = 4;
    point_at_b(panel, tile);
    for (int64_t t = tiles_.begin; t < tiles_.end; ++t) {
      tile.a = a_tile(t);
      tile.c = static_cast<T*>(c.data) + E * (t * h_ * c.row_stride + panel * kPanel * c.col_stride);
      tile.c_stride = c.row_stride;
      if (E == 1 && c.col_stride == 1) {
        Kind::run(rows_of(t), panels, args_.swapped, tile);
      } else {
        buffered_tile<Kind>(rows_of(t), panels, args_, tile);
      }
    }
  }

  const GemmBlockArgs& args_;
  const int64_t h_;
  const Range tiles_, panels_;
  T* const own_a_;
  T* const own_b_;
  int64_t k0_ = 0, kc_ = 0, strip_ = 0;
};

template <class Kind>
void gemm_block(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  for (int64_t task = begin; task < end; ++task) {
    Block<Kind>(*static_cast<const GemmBlockArgs*>(raw), task, workspace).run();
  }
}

template <class Kind, bool Left>
void gemm_pack(const void* raw, int64_t begin, int64_t end, int, void*) {
  using T = typename Kind::scalar;
  constexpr int E = Kind::reals;
  const GemmPackArgs& args = *static_cast<const GemmPackArgs*>(raw);
  // Panels of A are packed one by one: the last one is narrower. Those of B in strips.
  const int64_t step = Left ? 1 : args.strip_panels;
  for (int64_t p = begin; p < end; p += step) {
    const int64_t at = p * args.width, count = min64(min64(step, end - p) * args.width, args.across - at);
    const PackSource<T> from{static_cast<const T*>(args.source) + E * at * args.across_stride,
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
