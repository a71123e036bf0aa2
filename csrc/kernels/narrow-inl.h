// Few rows of floats times weights that are widened in registers: C = A B, with B in panels of its storage.
//
// Counts for r rows and a vector of 16 weights: 16, 32 or 8 bytes of 8-, 16- or 4-bit weights, one or two
// instructions that widen them, one for their scale, one for their zero point, and r multiply-adds. Up to
// four rows memory is the limit, beyond that the multiply-adds.

#include "core/narrow_args.h"
#include "kernels/common-inl.h"
#include "simd/arith.h"
#include "simd/storage.h"

namespace deepgemm::DG_ISA {
namespace {

using Floats = Simd<float>;
using FloatVec = Floats::vec;
constexpr int kLanes = Floats::width;
constexpr int kWordNibbles = 8;

// ---- how weights are widened -------------------------------------------------------------------------

// V vectors of a row of a panel, from vector `first` on. What does not change from row to row is made once.
template <class S, int V>
class Elements {
 public:
  explicit Elements(int first) : first_(first * kLanes) {}
  DG_INLINE void read(const char* row) { row_ = reinterpret_cast<const S*>(row) + first_; }
  DG_INLINE FloatVec at(int v) const { return Storage<float, S>::load(row_ + v * kLanes); }
  DG_INLINE void fetch(const char* row) const {
    DG_UNROLL
    for (int64_t i = 0; i < V * kLanes; i += 64 / static_cast<int64_t>(sizeof(S))) {
      DG_PREFETCH_L2(reinterpret_cast<const S*>(row) + first_ + i);
    }
  }

 private:
  int64_t first_;
  const S* row_;
};

// Each lane's word holds its elements of all vectors. AVX-512 looks the number of 16 up in a register, by the
// low four bits of each lane: one shift and one permutation a vector. Shifts by a count in a register of
// scalars take two instructions, by one in a vector or by a constant one.
template <int V>
class Nibbles {
 public:
  DG_INLINE void fetch(const char* row) const { DG_PREFETCH_L2(row); }
#if DG_ISA_AVX512
  explicit Nibbles(int first)
      : numbers_(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1)) {
    for (int v = 0; v < V; ++v) counts_[v] = _mm512_set1_epi32(4 * (first + v));
  }
  DG_INLINE void read(const char* row) { words_ = _mm512_loadu_si512(row); }
  DG_INLINE FloatVec at(int v) const {
    const __m512i shifted =
        V == kWordNibbles ? _mm512_srli_epi32(words_, 4 * v) : _mm512_srlv_epi32(words_, counts_[v]);
    return _mm512_permutexvar_ps(shifted, numbers_);
  }

 private:
  __m512 numbers_;
  __m512i words_, counts_[V];
#elif DG_ISA_AVX2
  explicit Nibbles(int first) {
    for (int v = 0; v < V; ++v) counts_[v] = _mm256_set1_epi32(28 - 4 * (first + v));
  }
  DG_INLINE void read(const char* row) { words_ = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)); }
  DG_INLINE FloatVec at(int v) const {
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_sllv_epi32(words_, counts_[v]), 28));
  }

 private:
  __m256i words_, counts_[V];
#else
  explicit Nibbles(int first) : first_(first) {}
  DG_INLINE void read(const char* row) { memcpy(&words_, row, sizeof words_); }
  DG_INLINE FloatVec at(int v) const {
    return static_cast<float>(static_cast<int32_t>(words_ << (28 - 4 * (first_ + v))) >> 28);
  }

 private:
  int first_;
  uint32_t words_;
#endif
};

// Storage as the kernels' parameter: how many vectors a panel has, and who reads V of them.
template <class S>
struct Plain {
  static constexpr int vectors = 4;
  static constexpr bool nibbles = false;
  template <int V>
  using Reader = Elements<S, V>;
};
struct Packed {
  static constexpr int vectors = kWordNibbles;
  static constexpr bool nibbles = true;
  template <int V>
  using Reader = Nibbles<V>;
};

// ---- products ----------------------------------------------------------------------------------------

// Rows of a panel are fetched so far ahead: a panel in order, of which the hardware fetches less (int4,
// groups of 128: one row of A 23 GB/s a thread, 25, 27 and 29 with 2, 4 and 8 KB; two rows 17, 18.7, 19.6
// and 19.8, where multiply-adds allow 20.6), or one that stands in a matrix, some rows.
constexpr int64_t kBytesAhead = 8 << 10;
constexpr int64_t kRowsAhead = 16;

