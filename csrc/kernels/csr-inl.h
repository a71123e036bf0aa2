// Products of a compressed sparse S with a dense X, row-wise and scattered, in the stated order.
//
// Counts for float32, N columns: per entry of S 8 bytes of S, 4 N bytes of X (from whichever level
// holds it), 2 N flops; per row 4 N bytes of Y written.

#include "core/kernel_args.h"

#if defined(__GNUC__)
#define DG_INLINE inline __attribute__((always_inline))
#else
#define DG_INLINE inline
#endif

namespace deepgemm::DG_ISA {
namespace {

// How many vectors of columns one pass keeps in registers: 8 chains hide the latency of FMA (4
// cycles at 2 per cycle) and leave half of AVX2's registers for operands.
constexpr int kMaxVectors = 8;

DG_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

// ---- real: csr_rowwise ---------------------------------------------------------------------------

// Entries [from, to) of one row, added to its accumulators in order.
template <class T, class I, int NV, bool Masked>
DG_INLINE void add_entries(const I* indices, const T* values, int64_t from, int64_t to, const T* x,
                           int64_t x_stride, int tail, typename Simd<T>::vec (&acc)[NV]) {
  using V = Simd<T>;
  for (int64_t p = from; p < to; ++p) {
    const T* x_row = x + static_cast<int64_t>(indices[p]) * x_stride;
    const typename V::vec a = V::set1(values[p]);
    for (int v = 0; v < NV - Masked; ++v) acc[v] = V::fma(a, V::load(x_row + v * V::width), acc[v]);
    if constexpr (Masked) acc[NV - 1] = V::fma(a, V::load_n(x_row + (NV - 1) * V::width, tail), acc[NV - 1]);
  }
}

// R rows side by side over NV vectors of columns: with few columns one row has too few independent
// chains to fill the FMA units, so rows are paired up over the length that they share.
template <class T, class I, int R, int NV, bool Masked>
DG_INLINE void rows_tile(const SpmmArgs& args, int64_t row, int64_t column, int tail) {
  using V = Simd<T>;
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  const T* x = static_cast<const T*>(args.x) + column;
  typename V::vec acc[R][NV];
  int64_t start[R], shared = INT64_MAX;
  for (int r = 0; r < R; ++r) {
    start[r] = indptr[row + r];
    shared = min64(shared, static_cast<int64_t>(indptr[row + r + 1]) - start[r]);
    for (int v = 0; v < NV; ++v) acc[r][v] = V::zero();
  }
  if constexpr (R == 1) shared = 0;
  for (int64_t t = 0; t < shared; ++t) {
    for (int r = 0; r < R; ++r) {
      add_entries<T, I, NV, Masked>(indices, values, start[r] + t, start[r] + t + 1, x, args.x_stride, tail,
                                    acc[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    add_entries<T, I, NV, Masked>(indices, values, start[r] + shared, indptr[row + r + 1], x, args.x_stride,
                                  tail, acc[r]);
    T* y = static_cast<T*>(args.y) + (row + r) * args.y_stride + column;
    for (int v = 0; v < NV - Masked; ++v) V::store(y + v * V::width, acc[r][v]);
    if constexpr (Masked) V::store_n(y + (NV - 1) * V::width, acc[r][NV - 1], tail);
  }
}

template <class T, class I, int NV, bool Masked>
void rows_pass(const SpmmArgs& args, int64_t begin, int64_t end, int64_t column, int tail) {
  constexpr int R = NV <= 2 ? 4 : NV <= 4 ? 2 : 1;
  int64_t row = begin;
  for (; row + R <= end; row += R) rows_tile<T, I, R, NV, Masked>(args, row, column, tail);
  if constexpr (R > 1) {
    for (; row < end; ++row) rows_tile<T, I, 1, NV, Masked>(args, row, column, tail);
  }
}

// ---- real: csr_scatter ---------------------------------------------------------------------------

template <class T, class I, int NV, bool Masked>
void scatter_pass(const SpmmArgs& args, int64_t column, int tail) {
  using V = Simd<T>;
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  const T* x = static_cast<const T*>(args.x) + column;
  T* y = static_cast<T*>(args.y) + column;
  for (int64_t i = 0; i < args.minor; ++i) {
    T* y_row = y + i * args.y_stride;
    for (int v = 0; v < NV - Masked; ++v) V::store(y_row + v * V::width, V::zero());
    if constexpr (Masked) V::store_n(y_row + (NV - 1) * V::width, V::zero(), tail);
  }
  for (int64_t k = 0; k < args.major; ++k) {
    const T* x_row = x + k * args.x_stride;
    if (indptr[k] == indptr[k + 1]) continue;
    typename V::vec b[NV];
    for (int v = 0; v < NV - Masked; ++v) b[v] = V::load(x_row + v * V::width);
    if constexpr (Masked) b[NV - 1] = V::load_n(x_row + (NV - 1) * V::width, tail);
    for (int64_t p = indptr[k]; p < indptr[k + 1]; ++p) {
      T* y_row = y + static_cast<int64_t>(indices[p]) * args.y_stride;
      const typename V::vec a = V::set1(values[p]);
      for (int v = 0; v < NV - Masked; ++v) {
        V::store(y_row + v * V::width, V::fma(a, b[v], V::load(y_row + v * V::width)));
      }
      if constexpr (Masked) {
        T* last = y_row + (NV - 1) * V::width;
        V::store_n(last, V::fma(a, b[NV - 1], V::load_n(last, tail)), tail);
      }
    }
  }
}

// ---- columns are cut into passes of up to kMaxVectors vectors -------------------------------------

// Calls body.template operator()<NV, Masked>(column, tail) for passes that cover columns [0, count)
// evenly: nine vectors become 5 + 4, not 8 + 1.
template <class T, class Body>
DG_INLINE void for_each_pass(int64_t first, int64_t count, const Body& body) {
  constexpr int W = Simd<T>::width;
  int64_t vectors = (count + W - 1) / W, passes = (vectors + kMaxVectors - 1) / kMaxVectors;
  int64_t column = first;
  const int64_t end = first + count;
  for (; passes > 0; --passes) {
    const int nv = static_cast<int>((vectors + passes - 1) / passes);
    const int64_t width = min64(static_cast<int64_t>(nv) * W, end - column);
    const int tail = static_cast<int>(width % W);
    const bool masked = tail != 0;
    switch (nv) {
#define DG_CASE(n)                                     \
  case n:                                              \
    if (masked) {                                      \
      body.template operator()<n, true>(column, tail); \
    } else {                                           \
      body.template operator()<n, false>(column, 0);   \
    }                                                  \
    break;
      DG_CASE(1)
      DG_CASE(2)
      DG_CASE(3)
      DG_CASE(4)
      DG_CASE(5)
      DG_CASE(6)
      DG_CASE(7)
      DG_CASE(8)
#undef DG_CASE
    }
    column += width;
    vectors -= nv;
  }
}

template <class T, class I>
void csr_rowwise(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  for_each_pass<T>(0, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
    rows_pass<T, I, NV, Masked>(args, begin, end, column, tail);
  });
}

template <class T, class I>
void csr_scatter(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  for_each_pass<T>(begin, end - begin, [&]<int NV, bool Masked>(int64_t column, int tail) {
    scatter_pass<T, I, NV, Masked>(args, column, tail);
  });
}

// ---- complex: plain loops ------------------------------------------------------------------------

// One multiply-add of DESIGN's complex chain, a standing on the left of b.
template <class T>
DG_INLINE void complex_fma(T a_re, T a_im, T b_re, T b_im, T& re, T& im) {
  re = fused(a_re, b_re, re);
  re = fused(-a_im, b_im, re);
  im = fused(a_re, b_im, im);
  im = fused(a_im, b_re, im);
}

template <class T>
DG_INLINE void complex_fma(bool sparse_is_left, const T* s, const T* x, T& re, T& im) {
  if (sparse_is_left) {
    complex_fma(s[0], s[1], x[0], x[1], re, im);
  } else {
    complex_fma(x[0], x[1], s[0], s[1], re, im);
  }
}

constexpr int kComplexColumns = 8;

template <class T, class I>
void csr_rowwise_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  for (int64_t column = 0; column < args.columns; column += kComplexColumns) {
    const int n = static_cast<int>(min64(kComplexColumns, args.columns - column));
    const T* x = static_cast<const T*>(args.x) + 2 * column;
    for (int64_t row = begin; row < end; ++row) {
      T re[kComplexColumns] = {}, im[kComplexColumns] = {};
      for (int64_t p = indptr[row]; p < indptr[row + 1]; ++p) {
        const T* x_row = x + 2 * static_cast<int64_t>(indices[p]) * args.x_stride;
        for (int c = 0; c < n; ++c)
          complex_fma(args.sparse_is_left, values + 2 * p, x_row + 2 * c, re[c], im[c]);
      }
      T* y = static_cast<T*>(args.y) + 2 * (row * args.y_stride + column);
      for (int c = 0; c < n; ++c) {
        y[2 * c] = re[c];
        y[2 * c + 1] = im[c];
      }
    }
  }
}

template <class T, class I>
void csr_scatter_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  T* y = static_cast<T*>(args.y);
  for (int64_t i = 0; i < args.minor; ++i) {
    for (int64_t c = 2 * begin; c < 2 * end; ++c) y[2 * i * args.y_stride + c] = T(0);
  }
  for (int64_t k = 0; k < args.major; ++k) {
    const T* x_row = static_cast<const T*>(args.x) + 2 * k * args.x_stride;
    for (int64_t p = indptr[k]; p < indptr[k + 1]; ++p) {
      T* y_row = y + 2 * static_cast<int64_t>(indices[p]) * args.y_stride;
      for (int64_t c = begin; c < end; ++c) {
        complex_fma(args.sparse_is_left, values + 2 * p, x_row + 2 * c, y_row[2 * c], y_row[2 * c + 1]);
      }
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
