#include "core/structure.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "core/parallel.h"
#include "core/partition.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 1 << 15;

// Is any index negative or too large? Branch-free so that compilers vectorise it; as unsigned numbers
// negative ones are too large.
template <class I>
bool all_in_range(const I* indices, std::int64_t begin, std::int64_t end, std::int64_t minor) {
  using U = std::make_unsigned_t<I>;
  U largest = 0;
  for (std::int64_t p = begin; p < end; ++p) largest = std::max(largest, static_cast<U>(indices[p]));
  return begin == end || static_cast<std::uint64_t>(largest) < static_cast<std::uint64_t>(minor);
}

// Counts the places p in [begin, end) with indices[p] <= indices[p - 1] and with <, whatever the rows.
template <class I>
void count_descents(const I* indices, std::int64_t begin, std::int64_t end, std::int64_t& not_rising,
                    std::int64_t& falling) {
  for (std::int64_t block = begin; block < end; block += 1 << 14) {
    const std::int64_t stop = std::min<std::int64_t>(block + (1 << 14), end);
    I level = 0, down = 0;
    for (std::int64_t p = block; p < stop; ++p) {
      level += static_cast<I>(indices[p] <= indices[p - 1]);
      down += static_cast<I>(indices[p] < indices[p - 1]);
    }
    not_rising += level;
    falling += down;
  }
}

struct Part {
  std::int64_t max_row = 0, empty_rows = 0, bandwidth = 0;
  double row_sq_sum = 0.0, span_sum = 0.0;
  std::int64_t not_rising = 0, falling = 0;
  bool in_range = true;
};

template <class I>
Part inspect_rows(const I* indptr, const I* indices, std::int64_t begin, std::int64_t end,
                  std::int64_t minor) {
  Part part;
  const std::int64_t first = indptr[begin], last = indptr[end];
  part.in_range = all_in_range(indices, first, last, minor);
  if (!part.in_range) return part;
  count_descents(indices, std::max<std::int64_t>(first, 1), last, part.not_rising, part.falling);
  for (std::int64_t r = begin; r < end; ++r) {
    const std::int64_t p = indptr[r], length = indptr[r + 1] - p;
    part.max_row = std::max(part.max_row, length);
    part.row_sq_sum += static_cast<double>(length) * static_cast<double>(length);
    if (length == 0) {
      ++part.empty_rows;
      continue;
    }
    // A step from one row into the next is no descent within a row.
    if (p > 0) {
      part.not_rising -= indices[p] <= indices[p - 1];
      part.falling -= indices[p] < indices[p - 1];
    }
    const std::int64_t left = indices[p], right = indices[p + length - 1];
    part.span_sum += static_cast<double>(std::abs(right - left));
    part.bandwidth = std::max({part.bandwidth, std::abs(r - left), std::abs(r - right)});
  }
  return part;
}

