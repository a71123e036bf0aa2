// A few rows of floats times an operand of narrow storage, which is read once, where it stands.
//
// Counts for r rows and 16 elements: 16 or 32 bytes, one to eight instructions that widen them, r
// multiply-adds. Turned columns take two shuffles more (16-bit storage) or one (8-bit): words are turned, not
// floats.
#pragma once

#include "core/gemm_thin_args.h"
#include "kernels/common-inl.h"
#include "simd/storage.h"
#include "simd/transpose.h"
#include "simd/words.h"

namespace deepgemm::DG_ISA {
namespace {

using Floats = Simd<float>;
using FloatVec = Floats::vec;
constexpr int64_t kLanes = Floats::width;

// A strip of some rows of C, which have room for whole tiles, and what of A and B it is the product of.
template <class S>
struct Thin {
  const float* a;  // R values for each k
  const S* b;      // the first column of the strip
  int64_t b_row, b_col, depth, columns;
  float* c;
  int64_t c_row;

  // The rows behind the first R.
  template <int R>
  DG_INLINE Thin rest() const {
    Thin after = *this;
    after.a += R * depth;
    after.c += R * c_row;
    return after;
  }
};

// Calls step<R>() for the first H rows, and then for what is left of `rows`: H or one less, if any.
template <int H, class Step>
DG_INLINE void for_rows(int64_t rows, const Step& step) {
  step.template operator()<H>(false);
  if constexpr (2 * H > kThinTile) {
    if (rows == 2 * H) step.template operator()<H>(true);
    if (rows == 2 * H - 1) step.template operator()<H - 1>(true);
  }
}

// ---- columns of B side by side -----------------------------------------------------------------

// So many rows of B pass by at a time, tile by tile, while the same columns of those behind them are fetched
// into L2: tiles alone, which follow their columns through all of k, leave memory waiting (4096 x 4096
// float16: 20 GB/s), and rows alone load and store C too often (4 rows of A: 16 GB/s a thread, so 28). 32 and
// 64 rows are no faster, and fetching into L1 is slower: rows that lie a power of two apart share its sets.
constexpr int64_t kThinDepth = 16;

// Vectors of tiles of up to R rows, which take up to half of the registers for C.
template <int R>
constexpr int thin_vectors() {
  int vectors = 16;
  while (2 * R * vectors > Floats::registers) vectors /= 2;
  return vectors;
}

template <class S, int R, int V, bool Masked, bool Fetch>
void thin_tile(const Thin<S>& thin, int64_t k0, int64_t j) {
  const int64_t depth = min64(kThinDepth, thin.depth - k0);
  const int left = static_cast<int>(thin.columns - j);
  const float* a = thin.a + k0 * R;
  const S* b = thin.b + k0 * thin.b_row + j;
  float* const c = thin.c + j;
  FloatVec acc[R][V];
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < V; ++v) {
      acc[r][v] = k0 == 0 ? Floats::zero() : Floats::load(c + r * thin.c_row + v * kLanes);
    }
  }
  for (int64_t k = 0; k < depth; ++k, a += R, b += thin.b_row) {
    if constexpr (Fetch) {
      DG_UNROLL
      for (int64_t i = 0; i < V * kLanes; i += 64 / static_cast<int64_t>(sizeof(S))) {
        DG_PREFETCH_L2(b + kThinDepth * thin.b_row + i);
      }
    }
    FloatVec x[V];
    DG_UNROLL
    for (int v = 0; v < V; ++v) {
      const int n = left - v * static_cast<int>(kLanes);
      x[v] = Masked ? Storage<float, S>::load_n(b + v * kLanes, n > 0 ? n : 0)
                    : Storage<float, S>::load(b + v * kLanes);
    }
    DG_UNROLL
    for (int r = 0; r < R; ++r) {
      const FloatVec ar = Floats::set1(a[r]);
      DG_UNROLL
      for (int v = 0; v < V; ++v) acc[r][v] = Floats::fma(ar, x[v], acc[r][v]);
    }
  }
  DG_UNROLL
  for (int r = 0; r < R; ++r) {
    DG_UNROLL
    for (int v = 0; v < V; ++v) Floats::store(c + r * thin.c_row + v * kLanes, acc[r][v]);
  }
}

