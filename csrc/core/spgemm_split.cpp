#include "core/spgemm_split.h"

#include <algorithm>
#include <iterator>

#include "core/parallel.h"
#include "core/spgemm_work.h"

namespace deepgemm {
namespace {

// Entries looked at to find columns that cut the row evenly.
constexpr std::int64_t kSample = 1024;
// Cuts found in one task.
constexpr std::int64_t kCutsPerTask = 1 << 12;

}  // namespace

bool SplitRow::cut(const CompressedView& a, const SparseRows& b, std::int64_t row, int parts, int threads) {
  type_ = a.index_type;
  parts_ = std::min(parts, kMostParts);
  row_ = row;
  return with_operands(a, b, [&](const auto& operands) {
    using I = typename std::decay_t<decltype(operands)>::Index;
    first_ = operands.row_begin(row);
    entries_ = operands.row_end(row) - first_;
    a_values_ = static_cast<const char*>(a.values) + static_cast<std::size_t>(first_) * size_of(a.dtype);
    const std::size_t entries = static_cast<std::size_t>(entries_);
    if (!numbers_.resize((entries + 2) * sizeof(I)) ||
        !bounds_.resize(entries * static_cast<std::size_t>(parts_ + 1) * sizeof(I))) {
      return false;
    }
    I* numbers = static_cast<I*>(numbers_.data());
    numbers[0] = 0;
    numbers[1] = static_cast<I>(entries_);
    for (std::int64_t e = 0; e < entries_; ++e) numbers[2 + e] = static_cast<I>(e);
    choose_columns(operands, b.minor);
    find_bounds(operands, threads);
    return true;
  });
}

template <class Operands>
void SplitRow::choose_columns(const Operands& operands, std::int64_t last) {
  std::int64_t seen[kSample];
  std::int64_t count = 0;
  for (std::int64_t s = 0; s < kSample; ++s) {
    const std::int64_t p = first_ + entries_ * s / kSample;
    const auto *begin = operands.b_first(p), *end = operands.b_end(p);
    // Another place of each row: multiples of the golden ratio fill the unit interval evenly.
    const double place = 0.6180339887498949 * static_cast<double>(s + 1);
    const double fraction = place - static_cast<double>(static_cast<std::int64_t>(place));
    if (begin < end)
      seen[count++] = begin[static_cast<std::int64_t>(fraction * static_cast<double>(end - begin))];
  }
  std::sort(seen, seen + count);
  columns_[0] = 0;
  for (int part = 1; part < parts_; ++part) {
    columns_[part] = count > 0 ? seen[count * part / parts_] : last;
  }
  columns_[parts_] = last;
}

template <class Operands>
void SplitRow::find_bounds(const Operands& operands, int threads) {
  using I = typename Operands::Index;
  I* bounds = static_cast<I*>(bounds_.data());
  const I* origin = operands.b_indices();
  const std::int64_t tasks = parallel::task_count(threads, entries_ * parts_, kCutsPerTask);
  parallel::run(tasks > 1 ? threads : 1, tasks, [&](std::int64_t task, int) {
    for (std::int64_t e = entries_ * task / tasks; e < entries_ * (task + 1) / tasks; ++e) {
      const I *from = operands.b_first(first_ + e), *end = operands.b_end(first_ + e);
      bounds[e] = static_cast<I>(from - origin);
      for (int part = 1; part < parts_; ++part) {
        from = std::lower_bound(from, end, columns_[part]);
        bounds[part * entries_ + e] = static_cast<I>(from - origin);
      }
      bounds[parts_ * entries_ + e] = static_cast<I>(end - origin);
    }
  });
}

std::int64_t SplitRow::work(int part) const {
  std::int64_t sum = 0;
  for (std::int64_t e = 0; e < entries_; ++e) {
    sum += index_at(b_end(part), type_, e) - index_at(b_begin(part), type_, e);
  }
  return sum;
}

}  // namespace deepgemm
