// Sparse × sparse with a dense result, row by row in the stated order.
#pragma once

#include "core/spgemm_args.h"
#include "kernels/chain-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// A dense result needs neither marks nor accumulators besides its own row.
template <class Chain, class I>
void csr_csr_dense(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = typename Chain::Value;
  const SpgemmDenseArgs& dense = *static_cast<const SpgemmDenseArgs*>(raw);
  const SpgemmArgs& args = dense.sparse;
  const I *a_indptr = static_cast<const I*>(args.a_indptr),
          *a_indices = static_cast<const I*>(args.a_indices);
  const I *b_begin = static_cast<const I*>(args.b_begin), *b_end = static_cast<const I*>(args.b_end);
  const I* b_indices = static_cast<const I*>(args.b_indices);
  const V *a_values = static_cast<const V*>(args.a_values), *b_values = static_cast<const V*>(args.b_values);
  for (int64_t row = begin; row < end; ++row) {
    V* out = static_cast<V*>(dense.out) + row * dense.out_stride;
    memset(out + dense.first_column, 0,
           static_cast<size_t>(dense.last_column - dense.first_column) * sizeof(V));
    for (int64_t p = a_indptr[row]; p < a_indptr[row + 1]; ++p) {
      const int64_t k = a_indices[p], stop = b_end[k];
      const V a = a_values[p];
      for (int64_t q = b_begin[k]; q < stop; ++q) {
        V& sum = out[b_indices[q]];
        sum = Chain::step(a, b_values[q], sum);
      }
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
