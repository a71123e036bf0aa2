#include "core/gather.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "core/partition.h"

namespace deepgemm {
namespace {

// Entries that a task copies, at least: they take some microseconds, the handing over of a task takes one.
constexpr std::int64_t kEntriesPerTask = 1 << 13;

// Calls body with a null pointer to the integer type that an index type stands for.
template <class Body>
auto with_index(IndexType type, const Body& body) {
  return type == IndexType::i32 ? body(static_cast<std::int32_t*>(nullptr))
                                : body(static_cast<std::int64_t*>(nullptr));
}

void copy_indices(const void* from, IndexType from_type, std::int64_t first, std::int64_t count, void* to,
                  IndexType to_type, std::int64_t at) {
  if (from_type == to_type) {
    const std::size_t size = size_of(to_type);
    std::memcpy(static_cast<char*>(to) + static_cast<std::size_t>(at) * size,
                static_cast<const char*>(from) + static_cast<std::size_t>(first) * size,
                static_cast<std::size_t>(count) * size);
    return;
  }
  with_index(from_type, [&](auto* source) {
    with_index(to_type, [&](auto* target) {
      using Target = std::remove_pointer_t<decltype(target)>;
      const auto* begin = static_cast<decltype(source)>(const_cast<void*>(from)) + first;
      std::transform(begin, begin + count, static_cast<Target*>(to) + at,
                     [](auto index) { return static_cast<Target>(index); });
    });
  });
}

void copy_values(const Rows& from, std::int64_t first, std::int64_t count, void* to, std::int64_t at) {
  std::memcpy(static_cast<char*>(to) + static_cast<std::size_t>(at) * from.item,
              static_cast<const char*>(from.view.values) + static_cast<std::size_t>(first) * from.item,
              static_cast<std::size_t>(count) * from.item);
}

// Rows are picked from anywhere: the caches are told of one some rows before it is copied.
constexpr std::int64_t kRowsAhead = 6;

inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  static_cast<void>(address);
#endif
}

void prefetch_row(const Rows& from, std::int64_t pick) {
  const std::int64_t row = pick < 0 ? pick + from.view.major : pick;
  const std::size_t first = static_cast<std::size_t>(index_at(from.view.indptr, from.view.index_type, row));
  prefetch(static_cast<const char*>(from.view.indices) + first * size_of(from.view.index_type));
  prefetch(static_cast<const char*>(from.view.values) + first * from.item);
}

void put_index(void* array, IndexType type, std::int64_t position, std::int64_t value) {
  if (type == IndexType::i32) {
    static_cast<std::int32_t*>(array)[position] = static_cast<std::int32_t>(value);
  } else {
    static_cast<std::int64_t*>(array)[position] = value;
  }
}

template <class I>
void row_lengths(const I* indptr, std::int64_t rows, const std::int64_t* picks, std::int64_t begin,
                 std::int64_t end, std::int64_t* length, std::atomic<std::int64_t>& bad) {
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t row = picks[i] < 0 ? picks[i] + rows : picks[i];
    if (row < 0 || row >= rows) {
      std::int64_t first = bad.load();
      while (i < first && !bad.compare_exchange_weak(first, i)) {
      }
      return;
    }
    length[i] = static_cast<std::int64_t>(indptr[row + 1]) - static_cast<std::int64_t>(indptr[row]);
  }
}

}  // namespace

std::int64_t gather_starts(const Rows& from, const std::int64_t* picks, std::int64_t count, int threads,
                           std::int64_t* start) {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> bad{kNone};
  const std::int64_t tasks = parallel::task_count(threads, count, kEntriesPerTask);
  start[0] = 0;
  with_index(from.view.index_type, [&](auto* index) {
    const auto* indptr = static_cast<decltype(index)>(const_cast<void*>(from.view.indptr));
    parallel::run(threads, tasks, [&](std::int64_t task, int) {
      row_lengths(indptr, from.view.major, picks, count * task / tasks, count * (task + 1) / tasks, start + 1,
                  bad);
    });
  });
  if (bad.load() != kNone) return bad.load();
  for (std::int64_t i = 0; i < count; ++i) start[i + 1] += start[i];
  return -1;
}

void gather_rows(const Rows& from, const std::int64_t* picks, std::int64_t count, const std::int64_t* start,
                 IndexType to, int threads, void* indptr, void* indices, void* values) {
  CompressedView picked;  // for cutting the result into tasks of equal work
  picked.indptr = start;
  picked.major = count;
  picked.index_type = IndexType::i64;
  const std::int64_t tasks = parallel::task_count(threads, start[count] + 4 * count, kEntriesPerTask);
  put_index(indptr, to, 0, 0);
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t end = first_row(picked, task + 1, tasks);
    for (std::int64_t i = first_row(picked, task, tasks); i < end; ++i) {
      if (i + kRowsAhead < end) prefetch_row(from, picks[i + kRowsAhead]);
      const std::int64_t row = picks[i] < 0 ? picks[i] + from.view.major : picks[i];
      const std::int64_t first = index_at(from.view.indptr, from.view.index_type, row);
      const std::int64_t length = start[i + 1] - start[i];
      copy_indices(from.view.indices, from.view.index_type, first, length, indices, to, start[i]);
      copy_values(from, first, length, values, start[i]);
      put_index(indptr, to, i + 1, start[i + 1]);
    }
  });
}

void stack_rows(const Rows* parts, std::int64_t count, IndexType to, int threads, void* indptr, void* indices,
                void* values) {
  std::vector<std::int64_t> row{0}, entry{0};  // where each part begins, and where the last one ends
  for (std::int64_t k = 0; k < count; ++k) {
    row.push_back(row.back() + parts[k].view.major);
    entry.push_back(entry.back() + parts[k].view.nnz);
  }
  put_index(indptr, to, 0, 0);
  const std::int64_t tasks = parallel::task_count(threads, entry.back() + row.back(), kEntriesPerTask);
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t entry_begin = entry.back() * task / tasks,
                       entry_end = entry.back() * (task + 1) / tasks;
    const std::int64_t row_begin = row.back() * task / tasks, row_end = row.back() * (task + 1) / tasks;
    for (std::int64_t k = 0; k < count; ++k) {
      const std::size_t at = static_cast<std::size_t>(k);
      const Rows& part = parts[k];
      const std::int64_t first = std::max(entry_begin, entry[at]), last = std::min(entry_end, entry[at + 1]);
      if (first < last) {
        copy_indices(part.view.indices, part.view.index_type, first - entry[at], last - first, indices, to,
                     first);
        copy_values(part, first - entry[at], last - first, values, first);
      }
      for (std::int64_t r = std::max(row_begin, row[at]); r < std::min(row_end, row[at + 1]); ++r) {
        const std::int64_t end = index_at(part.view.indptr, part.view.index_type, r - row[at] + 1);
        put_index(indptr, to, r + 1, entry[at] + end);
      }
    }
  });
}

}  // namespace deepgemm
