// Products of a compressed sparse S with a dense X, row-wise and scattered, in the stated order.
//
// Counts for float32, N columns: per entry of S 8 bytes of S, 4 N bytes of X (from whichever level
// holds it), 2 N flops; per row 4 N bytes of Y written.

#include "core/kernel_args.h"
#include "kernels/common-inl.h"
#include "kernels/passes-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// ---- what one entry of S does to a vector of a row of Y --------------------------------------------

template <class T, class Vector = Simd<T>>
struct Real {
  using Element = T;
  using V = Vector;
  using vec = typename V::vec;
  static constexpr int parts = 1;

  vec a;
  DG_INLINE explicit Real(const T* values, int64_t p) : a(V::set1(values[p])) {}
  DG_INLINE vec add(vec x, vec acc) const { return V::fma(a, x, acc); }
};

// The stated order, a standing on the left of b:
//   re = fma(ar, br, re); re = fma(-ai, bi, re); im = fma(ar, bi, im); im = fma(ai, br, im).
// Here a is the entry of S and b = (br, bi) are the lanes.
template <class T>
struct ComplexLeft {
  using Element = T;
  using V = PairSimd<T>;
  using vec = typename V::vec;
  static constexpr int parts = 2;

  vec re, im;
  DG_INLINE explicit ComplexLeft(const T* values, int64_t p)
      : re(V::set1(values[2 * p])), im(V::set2(-values[2 * p + 1], values[2 * p + 1])) {}
  DG_INLINE vec add(vec x, vec acc) const { return V::fma(im, V::swap2(x), V::fma(re, x, acc)); }
};

// The same order where S stands on the right of X: a = (ar, ai) are the lanes and b is the entry.
template <class T>
struct ComplexRight {
  using Element = T;
  using V = PairSimd<T>;
  using vec = typename V::vec;
  static constexpr int parts = 2;

  vec b, turned;
  DG_INLINE explicit ComplexRight(const T* values, int64_t p)
      : b(V::set2(values[2 * p], values[2 * p + 1])), turned(V::set2(-values[2 * p + 1], values[2 * p])) {}
  DG_INLINE vec add(vec x, vec acc) const { return V::fma(turned, V::odd(x), V::fma(b, V::even(x), acc)); }
};

// ---- csr_rowwise ---------------------------------------------------------------------------------

// Entries [from, to) of one row, added to its accumulators in order.
template <class Entry, class I, int NV, bool Masked>
DG_INLINE void add_entries(const SpmmArgs& args, int64_t from, int64_t to, const typename Entry::Element* x,
                           int tail, typename Entry::vec (&acc)[NV]) {
  using V = typename Entry::V;
  const I* indices = static_cast<const I*>(args.indices);
  const auto* values = static_cast<const typename Entry::Element*>(args.values);
  const int64_t stride = Entry::parts * args.x_stride;
  for (int64_t p = from; p < to; ++p) {
    const auto* x_row = x + static_cast<int64_t>(indices[p]) * stride;
    const Entry entry(values, p);
    for (int v = 0; v < NV - Masked; ++v) acc[v] = entry.add(V::load(x_row + v * V::width), acc[v]);
    if constexpr (Masked) acc[NV - 1] = entry.add(V::load_n(x_row + (NV - 1) * V::width, tail), acc[NV - 1]);
  }
}