// The last columns of a strip, in no more vectors than they fill.
template <class S, int R, int V, bool Fetch>
void thin_edge(const Thin<S>& thin, int64_t k, int64_t j) {
  if constexpr (V > 1) {
    if (thin.columns - j <= V / 2 * kLanes) return thin_edge<S, R, V / 2, Fetch>(thin, k, j);
  }
  thin_tile<S, R, V, true, Fetch>(thin, k, j);
}

// Further rows of A meet the same rows of B in L1.
template <class S, int H>
void thin_rows(const Thin<S>& thin, int64_t rows) {
  constexpr int V = thin_vectors<H>();
  const Thin<S> rest = thin.template rest<H>();
  for (int64_t k = 0; k < thin.depth; k += kThinDepth) {
    for (int64_t j = 0; j < thin.columns; j += V * kLanes) {
      const bool whole = j + V * kLanes <= thin.columns;
      for_rows<H>(rows, [&]<int R>(bool again) DG_INLINE_LAMBDA {
        if (again)
          return whole ? thin_tile<S, R, V, false, false>(rest, k, j) : thin_edge<S, R, V, false>(rest, k, j);
        whole ? thin_tile<S, R, V, false, true>(thin, k, j) : thin_edge<S, R, V, true>(thin, k, j);
      });
    }
  }
}

// ---- rows of B side by side: columns are turned in registers ------------------------------------

// Fetches the lines of what comes next, in the order in which they lie in memory: runs of some bytes, from
// one column to the next.
struct ThinAhead {
  const char* at;
  const char* end;
  int64_t run, stride;

  DG_INLINE void fetch() {
    DG_PREFETCH_L2(at);
    at += 64;
    if (at >= end) {
      at += stride - run;
      end += stride;
    }
  }
};

// Bytes of a column that are followed before the next ones. Those of a group are 32 KB on AVX-512.
constexpr int64_t kThinRun = 1024;

