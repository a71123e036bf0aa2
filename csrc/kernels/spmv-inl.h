// Products of a sparse S with one dense vector: straight from CSR, and from the SELL layout.
//
// Counts: per entry 2 flops, one gathered element of x, and 8 + 4 bytes (float64, 32-bit indices) streamed
// once; 8 + 2 in slices with 16-bit offsets. Memory binds outside the caches. Inside them loads into vector
// registers do (two a cycle on Zen 5): an entry takes one for x and a fourth (an eighth) for its value, and
// its place comes through the other two load units.

#include "core/kernel_args.h"
#include "kernels/common-inl.h"
#include "simd/gather.h"
#include "simd/half_storage.h"

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
    shared = min64(shared, indptr[row + r + 1] - start[r]);
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

#ifdef DG_HAS_QUADS
template <class T, class I>
struct FourRows {
  const T* values[4];
  const I* indices[4];
};

// Entries t .. t + 3 of four rows: values are loaded along the rows and turned, x is picked entry by entry.
template <class T, class I, bool Ragged>
DG_INLINE typename Quad<T>::vec quad_steps(const FourRows<T, I>& rows, const T* x, int64_t t, __m128i length,
                                           typename Quad<T>::vec acc) {
  using V = Quad<T>;
  typename V::vec column[4];
  for (int r = 0; r < 4; ++r) column[r] = V::load(rows.values[r] + t);
  V::transpose(column);
  DG_UNROLL for (int s = 0; s < 4; ++s) {
    const Places places{rows.indices[0][t + s], rows.indices[1][t + s], rows.indices[2][t + s],
                        rows.indices[3][t + s]};
    const typename V::vec picked = V::pick(x, places);
    acc = Ragged ? V::fma_longer(column[s], picked, acc, length, static_cast<int32_t>(t) + s)
                 : V::fma(column[s], picked, acc);
  }
  return acc;
}

// Four rows in the lanes of a vector, to the end of the longest: rows that have ended read on (valid entries
// of other rows) and are masked in the sum. A masked step costs no more than the latency that the longest
// chain would wait for anyway, and one mispredicted end stands for four: graphs with 3 to 14 entries a row
// take half of the time of `vector_rows` (0.5 to 0.9 ns an entry), and other rows 0.8 of it.
// False, and nothing done, where reading on would leave the arrays.
// What did not help: eight rows (a fifth slower on short rows), running the longest row alone past the
// second longest (up to a fifth slower, as its chain then waits for itself).
template <class T, class I>
DG_INLINE bool quad_rows(const SpmvArgs& args, int64_t row) {
  using V = Quad<T>;
  constexpr int64_t kMostSteps = INT32_MAX - 4;  // lengths are compared as 32-bit lanes
  const I* indptr = static_cast<const I*>(args.indptr) + row;
  const T* x = static_cast<const T*>(args.x);
  FourRows<T, I> rows;
  int64_t shared = INT64_MAX, most = 0;
  for (int r = 0; r < 4; ++r) {
    const int64_t start = indptr[r], entries = indptr[r + 1] - start;
    rows.values[r] = static_cast<const T*>(args.values) + start;
    rows.indices[r] = static_cast<const I*>(args.indices) + start;
    shared = min64(shared, entries);
    most = entries > most ? entries : most;
  }
  if (indptr[3] + most + 3 > args.nnz || most > kMostSteps) return false;
  const __m128i length = row_lengths(indptr);
  typename V::vec acc = V::zero();
  int64_t t = 0;
  for (; t + 4 <= shared; t += 4) acc = quad_steps<T, I, false>(rows, x, t, length, acc);
  for (; t < most; t += 4) acc = quad_steps<T, I, true>(rows, x, t, length, acc);
  T* y = static_cast<T*>(args.y) + row * args.y_stride;
  if (args.y_stride == 1) {
    V::store(y, acc);
  } else {
    T result[4];
    V::store(result, acc);
    for (int r = 0; r < 4; ++r) y[r * args.y_stride] = result[r];
  }
  return true;
}
#else
template <class T, class I>
inline bool quad_rows(const SpmvArgs&, int64_t) {
  return false;
}
#endif

