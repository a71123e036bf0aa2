#include "core/structure.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "core/partition.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 1 << 15;

// What a pass over entries finds, wherever rows begin and end.
struct Entries {
  bool in_range = true;
  std::int64_t not_rising = 0, falling = 0;  // places p with indices[p] <= indices[p - 1], and with <
};

// Entries [begin, end). Free of branches and with counters as wide as indices, so that compilers vectorise
// it; a sign bit tells of an index below zero or beyond the last one.
template <class I>
Entries inspect_entries(const I* indices, std::int64_t begin, std::int64_t end, std::int64_t minor) {
  using U = std::make_unsigned_t<I>;
  constexpr std::int64_t kBlock = 1 << 14;  // no counter overflows
  const U last = static_cast<U>(std::min<std::int64_t>(minor - 1, std::numeric_limits<I>::max()));
  Entries found;
  U outside = 0;
  const auto outside_at = [&](std::int64_t p) {
    const U index = static_cast<U>(indices[p]);
    return index | (last - index);
  };
  if (begin == 0 && begin < end) outside = outside_at(begin++);
  for (std::int64_t block = begin; block < end; block += kBlock) {
    const std::int64_t stop = std::min(block + kBlock, end);
    I level = 0, down = 0;
    for (std::int64_t p = block; p < stop; ++p) {
      outside |= outside_at(p);
      level += static_cast<I>(indices[p] <= indices[p - 1]);
      down += static_cast<I>(indices[p] < indices[p - 1]);
    }
    found.not_rising += level;
    found.falling += down;
  }
  found.in_range = static_cast<I>(outside) >= 0;
  return found;
}

// What a pass over rows finds. Lengths below kBins are counted, the few others listed. `maxima` sums the
// longest row of each group, once for each row of the group.
struct Rows {
  static constexpr std::int64_t kBins = 1024, kGroup = 16;
  std::vector<std::int64_t> count = std::vector<std::int64_t>(kBins), longer;
  std::int64_t max_row = 0, bandwidth = 0, maxima = 0;
  Entries entries;

  void add(const Rows& part) {
    for (std::size_t b = 0; b < count.size(); ++b) count[b] += part.count[b];
    longer.insert(longer.end(), part.longer.begin(), part.longer.end());
    max_row = std::max(max_row, part.max_row);
    bandwidth = std::max(bandwidth, part.bandwidth);
    maxima += part.maxima;
    entries.in_range &= part.entries.in_range;
    entries.not_rising += part.entries.not_rising;
    entries.falling += part.entries.falling;
  }
};

// Rows [begin, end), where begin is a multiple of kGroup.
template <class I>
void inspect_rows(const I* indptr, const I* indices, std::int64_t begin, std::int64_t end, std::int64_t minor,
                  Rows& out) {
  out.entries = inspect_entries(indices, indptr[begin], indptr[end], minor);
  if (!out.entries.in_range) return;
  for (std::int64_t first = begin; first < end; first += Rows::kGroup) {
    const std::int64_t last = std::min(first + Rows::kGroup, end);
    std::int64_t longest = 0;
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t p = indptr[r], length = indptr[r + 1] - p;
      if (length < Rows::kBins) {
        ++out.count[static_cast<std::size_t>(length)];
      } else {
        out.longer.push_back(length);
      }
      if (length == 0) continue;
      longest = std::max(longest, length);
      // A step from one row into the next is no descent within a row.
      if (p > 0) {
        out.entries.not_rising -= indices[p] <= indices[p - 1];
        out.entries.falling -= indices[p] < indices[p - 1];
      }
      const std::int64_t left = r - indices[p], right = r - indices[p + length - 1];
      out.bandwidth = std::max({out.bandwidth, left, -left, right, -right});
    }
    out.max_row = std::max(out.max_row, longest);
    out.maxima += longest * (last - first);
  }
}

template <class I>
bool check_indptr(const I* indptr, std::int64_t rows, std::int64_t indices_size, Inspection& out) {
  if (indptr[0] != 0) {
    out.defect = Defect::indptr_start;
    out.value = indptr[0];
    return false;
  }
  I falls = 0;
  for (std::int64_t r = 0; r < rows; ++r) falls |= static_cast<I>(indptr[r + 1] < indptr[r]);
  if (falls != 0) {
    std::int64_t r = 0;
    while (indptr[r + 1] >= indptr[r]) ++r;
    out.defect = Defect::indptr_decreasing;
    out.position = r;
    out.value = indptr[r + 1];
    return false;
  }
  if (indptr[rows] > indices_size) {
    out.defect = Defect::indptr_end;
    out.position = rows;
    out.value = indptr[rows];
    return false;
  }
  return true;
}

