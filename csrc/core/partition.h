// Cuts compressed rows into tasks of about equal work.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

// Work of the rows before `row`: its entries plus a constant for opening and closing each row.
inline std::int64_t work_before(const CompressedView& s, std::int64_t row) {
  constexpr std::int64_t kRowWork = 4;
  return index_at(s.indptr, s.index_type, row) + kRowWork * row;
}

// First row of task `task` out of `tasks`; tasks 0..tasks-1 cover all rows, in order, by work.
inline std::int64_t first_row(const CompressedView& s, std::int64_t task, std::int64_t tasks) {
  if (task <= 0) return 0;
  if (task >= tasks) return s.major;
  const double share = static_cast<double>(task) / static_cast<double>(tasks);
  const std::int64_t target = static_cast<std::int64_t>(share * static_cast<double>(work_before(s, s.major)));
  std::int64_t low = 0, high = s.major;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (work_before(s, middle) < target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace deepgemm
