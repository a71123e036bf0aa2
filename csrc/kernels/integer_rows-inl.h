// A few rows of 8-bit integers against a matrix that is read once, where it stands.
//
// Counts for r rows and 64 bytes of B (AVX-512, VNNI): 1 load, 1 turning of signs and r vpdpbusd; where
// columns are adjacent also 2 shuffles that bring four numbers along k together, and r / 4 loads and stores
// of sums, which stay in L1. One thread of a Zen 5 takes 78 GB/s of B for one row and 43 for four from L2 (28
// with 8 rows of B at a time in place of 16), so that memory is what bounds it.
#pragma once

#include <string.h>

#include "core/integer_rows_args.h"
#include "kernels/common-inl.h"
#include "simd/integer.h"

namespace deepgemm::DG_ISA {
namespace {

template <class T, bool Signed>
DG_INLINE typename Simd<T>::vec add_products(typename Simd<T>::vec row, typename Simd<T>::vec b,
                                             typename Simd<T>::vec sum) {
  if constexpr (Signed) return Simd<T>::fma(b, row, sum);
  return Simd<T>::fma(row, b, sum);
}

template <class T>
DG_INLINE T word_of(const uint8_t* p) {
  int32_t word;
  memcpy(&word, p, sizeof word);
  return static_cast<T>(word);
}

template <class T>
DG_INLINE typename Simd<T>::vec bytes_at(const uint8_t* p, typename Simd<T>::vec flip) {
  return Simd<T>::turned(Simd<T>::load(reinterpret_cast<const T*>(p)), flip);
}

// ---- columns of B are adjacent: four rows of it become words, in an order that `settle` undoes --------

// `Groups` times four rows of B from row k on; columns that fill no vectors go by way of copies. Behind the
// last row of B those of A are zero, so that any row will do.
template <class T, bool Signed, int R, int Groups>
DG_INLINE void add_rows(const IntegerRowsArgs& args, int64_t k) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width;
  constexpr int64_t kColumns = 4 * W;
  const vec flip = V::set1(static_cast<T>(0x01010101u * args.flip));
  const uint8_t* rows[4 * Groups];
  for (int i = 0; i < 4 * Groups; ++i) {
    rows[i] = static_cast<const uint8_t*>(args.b.data) + min64(k + i, args.b.rows - 1) * args.b.row_stride;
  }
  const auto columns = [&](const uint8_t* const* from, int64_t at, T* sums) DG_INLINE_LAMBDA {
    vec acc[R][4];
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      for (int q = 0; q < 4; ++q) acc[r][q] = V::load(sums + r * args.sums_stride + q * W);
    }
    DG_UNROLL
    for (int g = 0; g < Groups; ++g) {
      vec b[4];
      DG_UNROLL
      for (int i = 0; i < 4; ++i) b[i] = bytes_at<T>(from[4 * g + i] + at, flip);
      interleave_bytes<T>(b);
      DG_UNROLL
      for (int r = 0; r < R; ++r) {
        const vec word = V::set1(word_of<T>(args.a + r * args.a_stride + k + 4 * g));
        for (int q = 0; q < 4; ++q) acc[r][q] = add_products<T, Signed>(word, b[q], acc[r][q]);
      }
    }
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      for (int q = 0; q < 4; ++q) V::store(sums + r * args.sums_stride + q * W, acc[r][q]);
    }
  };
  T* const sums = reinterpret_cast<T*>(args.sums);
  int64_t j = 0;
  for (; j + kColumns <= args.b.cols; j += kColumns) columns(rows, j, sums + j);
  if (j == args.b.cols) return;
  uint8_t copies[4 * Groups][kColumns] = {};
  const uint8_t* copied[4 * Groups];
  for (int i = 0; i < 4 * Groups; ++i) {
    memcpy(copies[i], rows[i] + j, static_cast<size_t>(args.b.cols - j));
    copied[i] = copies[i];
  }
  columns(copied, 0, sums + j);
}

// Sums in the order of the columns.
template <class T>
void settle(const IntegerRowsArgs& args) {
  constexpr int W = Simd<T>::width, kPart = W < 4 ? W : 4;
  for (int r = 0; r < args.rows; ++r) {
    for (int64_t j = 0; j < args.b.cols; j += 4 * W) {
      int32_t* const sums = args.sums + r * args.sums_stride + j;
      int32_t ordered[4 * W];
      for (int q = 0; q < 4; ++q) {
        for (int part = 0; part < W / kPart; ++part) {
          memcpy(ordered + (4 * part + q) * kPart, sums + q * W + part * kPart, kPart * sizeof(int32_t));
        }
      }
      memcpy(sums, ordered, sizeof ordered);
    }
  }
}

