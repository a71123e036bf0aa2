// The rows of C = A B cut into pieces of about equal work, the heaviest of them into ranges of columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/sparse_rows.h"
#include "core/spgemm_split.h"
#include "core/types.h"
#include "core/workspace.h"

namespace deepgemm {

// Some rows of the result, or some columns of one row. A piece that is not the first of its row has no rows.
struct SpgemmPiece {
  std::int64_t first_row = 0, end_row = 0;
  const SplitRow* split = nullptr;
  int part = 0;

  // Filled in as the product goes on: the entries, where they are, and where they begin in the result (-1
  // while pieces before it are not done).
  std::int64_t entries = 0, start = -1;
  const void* columns = nullptr;
  const void* values = nullptr;
  bool done = false;
  int thread = 0;  // whose arenas hold the entries, and in which blocks
  std::size_t column_block = 0, value_block = 0;
};

class SpgemmPieces {
 public:
  // False when there is no memory.
  bool cut(const CompressedView& a, const SparseRows& b, int threads);

  std::int64_t count() const { return static_cast<std::int64_t>(pieces_.size()); }
  SpgemmPiece& operator[](std::int64_t piece) { return pieces_[static_cast<std::size_t>(piece)]; }
  bool has_splits() const { return !splits_.empty(); }

  // Multiply-adds before each row, and behind the last; of one row; of the longest.
  const std::int64_t* work() const { return static_cast<const std::int64_t*>(work_.data()); }
  std::int64_t work(std::int64_t row) const { return work()[row + 1] - work()[row]; }
  std::int64_t longest() const { return longest_; }

 private:
  void count_work(const CompressedView& a, const SparseRows& b, int threads);
  bool cut_around_heavy_rows(const CompressedView& a, const SparseRows& b, std::int64_t target,
                             std::int64_t heavy, int threads);
  void cut_rows(std::int64_t begin, std::int64_t end, std::int64_t tasks);
  std::int64_t first_row(std::int64_t begin, std::int64_t end, std::int64_t task, std::int64_t tasks) const;
  std::int64_t before(std::int64_t row) const;

  AlignedBuffer work_;
  std::int64_t longest_ = 0;
  std::vector<SpgemmPiece> pieces_;
  std::vector<SplitRow> splits_;  // reserved: pieces point into it
};

}  // namespace deepgemm