// R rows and V vectors of columns from vector `first` of a panel on. Scales and zero points of a group stay
// in registers as far as there are any.
template <class Source, int R, int V, bool Scaled, bool Shifted>
DG_INLINE void narrow_tile(const NarrowArgs& args, const float* a, const char* b, int first, int64_t column,
                           float* c, int64_t c_stride) {
  FloatVec acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) acc[r][v] = Floats::zero();
  }
  typename Source::template Reader<V> weights(first);
  const int64_t rows_ahead = kRowsAhead * args.b_row;
  const int64_t ahead = rows_ahead > kBytesAhead ? rows_ahead : kBytesAhead;
  const float* scales = Scaled ? args.scales + column : nullptr;
  const float* zeros = Shifted ? args.zeros + column : nullptr;
  for (int64_t begin = 0; begin < args.depth; begin += args.group) {
    const int64_t end = min64(begin + args.group, args.depth);
    FloatVec scale[V], zero[V];
    if constexpr (Scaled) {
      DG_UNROLL
      for (int v = 0; v < V; ++v) scale[v] = Floats::load(scales + v * kLanes);
      scales += args.scale_row;
    }
    if constexpr (Shifted) {
      DG_UNROLL
      for (int v = 0; v < V; ++v) zero[v] = Floats::load(zeros + v * kLanes);
      zeros += args.scale_row;
    }
    for (int64_t k = begin; k < end; ++k, a += R, b += args.b_row) {
      weights.read(b);
      weights.fetch(b + ahead);
      const auto weight = [&](int v) DG_INLINE_LAMBDA {
        FloatVec w = weights.at(v);
        if constexpr (Shifted) w = difference(w, zero[v]);
        if constexpr (Scaled) w = product(w, scale[v]);
        return w;
      };
      if constexpr (V > 4) {  // few rows: weights need no registers of their own
        DG_UNROLL
        for (int v = 0; v < V; ++v) {
          const FloatVec w = weight(v);
          for (int r = 0; r < R; ++r) acc[r][v] = Floats::fma(Floats::set1(a[r]), w, acc[r][v]);
        }
      } else {
        FloatVec w[V];
        DG_UNROLL
        for (int v = 0; v < V; ++v) w[v] = weight(v);
        DG_UNROLL
        for (int r = 0; r < R; ++r) {
          const FloatVec x = Floats::set1(a[r]);
          DG_UNROLL
          for (int v = 0; v < V; ++v) acc[r][v] = Floats::fma(x, w[v], acc[r][v]);
        }
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) Floats::store(c + r * c_stride + v * kLanes, acc[r][v]);
  }
}

// Few rows take many columns, so that enough independent chains are in flight; what is left of a panel is
// read again from the caches.
template <int Most>
constexpr int vectors_for(int rows) {
  const int room = Floats::registers == 32 ? 16 : 8;
  int vectors = Most;
  while (vectors > 2 && rows * vectors > room) vectors /= 2;
  return vectors;
}

template <class Source, int R, bool Scaled, bool Shifted>
void narrow_rows(const NarrowArgs& args, const float* a, const char* b, int64_t column, float* c,
                 int64_t c_stride) {
  constexpr int V = vectors_for<Source::vectors>(R);
  for (int first = 0; first < Source::vectors; first += V) {
    narrow_tile<Source, R, V, Scaled, Shifted>(args, a, b, first, column + first * kLanes, c + first * kLanes,
                                               c_stride);
  }
}

template <class Source, bool Scaled, bool Shifted>
DG_INLINE void rows_of(const NarrowArgs& args, int rows, const float* a, const char* b, int64_t column,
                       float* c, int64_t c_stride) {
#define DG_CASE(R)                                                              \
  case R:                                                                       \
    if constexpr (R <= narrow_tile_rows(kLanes)) {                              \
      narrow_rows<Source, R, Scaled, Shifted>(args, a, b, column, c, c_stride); \
    }                                                                           \
    break;
  switch (rows) {
    DG_CASE(1)
    DG_CASE(2)
    DG_CASE(3)
    DG_CASE(4)
    DG_CASE(5)
    DG_CASE(6)
    DG_CASE(7)
    DG_CASE(8)
    DG_CASE(9)
    DG_CASE(10)
    DG_CASE(11)
    DG_CASE(12)
  }
#undef DG_CASE
}

