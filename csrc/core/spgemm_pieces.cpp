#include "core/spgemm_pieces.h"

#include <algorithm>
#include <new>
#include <utility>

#include "core/spgemm_work.h"

namespace deepgemm {
namespace {

// A task should outlast the handing over of a task between threads a few times, and its piece of the
// result should stay in a second-level cache until it is copied to its place. Units are multiply-adds.
constexpr std::int64_t kLeastTask = 4096, kMostTask = 1 << 16;
constexpr std::int64_t kTasksPerThread = 8;
// Opening and closing a row, in multiply-adds.
constexpr std::int64_t kRowWork = 4;
// A row of more than one in so many shares of all work is cut by columns, into so many parts.
constexpr std::int64_t kPartsPerThread = 4;
// Each part looks for its stretch of each row of B that the row meets, about 10 ns, so stretches should have
// so many entries at least. With 7 parts of one entry each, three rows of 90,000 entries (BOYD1_A) took 10 ms
// more than uncut.
constexpr std::int64_t kLeastStretch = 16;

}  // namespace

bool SpgemmPieces::cut(const CompressedView& a, const SparseRows& b, int threads) {
  if (!work_.resize(static_cast<std::size_t>(a.major + 1) * sizeof(std::int64_t))) return false;
  count_work(a, b, threads);
  const std::int64_t total = before(a.major);
  const std::int64_t target = std::clamp(total / (threads * kTasksPerThread), kLeastTask, kMostTask);
  const std::int64_t heavy = std::max(2 * target, total / (kPartsPerThread * threads));
  try {
    if (threads > 1 && longest_ > heavy) return cut_around_heavy_rows(a, b, target, heavy, threads);
    cut_rows(0, a.major, total / (threads > 1 ? target : kMostTask));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void SpgemmPieces::count_work(const CompressedView& a, const SparseRows& b, int threads) {
  std::int64_t* sums = static_cast<std::int64_t*>(work_.data());
  with_operands(a, b, [&](const auto& operands) {
    over_rows(a, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) sums[row + 1] = operands.work(row);
    });
  });
  sums[0] = 0;
  for (std::int64_t row = 0; row < a.major; ++row) {
    longest_ = std::max(longest_, sums[row + 1]);
    sums[row + 1] += sums[row];
  }
}

std::int64_t SpgemmPieces::before(std::int64_t row) const { return work()[row] + kRowWork * row; }

bool SpgemmPieces::cut_around_heavy_rows(const CompressedView& a, const SparseRows& b, std::int64_t target,
                                         std::int64_t heavy, int threads) {
  splits_.reserve(static_cast<std::size_t>(before(a.major) / heavy + 1));
  const auto tasks = [&](std::int64_t begin, std::int64_t end) {
    return (before(end) - before(begin)) / target;
  };
  std::int64_t begin = 0;
  for (std::int64_t row = 0; row < a.major; ++row) {
    if (work(row) <= heavy) continue;
    const std::int64_t entries =
        index_at(a.indptr, a.index_type, row + 1) - index_at(a.indptr, a.index_type, row);
    const std::int64_t parts =
        std::min({work(row) / target, kPartsPerThread * threads, work(row) / (kLeastStretch * entries)});
    if (parts < 2) continue;
    cut_rows(begin, row, tasks(begin, row));
    splits_.emplace_back();
    SplitRow& split = splits_.back();
    if (!split.cut(a, b, row, static_cast<int>(parts), threads)) return false;
    for (int part = 0; part < split.parts(); ++part) {
      SpgemmPiece piece;
      piece.first_row = part == 0 ? row : row + 1;
      piece.end_row = row + 1;
      piece.split = &split;
      piece.part = part;
      pieces_.push_back(piece);
    }
    begin = row + 1;
  }
  cut_rows(begin, a.major, tasks(begin, a.major));
  return true;
}

void SpgemmPieces::cut_rows(std::int64_t begin, std::int64_t end, std::int64_t tasks) {
  if (begin == end) return;
  tasks = std::clamp<std::int64_t>(tasks, 1, end - begin);
  std::int64_t from = begin;
  for (std::int64_t task = 1; task <= tasks; ++task) {
    SpgemmPiece piece;
    piece.first_row = from;
    piece.end_row = from = task == tasks ? end : first_row(begin, end, task, tasks);
    pieces_.push_back(piece);
  }
}

// First row of a task of those that cover rows [begin, end) in order, by work.
std::int64_t SpgemmPieces::first_row(std::int64_t begin, std::int64_t end, std::int64_t task,
                                     std::int64_t tasks) const {
  const double share = static_cast<double>(task) / static_cast<double>(tasks);
  const double all = static_cast<double>(before(end) - before(begin));
  const std::int64_t target = before(begin) + static_cast<std::int64_t>(share * all);
  std::int64_t low = begin, high = end;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (before(middle) < target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace deepgemm
