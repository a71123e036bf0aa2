// Products of block-sparse rows with a dense X, in the stated order.
//
// A tile keeps some rows of a block row times some vectors of columns in registers while all blocks of
// that block row pass by: ascending block columns, ascending columns inside each, so every element is
// one chain. Counts for float32, blocks H x W, N columns: per block 4 H W + 4 bytes of S (one index for
// H W entries), 4 W N bytes of X for every H rows (not for every entry as in CSR), 2 H W N flops.

#include "kernels/bsr_tile-inl.h"
#include "kernels/passes-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// ---- bsr_dense -----------------------------------------------------------------------------------

// R rows from `first` on in each of G neighbouring block rows, over NV vectors of columns. With low
// blocks and few columns one block row has too few chains to fill the FMA units, so G of them go side
// by side over the number of blocks that they share.
template <class Entry, int R, int G, int NV, bool Masked, int Depth>
void block_tile(const BsrArgs& args, int64_t block_row, int64_t first, int64_t column, int tail) {
  using V = typename Entry::V;
  using T = typename Entry::Element;
  constexpr int P = Entry::parts;
  const int64_t size = args.height * args.width, x_stride = P * args.x_stride;
  const T* values = static_cast<const T*>(args.values) + P * first * args.width;
  const T* x = static_cast<const T*>(args.x) + column;
  typename V::vec acc[G][R][NV];
  int64_t start[G + 1], shared = INT64_MAX;
  start[0] = index_of(args.indptr, args.wide, block_row);
  for (int g = 0; g < G; ++g) {
    start[g + 1] = index_of(args.indptr, args.wide, block_row + g + 1);
    shared = min64(shared, start[g + 1] - start[g]);
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      DG_UNROLL
      for (int v = 0; v < NV; ++v) acc[g][r][v] = V::zero();
    }
  }
  if constexpr (G == 1) shared = 0;
  const auto add = [&](int g, int64_t p) DG_INLINE_LAMBDA {
    const int64_t block_col = index_of(args.indices, args.wide, p);
    const T *block = values + P * p * size, *x_block = x + block_col * args.width * x_stride;
    if constexpr (Depth > 0) {
      DG_UNROLL
      for (int k = 0; k < Depth; ++k) {
        add_column<Entry, R, NV, Masked>(block + P * k, Depth, x_block + k * x_stride, tail, acc[g]);
      }
    } else {
      add_block<Entry, R, NV, Masked, false>(block, args.width, args.width, x_block, x_stride, tail, acc[g]);
    }
  };
  for (int64_t t = 0; t < shared; ++t) {
    DG_UNROLL
    for (int g = 0; g < G; ++g) add(g, start[g] + t);
  }
  DG_UNROLL
  for (int g = 0; g < G; ++g) {
    for (int64_t p = start[g] + shared; p < start[g + 1]; ++p) add(g, p);
    T* y = static_cast<T*>(args.y) + column;
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      const int64_t row = (block_row + g) * args.height + first + r;
      store_row<V, NV, Masked>(y + P * row * args.y_stride, tail, acc[g][r]);
    }
  }
}

// Block rows side by side, so that about eight chains run; short ones overlap by themselves. Three rows
// are better off alone: side by side 3 x 3 blocks ran at 65 instead of 88 GFLOP/s (16 columns of float32),
// and at 73 instead of 102 (32 columns). Scalar ones gain nothing.
template <class Entry, int Rows, int NV>
constexpr int side_by_side() {
  constexpr int chains = Rows * NV;
  return Entry::V::width == Entry::parts ? 1 : chains <= 2 ? 4 : chains == 4 ? 2 : 1;
}

// Small square blocks are known in full, because loops over two or three columns cost as much as their
// arithmetic.
template <class Entry, int R, int NV, bool Masked, int Depth>
void low_blocks(const BsrArgs& args, int64_t begin, int64_t end, int64_t column, int tail) {
  constexpr int G = side_by_side<Entry, R, NV>();
  int64_t row = begin;
  for (; row + G <= end; row += G) block_tile<Entry, R, G, NV, Masked, Depth>(args, row, 0, column, tail);
  for (; row < end; ++row) block_tile<Entry, R, 1, NV, Masked, Depth>(args, row, 0, column, tail);
}

// A function of its own, or its tiles are compiled as part of whatever calls it, which cost 3 x 3 blocks a
// fifth and 2 x 2 blocks a tenth of their speed.
template <class Entry, int NV, bool Masked>
[[gnu::noinline]] void block_pass(const BsrArgs& args, int64_t begin, int64_t end, int64_t column, int tail) {
  constexpr int most = tile_rows<Entry, NV>();
  if (args.height <= most) {
    with_count<most>(args.height, [&]<int R>() {
      if constexpr (R >= 2 && R <= 4 && Entry::parts == 1) {
        if (args.width == R) return low_blocks<Entry, R, NV, Masked, R>(args, begin, end, column, tail);
      }
      low_blocks<Entry, R, NV, Masked, 0>(args, begin, end, column, tail);
    });
    return;
  }
  for (int64_t row = begin; row < end; ++row) {
    for_each_run(args.height, most, [&](int64_t first, int64_t count) {
      with_count<most>(
          count, [&]<int R>() { block_tile<Entry, R, 1, NV, Masked, 0>(args, row, first, column, tail); });
    });
  }
}

// ---- bsr_scatter ---------------------------------------------------------------------------------