// A tile of floats to where its columns belong, rounded once where that is narrower.
template <class Source, class S>
void deliver(const float* from, const DenseView& to) {
  constexpr int64_t P = Source::vectors * kLanes;
  for (int64_t i = 0; i < to.rows; ++i) {
    S* there = static_cast<S*>(to.data) + i * to.row_stride;
    for (int64_t p = 0; p < P; ++p) {
      const int64_t j = narrow_column(p, kLanes, Source::nibbles);
      if (j < to.cols) narrow(from[i * P + p], there[j * to.col_stride]);
    }
  }
}

template <class Source>
void deliver(const float* from, const DenseView& to, DType out) {
  if (out == DType::f16) return deliver<Source, Float16>(from, to);
  if (out == DType::bf16) return deliver<Source, BFloat16>(from, to);
  deliver<Source, float>(from, to);
}

template <class Source, bool Scaled, bool Shifted>
void narrow_panels(const NarrowArgs& args, int64_t begin, int64_t end, float* buffer) {
  constexpr int64_t P = Source::vectors * kLanes;
  const int64_t size = static_cast<int64_t>(size_of(args.out));
  for (int64_t p = begin; p < end; ++p) {
    const int64_t column = p * P, cols = min64(P, args.c.cols - column);
    const bool direct = !Source::nibbles && cols == P && args.out == DType::f32 && args.c.col_stride == 1;
    for (int64_t row = 0; row < args.rows; row += args.tile_rows) {
      const int64_t rows = min64(args.tile_rows, args.rows - row);
      const DenseView to{
          static_cast<char*>(args.c.data) + (row * args.c.row_stride + column * args.c.col_stride) * size,
          rows, cols, args.c.row_stride, args.c.col_stride};
      float* const c = direct ? static_cast<float*>(to.data) : buffer;
      const int64_t c_stride = direct ? args.c.row_stride : P;
      rows_of<Source, Scaled, Shifted>(args, static_cast<int>(rows), args.a + row * args.depth,
                                       args.b + p * args.b_panel, column, c, c_stride);
      if (!direct) deliver<Source>(buffer, to, args.out);
    }
  }
}

template <class S>
void narrow_block(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const NarrowArgs& args = *static_cast<const NarrowArgs*>(raw);
  narrow_panels<Plain<S>, false, false>(args, begin, end, static_cast<float*>(workspace));
}

template <class Source>
void narrow_block_scaled(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const NarrowArgs& args = *static_cast<const NarrowArgs*>(raw);
  float* const buffer = static_cast<float*>(workspace);
  if (args.zeros != nullptr) {
    narrow_panels<Source, true, true>(args, begin, end, buffer);
  } else {
    narrow_panels<Source, true, false>(args, begin, end, buffer);
  }
}

// ---- packing -----------------------------------------------------------------------------------------

// Squares of so many rows and columns at a time: lines that are read or written in part stay in L1.
constexpr int64_t kPackRows = 64;

// Strides are values, not read through a pointer: each byte that is written might change them otherwise, and
// an element took 4 to 7 ns instead of 0.13.
template <class U>
DG_INLINE void pack_panel(const U* from, int64_t row_stride, int64_t col_stride, int64_t rows, int64_t cols,
                          U flip, U* __restrict to) {
  constexpr int64_t P = narrow_columns(kLanes, false);
  if (col_stride == 1 && cols == P) {
    for (int64_t k = 0; k < rows; ++k, from += row_stride, to += P) {
      for (int64_t j = 0; j < P; ++j) to[j] = static_cast<U>(from[j] ^ flip);
    }
    return;
  }
  for (int64_t top = 0; top < rows; top += kPackRows) {
    const int64_t bottom = min64(top + kPackRows, rows);
    for (int64_t j = 0; j < cols; ++j) {
      for (int64_t k = top; k < bottom; ++k) {
        to[k * P + j] = static_cast<U>(from[k * row_stride + j * col_stride] ^ flip);
      }
    }
    for (int64_t k = top; k < bottom; ++k) {
      for (int64_t j = cols; j < P; ++j) to[k * P + j] = 0;
    }
  }
}

template <class U>
void narrow_pack(const void* raw, int64_t begin, int64_t end, int, void*) {
  const NarrowPackArgs& args = *static_cast<const NarrowPackArgs*>(raw);
  constexpr int64_t P = narrow_columns(kLanes, false);
  for (int64_t p = begin; p < end; ++p) {
    pack_panel(static_cast<const U*>(args.source) + p * P * args.col_stride, args.row_stride, args.col_stride,
               args.rows, min64(P, args.cols - p * P), static_cast<U>(args.flip),
               reinterpret_cast<U*>(static_cast<char*>(args.packed) + p * args.panel_bytes));
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
