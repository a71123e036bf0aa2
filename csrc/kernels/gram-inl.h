// Rows of the upper triangle of A^T diag(w) A: for each entry (k, i) of column i of A, in ascending k, the
// rest of row k from column i on is added to row i of the result.
//
// Counts: for each pair of entries i <= j of a row of A one FMA, one index and one value read, and one
// element of the result's row read and written, which stays in L1 or L2. The transpose is never formed: an
// entry of column i knows its place in row k, so the rest of that row begins there and nothing is searched.
//
// The inner loop is scalar: 0.6 to 1.5 pairs a nanosecond with rows of 100 entries, less with short rows,
// which wait for memory. Gathers and scatters of vectors were not tried here (simd/avx512.h has what gathers
// cost).

#include "core/gram_args.h"
#include "kernels/chain-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// Rows of A in whose order a column jumps around are asked for so many entries ahead.
constexpr int64_t kRowsAhead = 12;

// First position in [from, to) of a sorted row whose column is not below `column`.
template <class I>
DG_INLINE int64_t first_at(const I* indices, int64_t from, int64_t to, int64_t column) {
  while (from < to) {
    const int64_t middle = from + (to - from) / 2;
    if (indices[middle] < column) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

template <class Chain, class I>
void gram(const void* raw, int64_t begin, int64_t end, int, void*) {
  using T = typename Chain::Value;
  const GramArgs& args = *static_cast<const GramArgs*>(raw);
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* values = static_cast<const T*>(args.values);
  const I* column_ptr = static_cast<const I*>(args.column_ptr);
  const I* column_rows = static_cast<const I*>(args.column_rows);
  const I* positions = static_cast<const I*>(args.positions);
  const T* weights = static_cast<const T*>(args.weights);
  for (int64_t i = begin; i < end; ++i) {
    T* row = static_cast<T*>(args.out) + i * args.out_stride;
    const int64_t first = args.first_column > i ? args.first_column : i;
    for (int64_t j = first; j < args.last_column; ++j) row[j] = T{};
    const int64_t stop = column_ptr[i + 1];
    for (int64_t p = column_ptr[i]; p < stop; ++p) {
      if (p + kRowsAhead < stop) {
        DG_PREFETCH(indices + positions[p + kRowsAhead]);
        DG_PREFETCH(values + positions[p + kRowsAhead]);
        DG_PREFETCH(indptr + column_rows[p + kRowsAhead] + 1);
      }
      const int64_t k = column_rows[p];
      int64_t q = positions[p], to = indptr[k + 1];
      const T scaled = weights != nullptr ? Chain::times(weights[k], values[q]) : values[q];
      if (first > i) q = first_at(indices, q, to, first);
      if (args.last_column < args.columns) to = first_at(indices, q, to, args.last_column);
      for (; q < to; ++q) row[indices[q]] = Chain::step(scaled, values[q], row[indices[q]]);
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
