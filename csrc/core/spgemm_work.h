// Counts what a product of two sparse matrices will take, row by row, before any of it is done.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/parallel.h"
#include "core/sparse_rows.h"
#include "core/types.h"

namespace deepgemm {

template <class I>
class SpgemmOperands {
 public:
  using Index = I;

  SpgemmOperands(const CompressedView& a, const SparseRows& b)
      : a_indptr_(static_cast<const I*>(a.indptr)),
        a_indices_(static_cast<const I*>(a.indices)),
        b_begin_(static_cast<const I*>(b.indptr)),
        b_end_(static_cast<const I*>(b.row_ends())),
        b_indices_(static_cast<const I*>(b.indices)),
        b_rows_(b.major) {}

  // Multiply-adds of a row.
  std::int64_t work(std::int64_t row) const {
    std::int64_t sum = 0;
    for (std::int64_t p = a_indptr_[row]; p < a_indptr_[row + 1]; ++p) sum += length(a_indices_[p]);
    return sum;
  }
  // Entries of the longest row of B that a row meets.
  std::int64_t longest(std::int64_t row) const {
    std::int64_t most = 0;
    for (std::int64_t p = a_indptr_[row]; p < a_indptr_[row + 1]; ++p) {
      most = std::max(most, length(a_indices_[p]));
    }
    return most;
  }
  // One more than the last column that has an entry.
  std::int64_t used_columns() const {
    std::int64_t most = 0;
    for (std::int64_t k = 0; k < b_rows_; ++k) {
      if (length(k) > 0) most = std::max<std::int64_t>(most, std::int64_t{b_indices_[b_end_[k] - 1]} + 1);
    }
    return most;
  }

  std::int64_t row_begin(std::int64_t row) const { return a_indptr_[row]; }
  std::int64_t row_end(std::int64_t row) const { return a_indptr_[row + 1]; }
  // The row of B that an entry of A meets: its first and its end among the entries of B.
  const I* b_first(std::int64_t p) const { return b_indices_ + b_begin_[a_indices_[p]]; }
  const I* b_end(std::int64_t p) const { return b_indices_ + b_end_[a_indices_[p]]; }
  const I* b_indices() const { return b_indices_; }

 private:
  std::int64_t length(std::int64_t k) const { return std::int64_t{b_end_[k]} - b_begin_[k]; }
  const I *a_indptr_, *a_indices_, *b_begin_, *b_end_, *b_indices_;
  std::int64_t b_rows_;
};

template <class Body>
auto with_operands(const CompressedView& a, const SparseRows& b, const Body& body) {
  return a.index_type == IndexType::i32 ? body(SpgemmOperands<std::int32_t>(a, b))
                                        : body(SpgemmOperands<std::int64_t>(a, b));
}

// Calls body(first row, end row) for parts of about equal numbers of entries of A.
template <class Body>
void over_rows(const CompressedView& a, int threads, const Body& body) {
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, a.nnz + a.major, 1 << 14), std::max<std::int64_t>(a.major, 1));
  parallel::run(tasks > 1 ? threads : 1, tasks,
                [&](std::int64_t task, int) { body(a.major * task / tasks, a.major * (task + 1) / tasks); });
}

}  // namespace deepgemm