// R rows side by side over NV vectors of columns: with few columns one row has too few independent
// chains to fill the FMA units, so rows are paired up over the length that they share.
template <class Entry, class I, int R, int NV, bool Masked>
DG_INLINE void rows_tile(const SpmmArgs& args, int64_t row, int64_t column, int tail) {
  using V = typename Entry::V;
  using T = typename Entry::Element;
  const I* indptr = static_cast<const I*>(args.indptr);
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
      add_entries<Entry, I, NV, Masked>(args, start[r] + t, start[r] + t + 1, x, tail, acc[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    add_entries<Entry, I, NV, Masked>(args, start[r] + shared, indptr[row + r + 1], x, tail, acc[r]);
    T* y = static_cast<T*>(args.y) + Entry::parts * (row + r) * args.y_stride + column;
    for (int v = 0; v < NV - Masked; ++v) V::store(y + v * V::width, acc[r][v]);
    if constexpr (Masked) V::store_n(y + (NV - 1) * V::width, acc[r][NV - 1], tail);
  }
}

// Short rows overlap by themselves in the CPU's window; running them side by side would only add the
// mispredicted ends of R loops (graphs with 3 to 14 entries a row: 0.5 to 0.6 of MKL's speed).
constexpr int64_t kWorthSharing = 16;

template <class I, int R>
DG_INLINE int64_t shortest(const I* indptr) {
  int64_t length = INT64_MAX;
  for (int r = 0; r < R; ++r) length = min64(length, static_cast<int64_t>(indptr[r + 1] - indptr[r]));
  return length;
}

template <class Entry, class I, int NV, bool Masked>
void rows_pass(const SpmmArgs& args, int64_t begin, int64_t end, int64_t column, int tail) {
  constexpr int R = NV <= 2 ? 4 : NV <= 4 ? 2 : 1;  // 8 rows at NV = 1 lose a tenth
  const I* indptr = static_cast<const I*>(args.indptr);
  int64_t row = begin;
  while (row < end) {
    if constexpr (R > 1) {
      if (row + R <= end && shortest<I, R>(indptr + row) >= kWorthSharing) {
        rows_tile<Entry, I, R, NV, Masked>(args, row, column, tail);
        row += R;
        continue;
      }
    }
    rows_tile<Entry, I, 1, NV, Masked>(args, row, column, tail);
    ++row;
  }
}

// ---- csr_scatter ---------------------------------------------------------------------------------

template <class Entry, class I, int NV, bool Masked>
void scatter_pass(const SpmmArgs& args, int64_t column, int tail) {
  using V = typename Entry::V;
  using T = typename Entry::Element;
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  const T* x = static_cast<const T*>(args.x) + column;
  T* y = static_cast<T*>(args.y) + column;
  const int64_t x_stride = Entry::parts * args.x_stride, y_stride = Entry::parts * args.y_stride;
  for (int64_t i = 0; i < args.minor; ++i) {
    T* y_row = y + i * y_stride;
    for (int v = 0; v < NV - Masked; ++v) V::store(y_row + v * V::width, V::zero());
    if constexpr (Masked) V::store_n(y_row + (NV - 1) * V::width, V::zero(), tail);
  }
  for (int64_t k = 0; k < args.major; ++k) {
    if (indptr[k] == indptr[k + 1]) continue;
    const T* x_row = x + k * x_stride;
    typename V::vec b[NV];
    for (int v = 0; v < NV - Masked; ++v) b[v] = V::load(x_row + v * V::width);
    if constexpr (Masked) b[NV - 1] = V::load_n(x_row + (NV - 1) * V::width, tail);
    for (int64_t p = indptr[k]; p < indptr[k + 1]; ++p) {
      T* y_row = y + static_cast<int64_t>(indices[p]) * y_stride;
      const Entry entry(values, p);
      for (int v = 0; v < NV - Masked; ++v) {
        V::store(y_row + v * V::width, entry.add(b[v], V::load(y_row + v * V::width)));
      }
      if constexpr (Masked) {
        T* last = y_row + (NV - 1) * V::width;
        V::store_n(last, entry.add(b[NV - 1], V::load_n(last, tail)), tail);
      }
    }
  }
}

// ---- passes over all columns --------------------------------------------------------------------

// All columns in one vector.
template <class Entry, class I>
void rows_one_pass(const SpmmArgs& args, int64_t begin, int64_t end) {
  const int columns = static_cast<int>(args.columns);
  if (columns == Entry::V::width) {
    rows_pass<Entry, I, 1, false>(args, begin, end, 0, 0);
  } else {
    rows_pass<Entry, I, 1, true>(args, begin, end, 0, columns);
  }
}

// Vectors of a pass. Complex ones have two chained FMAs for each, and scalar ones gain nothing from more;
// every count is code, and complex entries come in twice as many kinds as real ones.
template <class Entry>
constexpr int kPassVectors = Entry::parts == 2 || Entry::V::width == 1 ? kMaxVectors / 2 : kMaxVectors;

template <class Entry, class Body>
DG_INLINE void for_each_column_pass(int64_t first, int64_t columns, const Body& body) {
  constexpr int P = Entry::parts;
  for_each_pass<typename Entry::V, kPassVectors<Entry>, P>(P * first, P * columns, body);
}

template <class Entry, class I>
void rowwise(const SpmmArgs& args, int64_t begin, int64_t end) {
  for_each_column_pass<Entry>(0, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
    rows_pass<Entry, I, NV, Masked>(args, begin, end, column, tail);
  });
}

template <class Entry, class I>
void scatter(const SpmmArgs& args, int64_t begin, int64_t end) {
  for_each_column_pass<Entry>(begin, end - begin, [&]<int NV, bool Masked>(int64_t column, int tail) {
    scatter_pass<Entry, I, NV, Masked>(args, column, tail);
  });
}

// ---- the kernels ---------------------------------------------------------------------------------

template <class T, class I>
void csr_rowwise(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  if (args.columns <= HalfSimd<T>::width) {
    rows_one_pass<Real<T, HalfSimd<T>>, I>(args, begin, end);
  } else {
    rowwise<Real<T>, I>(args, begin, end);
  }
}

template <class T, class I>
void csr_rowwise_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  if (args.sparse_is_left) {
    rowwise<ComplexLeft<T>, I>(args, begin, end);
  } else {
    rowwise<ComplexRight<T>, I>(args, begin, end);
  }
}

// One column. A masked store cannot be forwarded to the next load of the same place (4 ns an entry), a
// scalar one can.
template <class T, class I>
void scatter_column(const SpmmArgs& args, int64_t column) {
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  T* y = static_cast<T*>(args.y) + column;
  for (int64_t i = 0; i < args.minor; ++i) y[i * args.y_stride] = T(0);
  for (int64_t k = 0; k < args.major; ++k) {
    const T b = static_cast<const T*>(args.x)[k * args.x_stride + column];
    for (int64_t p = indptr[k]; p < indptr[k + 1]; ++p) {
      T& sum = y[static_cast<int64_t>(indices[p]) * args.y_stride];
      sum = fused(values[p], b, sum);
    }
  }
}

template <class T, class I>
void csr_scatter(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  if (end - begin == 1) {
    scatter_column<T, I>(args, begin);
  } else {
    scatter<Real<T>, I>(args, begin, end);
  }
}

template <class T, class I>
void csr_scatter_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmmArgs& args = *static_cast<const SpmmArgs*>(raw);
  if (args.sparse_is_left) {
    scatter<ComplexLeft<T>, I>(args, begin, end);
  } else {
    scatter<ComplexRight<T>, I>(args, begin, end);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