template <class T, class I>
void csr_vector(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SpmvArgs& args = *static_cast<const SpmvArgs*>(raw);
  int64_t row = begin;
  for (; row + 4 <= end; row += 4) {
    if (!quad_rows<T, I>(args, row)) vector_rows<T, I, 4>(args, row);
  }
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

// Values may be stored narrower than T; they are then widened as they are loaded.

// One step of all lanes.
template <class T, class S, class Index, class V, int Vectors>
DG_INLINE void slice_step(const S* values, const Index* indices, const T* x,
                          typename V::vec (&acc)[Vectors]) {
  for (int v = 0; v < Vectors; ++v) {
    acc[v] =
        V::fma(HalfStorage<T, S>::load(values + v * V::width), gather(x, indices + v * V::width), acc[v]);
  }
}

// Fetches what two steps will read a while from now. Picking x from L2 or L3 hides the stream from the
// hardware's prefetcher: float64 on one thread, 1.6 against 0.8 ns an entry (1,000 entries a row, 640 MB),
// 0.8 against 0.6 (banded), 1.0 against 0.6 (10 scattered entries a row); layouts in the caches lose 2 to 10
// % by it. 2 KB gain less than 4 KB, 8 KB no more; fetching elements of x ahead loses a tenth.
template <int Lanes, class S, class Index>
DG_INLINE void fetch_ahead(const S* values, const Index* indices) {
  constexpr int ahead = sizeof(S) == 8 ? 512 : 1024;
  for (int byte = 0; byte < 2 * Lanes * static_cast<int>(sizeof(S)); byte += 64) {
    DG_PREFETCH(reinterpret_cast<const char*>(values + ahead) + byte);
  }
  for (int byte = 0; byte < 2 * Lanes * static_cast<int>(sizeof(Index)); byte += 64) {
    DG_PREFETCH(reinterpret_cast<const char*>(indices + ahead) + byte);
  }
}

// The sums of one slice. Rows of a slice are sorted by length, so the rows that have an entry t are the first
// `active` ones; their entries lie side by side, without padding. Lanes that have ended read on (the layout
// has offsets 0 there) and are masked in the sum, so nothing that is not stored is ever added.
// Counting the active lanes in one loop beat a loop for each number of lanes by 3 % (20 entries a row and
// more) to 20 % (6): its end is the only jump that is hard to foresee. Two steps at once gain 2 to 5 %.
template <bool Far, class T, class S, class Index, class V, int Vectors>
DG_INLINE void slice_sums(const int32_t* length, const S* values, const Index* indices, const T* x,
                          typename V::vec (&acc)[Vectors]) {
  constexpr int lanes = Vectors * V::width;
  const int32_t full = length[lanes - 1], most = length[0];
  int32_t t = 0;
  for (; t + 2 <= full; t += 2) {
    if constexpr (Far) fetch_ahead<lanes>(values, indices);
    slice_step<T, S, Index, V, Vectors>(values, indices, x, acc);
    slice_step<T, S, Index, V, Vectors>(values + lanes, indices + lanes, x, acc);
    values += 2 * lanes;
    indices += 2 * lanes;
  }
  for (; t < full; ++t) {
    slice_step<T, S, Index, V, Vectors>(values, indices, x, acc);
    values += lanes;
    indices += lanes;
  }
  for (; t < most; ++t) {
    const int active = count_longer<lanes>(length, t);
    for (int v = 0; v < Vectors && v * V::width < active; ++v) {
      const typename V::vec picked = gather(x, indices + v * V::width);
      acc[v] =
          V::fma_n(HalfStorage<T, S>::load(values + v * V::width), picked, acc[v], active - v * V::width);
    }
    values += active;
    indices += active;
  }
}

// The sums of some lanes of a slice, from `first` on, which walk past the entries of the others: for products
// whose threads have less than a slice each (25 rows of 1,400 to 10,500 entries, float32: 27 us became 21).
template <class T, class S, class Index, class V, int Vectors>
DG_INLINE void part_sums(const int32_t* length, int first, const S* values, const Index* indices, const T* x,
                         typename V::vec (&acc)[Vectors]) {
  constexpr int lanes = sell_lanes<T>();
  const int32_t full = length[lanes - 1], most = length[first];
  values += first;
  indices += first;
  int32_t t = 0;
  for (; t < full; ++t) {
    slice_step<T, S, Index, V, Vectors>(values, indices, x, acc);
    values += lanes;
    indices += lanes;
  }
  for (; t < most; ++t) {
    const int active = count_longer<lanes>(length, t);
    for (int v = 0; v < Vectors && first + v * V::width < active; ++v) {
      const typename V::vec picked = gather(x, indices + v * V::width);
      acc[v] = V::fma_n(HalfStorage<T, S>::load(values + v * V::width), picked, acc[v],
                        active - first - v * V::width);
    }
    values += active;
    indices += active;
  }
}

template <class T, class S>
void half_slices(const SellArgs& args, int64_t begin, int64_t end) {
  using V = HalfSimd<T>;
  constexpr int lanes = sell_lanes<T>(), half = lanes / 2, vectors = half / V::width;
  const T* x = static_cast<const T*>(args.x);
  for (int64_t number = begin; number < end; ++number) {
    const SellSlice& slice = args.slices[number / 2];
    const int32_t* length = args.length + number / 2 * lanes;
    const int first = static_cast<int>(number % 2) * half;
    const S* values = static_cast<const S*>(args.values) + slice.entry;
    const uint16_t* offsets = args.offsets + slice.offset;
    typename V::vec acc[vectors];
    for (int v = 0; v < vectors; ++v) acc[v] = V::zero();
    if (slice.base >= 0) {
      part_sums<T, S, uint16_t, V, vectors>(length, first, values, offsets, x + slice.base, acc);
    } else {
      const int32_t* columns = reinterpret_cast<const int32_t*>(offsets);
      part_sums<T, S, int32_t, V, vectors>(length, first, values, columns, x, acc);
    }
    T result[half];
    for (int v = 0; v < vectors; ++v) V::store(result + v * V::width, acc[v]);
    const int64_t place = number * half, rows = min64(args.rows - place, half);
    for (int64_t r = 0; r < rows; ++r)
      static_cast<T*>(args.y)[args.row[place + r] * args.y_stride] = result[r];
  }
}

template <class T, class S, bool Far>
void slices(const SellArgs& args, int64_t begin, int64_t end) {
  using V = HalfSimd<T>;
  constexpr int lanes = sell_lanes<T>();
  constexpr int vectors = lanes / V::width;
  const T* x = static_cast<const T*>(args.x);
  T* y = static_cast<T*>(args.y);
  for (int64_t number = begin; number < end; ++number) {
    const SellSlice& slice = args.slices[number];
    const int64_t first = number * lanes;
    const S* values = static_cast<const S*>(args.values) + slice.entry;
    const uint16_t* offsets = args.offsets + slice.offset;
    typename V::vec acc[vectors];
    for (int v = 0; v < vectors; ++v) acc[v] = V::zero();
    if (slice.base >= 0) {
      slice_sums<Far, T, S, uint16_t, V, vectors>(args.length + first, values, offsets, x + slice.base, acc);
    } else {
      const int32_t* columns = reinterpret_cast<const int32_t*>(offsets);
      slice_sums<Far, T, S, int32_t, V, vectors>(args.length + first, values, columns, x, acc);
    }
    if (args.in_order && args.y_stride == 1 && first + lanes <= args.rows) {
      for (int v = 0; v < vectors; ++v) V::store(y + first + v * V::width, acc[v]);
    } else {
      const int64_t rows = min64(args.rows - first, lanes);
      T result[lanes];
      for (int v = 0; v < vectors; ++v) V::store(result + v * V::width, acc[v]);
      for (int64_t r = 0; r < rows; ++r) y[args.row[first + r] * args.y_stride] = result[r];
    }
  }
}

template <class T, class S = T>
void sell_vector(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SellArgs& args = *static_cast<const SellArgs*>(raw);
  if (args.halves) return half_slices<T, S>(args, begin, end);
  constexpr int64_t kFarBytes = 16 << 20;  // half of the last cache where this was measured; 10 MB are slower
  const int64_t entries = args.slices[(args.rows + sell_lanes<T>() - 1) / sell_lanes<T>()].entry;
  if (entries * static_cast<int64_t>(sizeof(S) + sizeof(uint16_t)) > kFarBytes) {
    slices<T, S, true>(args, begin, end);
  } else {
    slices<T, S, false>(args, begin, end);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
