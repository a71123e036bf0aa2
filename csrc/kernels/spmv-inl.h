// Products of a sparse S with one dense vector: straight from CSR, and from the SELL layout.
//
// Counts: per entry 2 flops, 8 + 4 bytes (float64, 32-bit indices) streamed once, and one gathered
// element of x. Memory binds outside the caches; inside them csr_vector is bound by the latency of its
// chains, sell_vector by the gathers.

#include "core/kernel_args.h"

namespace deepgemm::DG_ISA {
namespace {

// ---- csr_vector ----------------------------------------------------------------------------------

// R rows at once over the length they share: one chain alone would wait 4 cycles for every FMA.
template <class T, class I, int R>
inline void vector_rows(const SpmvArgs& args, int64_t row) {
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  const T* x = static_cast<const T*>(args.x);
  int64_t start[R], shared = INT64_MAX;
  T acc[R];
  for (int r = 0; r < R; ++r) {
    start[r] = indptr[row + r];
    const int64_t length = indptr[row + r + 1] - start[r];
    shared = length < shared ? length : shared;
    acc[r] = T(0);
  }
  for (int64_t t = 0; t < shared; ++t) {
    for (int r = 0; r < R; ++r) acc[r] = fused(values[start[r] + t], x[indices[start[r] + t]], acc[r]);
  }
  for (int r = 0; r < R; ++r) {
    for (int64_t p = start[r] + shared; p < indptr[row + r + 1]; ++p) {
      acc[r] = fused(values[p], x[indices[p]], acc[r]);
    }
    static_cast<T*>(args.y)[(row + r) * args.y_stride] = acc[r];
  }
}

template <class T, class I>
void csr_vector(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmvArgs& args = *static_cast<const SpmvArgs*>(raw);
  // Leaving short rows alone, as csr_rowwise does, lost up to a quarter here (7 entries a row).
  constexpr int R = 4;
  int64_t row = begin;
  for (; row + R <= end; row += R) vector_rows<T, I, R>(args, row);
  for (; row < end; ++row) vector_rows<T, I, 1>(args, row);
}

template <class T, class I>
void csr_vector_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmvArgs& args = *static_cast<const SpmvArgs*>(raw);
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  const T* x = static_cast<const T*>(args.x);
  for (int64_t row = begin; row < end; ++row) {
    T re = T(0), im = T(0);
    for (int64_t p = indptr[row]; p < indptr[row + 1]; ++p) {
      const T* s = values + 2 * p;
      const T* b = x + 2 * static_cast<int64_t>(indices[p]);
      re = fused(s[0], b[0], re);
      re = fused(-s[1], b[1], re);
      im = args.sparse_is_left ? fused(s[0], b[1], im) : fused(b[0], s[1], im);
      im = args.sparse_is_left ? fused(s[1], b[0], im) : fused(b[1], s[0], im);
    }
    T* y = static_cast<T*>(args.y) + 2 * row * args.y_stride;
    y[0] = re;
    y[1] = im;
  }
}

// ---- sell_vector ---------------------------------------------------------------------------------

// One step adds entry t of each row of the slice that is longer than t. Rows of a slice are sorted
// by length, so the active lanes are the first `active`; their entries lie side by side, without
// padding. Lanes that have ended read the entries that follow (valid ones: the layout is padded by a
// vector at its very end) and are masked in the sum, so nothing that is not stored is ever added.
template <class T>
void sell_vector(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = HalfSimd<T>;
  constexpr int lanes = sell_lanes<T>();
  constexpr int vectors = lanes / V::width;
  const SellArgs& args = *static_cast<const SellArgs*>(raw);
  const T* x = static_cast<const T*>(args.x);
  T* y = static_cast<T*>(args.y);
  for (int64_t slice = begin; slice < end; ++slice) {
    const int64_t first = slice * lanes;
    const int rows = static_cast<int>(args.rows - first < lanes ? args.rows - first : lanes);
    const int32_t* length = args.length + first;
    const T* values = static_cast<const T*>(args.values) + args.slice_start[slice];
    const int32_t* indices = args.indices + args.slice_start[slice];
    typename V::vec acc[vectors];
    for (int v = 0; v < vectors; ++v) acc[v] = V::zero();

    int32_t t = 0;
    if (rows == lanes) {
      for (const int32_t full = length[lanes - 1]; t < full; ++t) {
        for (int v = 0; v < vectors; ++v) {
          acc[v] = V::fma(V::load(values + v * V::width), V::gather(x, indices + v * V::width), acc[v]);
        }
        values += lanes;
        indices += lanes;
      }
    }
    for (int active = rows == lanes ? lanes - 1 : rows; active > 0; --active) {
      for (const int32_t until = length[active - 1]; t < until; ++t) {
        for (int v = 0; v < vectors; ++v) {
          const int n = active - v * V::width;
          if (n <= 0) break;
          acc[v] = V::fma_n(V::load(values + v * V::width), V::gather(x, indices + v * V::width), acc[v], n);
        }
        values += active;
        indices += active;
      }
    }

    if (args.in_order && args.y_stride == 1) {
      for (int v = 0; v < vectors; ++v) {
        const int n = rows - v * V::width;
        V::store_n(y + first + v * V::width, acc[v], n < 0 ? 0 : n);
      }
    } else {
      T result[lanes];
      for (int v = 0; v < vectors; ++v) V::store(result + v * V::width, acc[v]);
      for (int r = 0; r < rows; ++r) y[args.row[first + r] * args.y_stride] = result[r];
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