template <class T, bool Signed, int R>
void stream_integers(const IntegerRowsArgs& args, int64_t begin, int64_t end) {
  constexpr int64_t kColumns = 4 * Simd<T>::width;
  const int64_t filled = (args.b.cols + kColumns - 1) / kColumns * kColumns;
  for (int r = 0; r < R; ++r) {
    memset(args.sums + r * args.sums_stride, 0, static_cast<size_t>(filled) * sizeof(int32_t));
  }
  int64_t k = begin;
  for (; k + 12 < end; k += 16) add_rows<T, Signed, R, 4>(args, k);
  for (; k < end; k += 4) add_rows<T, Signed, R, 1>(args, k);
  settle<T>(args);
}

// ---- rows of B are adjacent: sums along k in lanes, which are added up at the end ---------------------

template <class T>
DG_INLINE int32_t sum_of_lanes(typename Simd<T>::vec x) {
  constexpr int W = Simd<T>::width;
  alignas(64) T lanes[W];
  Simd<T>::store(lanes, x);
  uint32_t sum = 0;  // wraps, as vectors do
  for (int i = 0; i < W; ++i) sum += static_cast<uint32_t>(lanes[i]);
  return static_cast<int32_t>(sum);
}

template <class T, bool Signed, int R, int Columns>
DG_INLINE void dot_columns(const IntegerRowsArgs& args, int64_t column) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int64_t kBytes = 4 * V::width;
  const vec flip = V::set1(static_cast<T>(0x01010101u * args.flip));
  const uint8_t* const b = static_cast<const uint8_t*>(args.b.data) + column * args.b.col_stride;
  vec acc[R][Columns];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < Columns; ++j) acc[r][j] = V::zero();
  }
  const auto add = [&](int64_t k, const uint8_t* from, int64_t stride) DG_INLINE_LAMBDA {
    vec rows[R];
    for (int r = 0; r < R; ++r) rows[r] = V::load(reinterpret_cast<const T*>(args.a + r * args.a_stride + k));
    DG_UNROLL
    for (int j = 0; j < Columns; ++j) {
      const vec bytes = bytes_at<T>(from + j * stride, flip);
      for (int r = 0; r < R; ++r) acc[r][j] = add_products<T, Signed>(rows[r], bytes, acc[r][j]);
    }
  };
  int64_t k = 0;
  for (; k + kBytes <= args.b.rows; k += kBytes) add(k, b + k, args.b.col_stride);
  if (k < args.b.rows) {
    uint8_t copies[Columns][kBytes] = {};
    for (int j = 0; j < Columns; ++j) {
      memcpy(copies[j], b + j * args.b.col_stride + k, static_cast<size_t>(args.b.rows - k));
    }
    add(k, copies[0], kBytes);
  }
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < Columns; ++j) {
      args.sums[r * args.sums_stride + column + j] = sum_of_lanes<T>(acc[r][j]);
    }
  }
}

template <class T, bool Signed, int R>
void dot_integers(const IntegerRowsArgs& args, int64_t begin, int64_t end) {
  int64_t j = begin;
  for (; j + 4 <= end; j += 4) dot_columns<T, Signed, R, 4>(args, j);
  for (; j < end; ++j) dot_columns<T, Signed, R, 1>(args, j);
}

// ---- entries ------------------------------------------------------------------------------------------

using IntegerRowsFn = void (*)(const IntegerRowsArgs&, int64_t, int64_t);

template <class T>
void integer_streams(const void* raw, int64_t begin, int64_t end, int, void*) {
  static constexpr IntegerRowsFn kFunctions[2][kMostIntegerRows] = {
      {stream_integers<T, false, 1>, stream_integers<T, false, 2>, stream_integers<T, false, 3>,
       stream_integers<T, false, 4>},
      {stream_integers<T, true, 1>, stream_integers<T, true, 2>, stream_integers<T, true, 3>,
       stream_integers<T, true, 4>}};
  const IntegerRowsArgs& args = *static_cast<const IntegerRowsArgs*>(raw);
  kFunctions[args.rows_signed][args.rows - 1](args, begin, end);
}

template <class T>
void integer_dots(const void* raw, int64_t begin, int64_t end, int, void*) {
  static constexpr IntegerRowsFn kFunctions[2][kMostIntegerRows] = {
      {dot_integers<T, false, 1>, dot_integers<T, false, 2>, dot_integers<T, false, 3>,
       dot_integers<T, false, 4>},
      {dot_integers<T, true, 1>, dot_integers<T, true, 2>, dot_integers<T, true, 3>,
       dot_integers<T, true, 4>}};
  const IntegerRowsArgs& args = *static_cast<const IntegerRowsArgs*>(raw);
  kFunctions[args.rows_signed][args.rows - 1](args, begin, end);
}

}  // namespace
}  // namespace deepgemm::DG_ISA
