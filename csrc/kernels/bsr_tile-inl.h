// Tiles of block-sparse products: some rows of a block times some vectors of columns, in registers.
#pragma once

#include "core/bsr_args.h"
#include "kernels/csr-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// Vectors of columns and rows of a tile: accumulators take at most three quarters of the registers, the
// vectors of X and one entry of S the rest. Complex and scalar arithmetic gain nothing from tiles larger
// than these, and every size of tile is code.
template <class Entry>
constexpr bool has_small_tiles = Entry::parts == 2 || Simd<typename Entry::Element>::width == 1;

template <class Entry>
constexpr int registers = Simd<typename Entry::Element>::registers;  // halves are as many
template <class Entry>
constexpr int tile_vectors() {
  return has_small_tiles<Entry> ? 2 : registers<Entry> >= 32 ? 4 : 3;
}
template <class Entry, int NV>
constexpr int tile_rows() {
  constexpr int most = has_small_tiles<Entry> ? 4 : 8, fit = registers<Entry> * 3 / 4 / NV;
  return fit < most ? fit : most;
}

// Adds R entries of one column of a block, `step` apart, times a row of X to the tile.
template <class Entry, int R, int NV, bool Masked>
DG_INLINE void add_column(const typename Entry::Element* entries, int64_t step,
                          const typename Entry::Element* x, int tail, typename Entry::vec (&acc)[R][NV]) {
  using V = typename Entry::V;
  typename V::vec x_row[NV];
  DG_UNROLL
  for (int v = 0; v < NV - Masked; ++v) x_row[v] = V::load(x + v * V::width);
  if constexpr (Masked) x_row[NV - 1] = V::load_n(x + (NV - 1) * V::width, tail);
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    const Entry entry(entries, r * step);
    DG_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][v] = entry.add(x_row[v], acc[r][v]);
  }
}

// Adds R rows of a block times `depth` rows of X to the tile. Entry (r, k) is block[r * step + k], or
// block[k * step + r] of a block that is read as its transpose.
template <class Entry, int R, int NV, bool Masked, bool Transposed>
DG_INLINE void add_block(const typename Entry::Element* block, int64_t step, int64_t depth,
                         const typename Entry::Element* x, int64_t x_stride, int tail,
                         typename Entry::vec (&acc)[R][NV]) {
  const int64_t across = Entry::parts * (Transposed ? step : 1), down = Transposed ? 1 : step;
  for (int64_t k = 0; k < depth; ++k) {
    add_column<Entry, R, NV, Masked>(block + k * across, down, x + k * x_stride, tail, acc);
  }
}

template <class V, int NV, bool Masked, class T>
DG_INLINE void load_row(const T* y, int tail, typename V::vec (&acc)[NV]) {
  DG_UNROLL
  for (int v = 0; v < NV - Masked; ++v) acc[v] = V::load(y + v * V::width);
  if constexpr (Masked) acc[NV - 1] = V::load_n(y + (NV - 1) * V::width, tail);
}

template <class V, int NV, bool Masked, class T>
DG_INLINE void store_row(T* y, int tail, const typename V::vec (&acc)[NV]) {
  DG_UNROLL
  for (int v = 0; v < NV - Masked; ++v) V::store(y + v * V::width, acc[v]);
  if constexpr (Masked) V::store_n(y + (NV - 1) * V::width, acc[NV - 1], tail);
}

}  // namespace
}  // namespace deepgemm::DG_ISA
