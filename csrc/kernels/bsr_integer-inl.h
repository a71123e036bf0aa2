// Exact products of blocks of 8-bit integers with a dense matrix of them, four steps along k at once.
//
// Counts for a block H x W (W a multiple of four) and a panel of 64 columns: H W + 4 bytes of S, 64 W bytes
// of X for every tile of its rows, H W / 4 broadcasts, H W vpdpbusd of 64 multiply-adds, where the float32
// tile has H W multiply-adds of 16 for 16 columns: a quarter of the instructions and of the bytes.
#pragma once

#include "core/bsr_integer_args.h"
#include "kernels/passes-inl.h"
#include "simd/integer.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr int kPanelVectors = static_cast<int>(block_integer_columns(Isa::DG_ISA)) / Simd<int32_t>::width;
// Accumulators take at most three quarters of the registers.
template <int NV>
constexpr int integer_rows() {
  constexpr int fit = Simd<int32_t>::registers * 3 / 4 / NV;
  return fit < 8 ? fit : 8;
}

// Groups of S stand where the caller's bytes do.
template <class T>
DG_INLINE T word_at(const uint8_t* groups, int64_t position) {
  T word;
  memcpy(&word, groups + 4 * position, sizeof word);
  return word;
}

// Four products added to each sum: which operand is unsigned depends on S.
template <class T, bool Signed>
DG_INLINE typename Simd<T>::vec add_groups(typename Simd<T>::vec s, typename Simd<T>::vec x,
                                           typename Simd<T>::vec acc) {
  if constexpr (Signed) return Simd<T>::fma(x, s, acc);
  return Simd<T>::fma(s, x, acc);
}

// R rows from `first` on of a block row, over NV vectors of columns, the last one of them cut off at `tail`.
template <class T, bool Signed, int R, int NV>
void integer_tile(const BsrIntegerArgs& args, int64_t block_row, int64_t first, int tail) {
  using V = Simd<T>;
  using vec = typename V::vec;
  const uint8_t* values = static_cast<const uint8_t*>(args.values) + 4 * first * args.groups;
  const T* x = static_cast<const T*>(args.x);
  const int64_t size = args.height * args.groups, row = block_row * args.height + first;
  vec acc[R][NV];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    const vec start = args.start == nullptr ? V::zero() : V::set1(static_cast<T>(args.start[row + r]));
    DG_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][v] = start;
  }
  const int64_t last = index_of(args.indptr, args.wide, block_row + 1);
  for (int64_t p = index_of(args.indptr, args.wide, block_row); p < last; ++p) {
    const uint8_t* block = values + 4 * p * size;
    const T* x_row = x + index_of(args.indices, args.wide, p) * args.groups * args.x_stride;
    for (int64_t g = 0; g < args.groups; ++g, x_row += args.x_stride) {
      vec b[NV];
      DG_UNROLL
      for (int v = 0; v < NV - 1; ++v) b[v] = V::load(x_row + v * V::width);
      b[NV - 1] = V::load_n(x_row + (NV - 1) * V::width, tail);
      DG_UNROLL
      for (int r = 0; r < R; ++r) {
        const vec s = V::set1(word_at<T>(block, r * args.groups + g));
        DG_UNROLL
        for (int v = 0; v < NV; ++v) acc[r][v] = add_groups<T, Signed>(s, b[v], acc[r][v]);
      }
    }
  }
  constexpr int columns = NV * V::width;
  if (args.out == DType::i32 && args.y.col_stride == 1) {
    T* y = static_cast<T*>(args.y.data) + row * args.y.row_stride;
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      DG_UNROLL
      for (int v = 0; v < NV - 1; ++v) V::store(y + r * args.y.row_stride + v * V::width, acc[r][v]);
      V::store_n(y + r * args.y.row_stride + (NV - 1) * V::width, acc[r][NV - 1], tail);
    }
    return;
  }
  int32_t tile[R][columns];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < NV; ++v) V::store(reinterpret_cast<T*>(tile[r] + v * V::width), acc[r][v]);
  }
  const int64_t stride = args.y.col_stride, from = row * args.y.row_stride;
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < columns - V::width + tail; ++j) {
      const int64_t place = from + r * args.y.row_stride + j * stride;
      if (args.out == DType::i32) {
        static_cast<int32_t*>(args.y.data)[place] = tile[r][j];
      } else {
        static_cast<int64_t*>(args.y.data)[place] = tile[r][j];
      }
    }
  }
}

// S is int8 if Signed holds, else uint8.
template <class T, bool Signed>
void bsr_integers(const void* raw, int64_t begin, int64_t end, int, void*) {
  const BsrIntegerArgs& args = *static_cast<const BsrIntegerArgs*>(raw);
  constexpr int W = Simd<T>::width;
  const int64_t vectors = (args.y.cols + W - 1) / W;
  const int tail = static_cast<int>(args.y.cols - (vectors - 1) * W);
  with_count<kPanelVectors>(vectors, [&]<int NV>() {
    constexpr int most = integer_rows<NV>();
    for (int64_t row = begin; row < end; ++row) {
      for_each_run(args.height, most, [&](int64_t first, int64_t count) {
        with_count<most>(count, [&]<int R>() { integer_tile<T, Signed, R, NV>(args, row, first, tail); });
      });
    }
  });
}

}  // namespace
}  // namespace deepgemm::DG_ISA
