// Cuts one heavy row of C = A B into ranges of columns, so that it does not keep one thread busy alone.
// Chains stay whole: a range is a part of the outputs.
#pragma once

#include <cstdint>

#include "core/sparse_rows.h"
#include "core/types.h"
#include "core/workspace.h"

namespace deepgemm {

// A row of A seen as a matrix of its own: one row whose entries are numbered through, times the parts of the
// rows of B that fall into a range of columns. Kernels take it like any other product.
class SplitRow {
 public:
  // False when there is no memory.
  bool cut(const CompressedView& a, const SparseRows& b, std::int64_t row, int parts, int threads);

  int parts() const { return parts_; }
  std::int64_t row() const { return row_; }
  const void* a_indptr() const { return numbers_.data(); }  // 0 and the number of entries
  const void* a_indices() const { return at(numbers_, 2); }
  const void* a_values() const { return a_values_; }
  const void* b_begin(int part) const { return at(bounds_, part * entries_); }
  const void* b_end(int part) const { return at(bounds_, (part + 1) * entries_); }
  std::int64_t first_column(int part) const { return columns_[part]; }
  std::int64_t end_column(int part) const { return columns_[part + 1]; }
  std::int64_t work(int part) const;

  static constexpr int kMostParts = 64;

 private:
  template <class Operands>
  void choose_columns(const Operands& operands, std::int64_t last);
  template <class Operands>
  void find_bounds(const Operands& operands, int threads);
  const void* at(const AlignedBuffer& buffer, std::int64_t position) const {
    return static_cast<const char*>(buffer.data()) + static_cast<std::size_t>(position) * size_of(type_);
  }

  IndexType type_ = IndexType::i32;
  int parts_ = 0;
  std::int64_t row_ = 0, first_ = 0, entries_ = 0;
  const void* a_values_ = nullptr;
  std::int64_t columns_[kMostParts + 1] = {};
  AlignedBuffer numbers_;  // indptr and indices of the row
  AlignedBuffer bounds_;   // for each part, and behind the last, where the rows of B are cut
};

}  // namespace deepgemm