template <class I>
bool check_indptr(const I* indptr, std::int64_t rows, std::int64_t indices_size, Inspection& out) {
  if (indptr[0] != 0) {
    out.defect = Defect::indptr_start;
    out.value = indptr[0];
    return false;
  }
  bool falls = false;
  for (std::int64_t r = 0; r < rows; ++r) falls |= indptr[r + 1] < indptr[r];
  if (falls) {
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

// Lengths below kBins are counted, the few others listed. `maxima` sums the longest row of each group, once
// for each row of the group.
struct Lengths {
  static constexpr std::int64_t kBins = 1024, kGroup = 16;
  std::vector<std::int64_t> count, longer;
  double maxima = 0.0;
};

// Rows [begin, end), where begin is a multiple of kGroup.
template <class I>
void count_lengths(const I* indptr, std::int64_t begin, std::int64_t end, Lengths& out) {
  const std::int64_t bins = static_cast<std::int64_t>(out.count.size());
  for (std::int64_t first = begin; first < end; first += Lengths::kGroup) {
    const std::int64_t last = std::min(first + Lengths::kGroup, end);
    std::int64_t group = 0;
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t length = indptr[r + 1] - indptr[r];
      if (length < bins) {
        ++out.count[static_cast<std::size_t>(length)];
      } else {
        out.longer.push_back(length);
      }
      group = std::max(group, length);
    }
    out.maxima += static_cast<double>(group * (last - first));
  }
}

// Row-length quantiles and the fill of slices, each thread counting a part of the rows.
template <class I>
void measure_lengths(const I* indptr, std::int64_t rows, int threads, Inspection& out) {
  constexpr std::int64_t kRowsPerTask = 1 << 13;
  const std::int64_t bins = std::min(out.max_row + 1, Lengths::kBins);
  const std::int64_t groups = (rows + Lengths::kGroup - 1) / Lengths::kGroup;
  const std::int64_t tasks = std::clamp<std::int64_t>(rows / kRowsPerTask, 1, threads);
  std::vector<Lengths> parts(static_cast<std::size_t>(tasks));
  for (Lengths& part : parts) part.count.resize(static_cast<std::size_t>(bins));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t begin = groups * task / tasks * Lengths::kGroup;
    const std::int64_t end = std::min(groups * (task + 1) / tasks * Lengths::kGroup, rows);
    count_lengths(indptr, begin, end, parts[static_cast<std::size_t>(task)]);
  });
  Lengths& all = parts[0];
  for (std::size_t p = 1; p < parts.size(); ++p) {
    for (std::size_t b = 0; b < all.count.size(); ++b) all.count[b] += parts[p].count[b];
    all.longer.insert(all.longer.end(), parts[p].longer.begin(), parts[p].longer.end());
    all.maxima += parts[p].maxima;
  }
  out.window_fill = all.maxima > 0.0 ? static_cast<double>(out.nnz) / all.maxima : 1.0;
  std::sort(all.longer.begin(), all.longer.end());
  constexpr double kAt[7] = {0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0};
  std::int64_t below = 0, length = 0;
  for (int q = 0; q < 7; ++q) {
    const std::int64_t rank = static_cast<std::int64_t>(kAt[q] * static_cast<double>(rows - 1));
    while (length < bins && below + all.count[static_cast<std::size_t>(length)] <= rank) {
      below += all.count[static_cast<std::size_t>(length++)];
    }
    out.quantiles[static_cast<std::size_t>(q)] =
        length < bins ? length : all.longer[static_cast<std::size_t>(rank - below)];
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

  const std::int64_t tasks = std::min(parallel::task_count(threads, out.nnz + 4 * s.major, kWorkPerTask),
                                      std::max<std::int64_t>(s.major, 1));
  Part total;
  std::mutex merge;
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const Part part =
        inspect_rows(indptr, indices, first_row(s, task, tasks), first_row(s, task + 1, tasks), s.minor);
    const std::lock_guard<std::mutex> lock(merge);
    total.in_range &= part.in_range;
    total.max_row = std::max(total.max_row, part.max_row);
    total.bandwidth = std::max(total.bandwidth, part.bandwidth);
    total.empty_rows += part.empty_rows;
    total.row_sq_sum += part.row_sq_sum;
    total.span_sum += part.span_sum;
    total.not_rising += part.not_rising;
    total.falling += part.falling;
  });
  if (!total.in_range) {
    std::int64_t p = 0;
    while (indices[p] >= 0 && static_cast<std::int64_t>(indices[p]) < s.minor) ++p;
    out.defect = indices[p] < 0 ? Defect::index_negative : Defect::index_range;
    out.position = p;
    out.value = indices[p];
    return out;
  }
  out.max_row = total.max_row;
  out.empty_rows = total.empty_rows;
  out.bandwidth = total.bandwidth;
  out.row_sq_sum = total.row_sq_sum;
  out.span_sum = total.span_sum;
  out.sorted = total.falling == 0;
  out.canonical = total.not_rising == 0;
  out.near = sample_near(indices, out.nnz);
  if (s.major > 0) measure_lengths(indptr, s.major, threads, out);
  return out;
}

}  // namespace

Inspection inspect_compressed(const CompressedView& s, std::int64_t indices_size, int threads) {
  return s.index_type == IndexType::i32 ? inspect<std::int32_t>(s, indices_size, threads)
                                        : inspect<std::int64_t>(s, indices_size, threads);
}

}  // namespace deepgemm