// R columns of a block, from `first` on, are rows of S^T: one load and one store of Y for `height`
// multiply-adds, where scattering single entries has one each.
template <class Entry, int R, int NV, bool Masked>
void scatter_tile(const BsrArgs& args, int64_t p, int64_t first, const typename Entry::Element* x,
                  int64_t column, int tail) {
  using V = typename Entry::V;
  using T = typename Entry::Element;
  constexpr int P = Entry::parts;
  const int64_t row = index_of(args.indices, args.wide, p) * args.width + first;
  const T* block = static_cast<const T*>(args.values) + P * (p * args.height * args.width + first);
  const int64_t y_stride = P * args.y_stride;
  T* y = static_cast<T*>(args.y) + row * y_stride + column;
  typename V::vec acc[R][NV];
  DG_UNROLL
  for (int r = 0; r < R; ++r) load_row<V, NV, Masked>(y + r * y_stride, tail, acc[r]);
  add_block<Entry, R, NV, Masked, true>(block, args.width, args.height, x, P * args.x_stride, tail, acc);
  DG_UNROLL
  for (int r = 0; r < R; ++r) store_row<V, NV, Masked>(y + r * y_stride, tail, acc[r]);
}

template <class Entry, int NV, bool Masked>
void block_scatter_pass(const BsrArgs& args, int64_t column, int tail) {
  using V = typename Entry::V;
  using T = typename Entry::Element;
  constexpr int P = Entry::parts, most = tile_rows<Entry, NV>();
  typename V::vec zeros[NV];
  for (int v = 0; v < NV; ++v) zeros[v] = V::zero();
  T* y = static_cast<T*>(args.y) + column;
  for (int64_t i = 0; i < args.block_cols * args.width; ++i) {
    store_row<V, NV, Masked>(y + P * i * args.y_stride, tail, zeros);
  }
  for (int64_t i = 0; i < args.block_rows; ++i) {
    const T* x = static_cast<const T*>(args.x) + P * i * args.height * args.x_stride + column;
    const int64_t last = index_of(args.indptr, args.wide, i + 1);
    for (int64_t p = index_of(args.indptr, args.wide, i); p < last; ++p) {
      for_each_run(args.width, most, [&](int64_t first, int64_t count) {
        with_count<most>(
            count, [&]<int R>() { scatter_tile<Entry, R, NV, Masked>(args, p, first, x, column, tail); });
      });
    }
  }
}

// ---- the kernels ---------------------------------------------------------------------------------

template <class Entry, class Body>
DG_INLINE void for_each_tile_pass(int64_t first, int64_t columns, const Body& body) {
  constexpr int P = Entry::parts;
  for_each_pass<typename Entry::V, tile_vectors<Entry>(), P>(P * first, P * columns, body);
}

// While all of X stays in a second-level cache, a pass goes through all block rows and keeps its columns
// of X near; beyond, a few block rows make all their passes, so that S is streamed once and the pages of
// X that they need are looked up once (3 x 3 blocks, X of 30 MB, N = 128: 89 ms became 55).
constexpr int64_t kNearBytes = 1 << 20;

template <class Entry>
void blocks_times_dense(const BsrArgs& args, int64_t begin, int64_t end) {
  const int64_t element = Entry::parts * static_cast<int64_t>(sizeof(typename Entry::Element));
  const bool near = args.block_cols * args.width * args.columns * element <= kNearBytes;
  const int64_t step = near ? end - begin : 8;
  for (int64_t from = begin; from < end; from += step) {
    for_each_tile_pass<Entry>(0, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
      block_pass<Entry, NV, Masked>(args, from, min64(from + step, end), column, tail);
    });
  }
}

template <class Entry>
void blocks_scattered(const BsrArgs& args, int64_t begin, int64_t end) {
  for_each_tile_pass<Entry>(begin, end - begin, [&]<int NV, bool Masked>(int64_t column, int tail) {
    block_scatter_pass<Entry, NV, Masked>(args, column, tail);
  });
}

// All columns in half a register: a masked load of a whole one that reaches into the next cache line pays
// for both lines.
template <class T>
void blocks_times_few(const BsrArgs& args, int64_t begin, int64_t end) {
  using Entry = Real<T, HalfSimd<T>>;
  const int columns = static_cast<int>(args.columns);
  if (columns == HalfSimd<T>::width) {
    block_pass<Entry, 1, false>(args, begin, end, 0, 0);
  } else {
    block_pass<Entry, 1, true>(args, begin, end, 0, columns);
  }
}

template <class T>
void bsr_dense(const void* raw, int64_t begin, int64_t end, int, void*) {
  const BsrArgs& args = *static_cast<const BsrArgs*>(raw);
  if (args.columns <= HalfSimd<T>::width) {
    blocks_times_few<T>(args, begin, end);
  } else {
    blocks_times_dense<Real<T>>(args, begin, end);
  }
}

template <class T>
void bsr_dense_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const BsrArgs& args = *static_cast<const BsrArgs*>(raw);
  if (args.sparse_is_left) {
    blocks_times_dense<ComplexLeft<T>>(args, begin, end);
  } else {
    blocks_times_dense<ComplexRight<T>>(args, begin, end);
  }
}

template <class T>
void bsr_scatter(const void* raw, int64_t begin, int64_t end, int, void*) {
  blocks_scattered<Real<T>>(*static_cast<const BsrArgs*>(raw), begin, end);
}

template <class T>
void bsr_scatter_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const BsrArgs& args = *static_cast<const BsrArgs*>(raw);
  if (args.sparse_is_left) {
    blocks_scattered<ComplexLeft<T>>(args, begin, end);
  } else {
    blocks_scattered<ComplexRight<T>>(args, begin, end);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