// Row-length quantiles, the spread of lengths and the fill of slices.
void summarise_lengths(Rows& all, std::int64_t rows, Inspection& out) {
  out.max_row = all.max_row;
  out.empty_rows = all.count[0];
  for (std::size_t length = 1; length < all.count.size(); ++length) {
    out.row_sq_sum += static_cast<double>(all.count[length]) * static_cast<double>(length * length);
  }
  std::sort(all.longer.begin(), all.longer.end());
  for (const std::int64_t length : all.longer) {
    out.row_sq_sum += static_cast<double>(length) * static_cast<double>(length);
  }
  if (all.maxima > 0) out.window_fill = static_cast<double>(out.nnz) / static_cast<double>(all.maxima);
  constexpr double kAt[7] = {0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0};
  std::int64_t below = 0, length = 0;
  for (std::size_t q = 0; q < 7; ++q) {
    const std::int64_t rank = static_cast<std::int64_t>(kAt[q] * static_cast<double>(rows - 1));
    while (length < Rows::kBins && below + all.count[static_cast<std::size_t>(length)] <= rank) {
      below += all.count[static_cast<std::size_t>(length++)];
    }
    out.quantiles[q] = length < Rows::kBins ? length : all.longer[static_cast<std::size_t>(rank - below)];
  }
}

template <class I>
double sample_near(const I* indices, std::int64_t nnz) {
  constexpr std::int64_t kSamples = 512;
  const std::int64_t step = std::max<std::int64_t>(1, nnz / kSamples);
  std::int64_t near = 0, seen = 0;
  for (std::int64_t p = step; p < nnz; p += step, ++seen) {
    const std::int64_t gap =
        static_cast<std::int64_t>(indices[p]) - static_cast<std::int64_t>(indices[p - 1]);
    near += gap >= 0 && gap < 16;
  }
  return seen > 0 ? static_cast<double>(near) / static_cast<double>(seen) : 0.0;
}

template <class I>
Inspection inspect(const CompressedView& s, std::int64_t indices_size, int threads) {
  const I* indptr = static_cast<const I*>(s.indptr);
  const I* indices = static_cast<const I*>(s.indices);
  Inspection out;
  if (!check_indptr(indptr, s.major, indices_size, out)) return out;
  out.nnz = indptr[s.major];

  const std::int64_t groups = (s.major + Rows::kGroup - 1) / Rows::kGroup;
  const std::int64_t tasks = std::min(parallel::task_count(threads, out.nnz + 4 * s.major, kWorkPerTask),
                                      std::max<std::int64_t>(groups, 1));
  const auto begin_of = [&](std::int64_t task) {
    return task == tasks ? s.major : first_row(s, task, tasks) / Rows::kGroup * Rows::kGroup;
  };
  // All memory is had before the tasks, which must not throw: a row that is listed has kBins entries or more.
  Rows all;
  std::vector<Rows> parts(static_cast<std::size_t>(tasks));
  for (std::int64_t task = 0; task < tasks; ++task) {
    const std::int64_t entries = indptr[begin_of(task + 1)] - indptr[begin_of(task)];
    parts[static_cast<std::size_t>(task)].longer.reserve(static_cast<std::size_t>(entries / Rows::kBins));
  }
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    inspect_rows(indptr, indices, begin_of(task), begin_of(task + 1), s.minor,
                 parts[static_cast<std::size_t>(task)]);
  });
  for (const Rows& part : parts) all.add(part);
  if (!all.entries.in_range) {
    std::int64_t p = 0;
    while (indices[p] >= 0 && static_cast<std::int64_t>(indices[p]) < s.minor) ++p;
    out.defect = indices[p] < 0 ? Defect::index_negative : Defect::index_range;
    out.position = p;
    out.value = indices[p];
    return out;
  }
  out.bandwidth = all.bandwidth;
  out.sorted = all.entries.falling == 0;
  out.canonical = all.entries.not_rising == 0;
  out.near = sample_near(indices, out.nnz);
  if (s.major > 0) summarise_lengths(all, s.major, out);
  return out;
}

}  // namespace

Inspection inspect_compressed(const CompressedView& s, std::int64_t indices_size, int threads) {
  return s.index_type == IndexType::i32 ? inspect<std::int32_t>(s, indices_size, threads)
                                        : inspect<std::int64_t>(s, indices_size, threads);
}

}  // namespace deepgemm