// Some rows of A from k on, times `count` words of each of G squares of columns, from column j on.
template <class S, int R, int G>
DG_INLINE void thin_turned(const Thin<S>& thin, const FloatVec (&turned)[G][kLanes], int count, int64_t k,
                           int64_t j) {
  constexpr int kPlaces = Words<S>::places;
  const float* a = thin.a + k * R;
  FloatVec acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) {
      acc[r][g] = k == 0 ? Floats::zero() : Floats::load(thin.c + r * thin.c_row + j + g * kLanes);
    }
  }
  for (int i = 0; i < count; ++i) {
    DG_UNROLL
    for (int place = 0; place < kPlaces; ++place, a += R) {
      DG_UNROLL
      for (int g = 0; g < G; ++g) {
        const FloatVec x = Words<S>::element(turned[g][i], place);
        for (int r = 0; r < R; ++r) acc[r][g] = Floats::fma(Floats::set1(a[r]), x, acc[r][g]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) Floats::store(thin.c + r * thin.c_row + j + g * kLanes, acc[r][g]);
  }
}

// The same for a k that does not fill a word, one column after the other.
template <class S>
void thin_remainder(const Thin<S>& thin, int64_t rows, int64_t k) {
  for (int64_t j = 0; j < thin.columns; ++j) {
    const float x = widened(thin.b[j * thin.b_col + k]);
    for (int64_t r = 0; r < rows; ++r) {
      float& c = thin.c[r * thin.c_row + j];
      c = fused(thin.a[k * rows + r], x, k == 0 ? 0.0f : c);
    }
  }
}

// Groups of G squares of columns, whose chains are under way at once (int8, one row: 15, 19 and 23 GB/s a
// thread with 1, 2 and 4). Lines of columns that lie a power of two apart have no place in L1 side by side,
// and are not seen coming: fetched 256 bytes ahead in each column 4096 x 4096 bfloat16 was read with 42 GB/s,
// in the order of memory with 50.
template <class S, int H>
void thin_columns(const Thin<S>& thin, int64_t rows) {
  constexpr int G = H == 1 ? 4 : 2, kPlaces = Words<S>::places;
  constexpr int64_t kGroup = G * kLanes, kSquare = kLanes * kPlaces;
  constexpr int64_t kRun = kThinRun / static_cast<int64_t>(sizeof(S));
  const Thin<S> rest = thin.template rest<H>();
  const int64_t words = thin.depth / kPlaces, stride = thin.b_col * static_cast<int64_t>(sizeof(S));
  for (int64_t j = 0; j < thin.columns; j += kGroup) {
    const S* const b = thin.b + j * thin.b_col;
    ThinAhead ahead{};
    for (int64_t k = 0; k < words * kPlaces; k += kSquare) {
      if (k % kRun == 0) {
        const S* next = k + kRun < thin.depth ? b + k + kRun : b + kGroup * thin.b_col;
        const char* first = reinterpret_cast<const char*>(next);
        ahead = {first, first + kThinRun, kThinRun, stride};
      }
      const int count = static_cast<int>(min64(kLanes, words - k / kPlaces));
      FloatVec turned[G][kLanes];
      for (int g = 0; g < G; ++g) {
        const S* const corner = b + g * kLanes * thin.b_col + k;
        const int64_t lanes = thin.columns - j - g * kLanes;
        FloatVec square[kLanes];
        DG_UNROLL
        for (int i = 0; i < kLanes; ++i) {
          ahead.fetch();
          square[i] = i < lanes ? Words<S>::load_n(corner + i * thin.b_col, count) : Floats::zero();
        }
        transpose(square);
        DG_UNROLL
        for (int i = 0; i < kLanes; ++i) turned[g][i] = square[i];
      }
      for_rows<H>(rows, [&]<int R>(bool again) DG_INLINE_LAMBDA {
        thin_turned<S, R, G>(again ? rest : thin, turned, count, k, j);
      });
    }
  }
  for (int64_t k = words * kPlaces; k < thin.depth; ++k) {
    thin_remainder(thin, H, k);
    if (rows > H) thin_remainder(rest, rows - H, k);
  }
}

template <class S, int H>
void thin_strip(const Thin<S>& thin, int64_t rows) {
  if (thin.b_col == 1) return thin_rows<S, H>(thin, rows);
  thin_columns<S, H>(thin, rows);
}

template <class S>
void gemm_thin(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const GemmThinArgs& args = *static_cast<const GemmThinArgs*>(raw);
  const DenseView& b = args.b;
  const Thin<S> thin{args.a,
                     static_cast<const S*>(b.data) + begin * b.col_stride,
                     b.row_stride,
                     b.col_stride,
                     b.rows,
                     end - begin,
                     static_cast<float*>(workspace),
                     thin_width(end - begin)};
  if (thin.depth == 0) {
    for (int64_t i = 0; i < args.rows * thin.c_row; ++i) thin.c[i] = 0.0f;
    return;
  }
  static_assert(kThinTile == 8);
  switch (args.tile_rows) {
    case 1:
      return thin_strip<S, 1>(thin, args.rows);
    case 2:
      return thin_strip<S, 2>(thin, args.rows);
    case 3:
      return thin_strip<S, 3>(thin, args.rows);
    case 4:
      return thin_strip<S, 4>(thin, args.rows);
    case 5:
      return thin_strip<S, 5>(thin, args.rows);
    case 6:
      return thin_strip<S, 6>(thin, args.rows);
    case 7:
      return thin_strip<S, 7>(thin, args.rows);
    case 8:
      return thin_strip<S, 8>(thin, args.rows);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
