// Sorting within segments: no arithmetic, so it is compiled once, for the baseline.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/parallel.h"
#include "core/partition.h"
#include "core/segments.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 8000;  // elements; sorting takes tens of nanoseconds for each

template <class T>
struct Item {
  T key;
  std::int64_t place;
};

// A nan goes after everything in ascending and before everything in descending order.
template <class T>
bool is_nan(T key) {
  if constexpr (std::is_floating_point_v<T>) return std::isnan(key);
  return false;
}

template <class T>
bool ascends(const Item<T>& a, const Item<T>& b) {
  if (a.key < b.key) return true;
  if (b.key < a.key) return false;
  const bool a_nan = is_nan(a.key), b_nan = is_nan(b.key);
  return a_nan != b_nan ? b_nan : a.place < b.place;
}

template <class T>
bool descends(const Item<T>& a, const Item<T>& b) {
  if (a.key > b.key) return true;
  if (b.key > a.key) return false;
  const bool a_nan = is_nan(a.key), b_nan = is_nan(b.key);
  return a_nan != b_nan ? a_nan : a.place < b.place;
}

template <class T>
void order(Item<T>* items, std::int64_t n, std::int64_t found, bool descending) {
  const auto before = descending ? descends<T> : ascends<T>;
  if (found < n) {
    std::partial_sort(items, items + found, items + n, before);
  } else {
    std::sort(items, items + n, before);
  }
}

struct Job {
  const SegmentArgs& args;
  CompressedView rows;
  const std::int64_t* out_begin;  // first row of each segment in the result
  std::int64_t most;
  bool descending;
  std::int64_t* places;

  std::int64_t begin(std::int64_t s) const { return index_at(args.offsets, rows.index_type, s); }
  std::int64_t length(std::int64_t s) const {
    return args.lengths != nullptr ? index_at(args.lengths, rows.index_type, s) : begin(s + 1) - begin(s);
  }
};

template <class T>
void order_segments(const Job& job, std::int64_t first, std::int64_t end, Item<T>* items) {
  const std::int64_t columns = job.args.columns;
  for (std::int64_t s = first; s < end; ++s) {
    const std::int64_t n = job.length(s), found = std::min(n, job.most);
    for (std::int64_t c = 0; c < columns; ++c) {
      const T* x = static_cast<const T*>(job.args.values) + job.begin(s) * columns + c;
      for (std::int64_t r = 0; r < n; ++r) items[r] = {x[r * columns], r};
      order(items, n, found, job.descending);
      std::int64_t* out = job.places + job.out_begin[s] * columns + c;
      for (std::int64_t r = 0; r < found; ++r) out[r * columns] = items[r].place;
    }
  }
}

}  // namespace

Status segment_order(const SegmentArgs& args, std::int64_t segments, KeyType type, std::int64_t most,
                     bool descending, int threads, std::int64_t* places) {
  Job job{args, {}, nullptr, most, descending, places};
  job.rows.indptr = args.offsets;
  job.rows.index_type = args.wide ? IndexType::i64 : IndexType::i32;
  job.rows.major = segments;
  const std::int64_t work = work_before(job.rows, segments) * args.columns;
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, work, kWorkPerTask), std::max<std::int64_t>(segments, 1));
  const int team = tasks <= 1 ? 1 : threads;

  AlignedBuffer begins(static_cast<std::size_t>(segments + 1) * sizeof(std::int64_t));
  auto* out_begin = static_cast<std::int64_t*>(begins.data());
  if (out_begin == nullptr) return Status::no_memory;
  std::int64_t total = 0, longest = 0;
  for (std::int64_t s = 0; s < segments; ++s) {
    out_begin[s] = total;
    total += std::min(job.length(s), most);
    longest = std::max(longest, job.length(s));
  }
  job.out_begin = out_begin;
  const std::size_t bytes = static_cast<std::size_t>(longest) * sizeof(Item<double>);
  AlignedBuffer scratch(bytes * static_cast<std::size_t>(team));
  if (scratch.data() == nullptr) return Status::no_memory;

  parallel::run(team, tasks, [&](std::int64_t task, int thread) {
    const std::int64_t first = first_row(job.rows, task, tasks), end = first_row(job.rows, task + 1, tasks);
    char* mine = static_cast<char*>(scratch.data()) + bytes * static_cast<std::size_t>(thread);
    switch (type) {
      case KeyType::f32:
        return order_segments(job, first, end, reinterpret_cast<Item<float>*>(mine));
      case KeyType::f64:
        return order_segments(job, first, end, reinterpret_cast<Item<double>*>(mine));
      case KeyType::i64:
        return order_segments(job, first, end, reinterpret_cast<Item<std::int64_t>*>(mine));
    }
  });
  return Status::ok;
}

}  // namespace deepgemm
