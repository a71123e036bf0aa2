#include "core/blocks.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "core/partition.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 1 << 14;
constexpr std::int64_t kMostHeight = 64;  // rows of a block

// Visits the blocks of one block row in ascending order: body(block, row, from, to) for each run of entries
// of one row in one block, after opened(block) for the block itself. Rows that are not sorted open blocks
// more than once, and end all the same. `opened` returns false to stop.
template <class I, class Opened, class Body>
void for_each_block(const CompressedView& s, BlockShape shape, std::int64_t block_row, const Opened& opened,
                    const Body& body) {
  const I* indptr = static_cast<const I*>(s.indptr);
  const I* indices = static_cast<const I*>(s.indices);
  const std::int64_t first = block_row * shape.height, rows = std::min(shape.height, s.major - first);
  std::array<std::int64_t, kMostHeight> next;
  for (std::int64_t r = 0; r < rows; ++r) next[static_cast<std::size_t>(r)] = indptr[first + r];
  while (true) {
    constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
    std::int64_t least = kNone;
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t p = next[static_cast<std::size_t>(r)];
      if (p < indptr[first + r + 1]) least = std::min<std::int64_t>(least, indices[p]);
    }
    if (least == kNone) return;
    const std::int64_t block = least / shape.width, end = (block + 1) * shape.width;
    if (!opened(block)) return;
    for (std::int64_t r = 0; r < rows; ++r) {
      std::int64_t& p = next[static_cast<std::size_t>(r)];
      const std::int64_t from = p, last = indptr[first + r + 1];
      while (p < last && indices[p] < end) ++p;
      if (p > from) body(block, r, from, p);
    }
  }
}

// A few lines of `lines`, spread evenly, that hold about `sample` of `total` entries.
std::int64_t spread(std::int64_t lines, std::int64_t total, std::int64_t sample) {
  const std::int64_t each = std::max<std::int64_t>(total / std::max<std::int64_t>(lines, 1), 1);
  return std::clamp<std::int64_t>(sample / each, 1, std::max<std::int64_t>(lines, 1));
}

template <class I>
double fill(const CompressedView& s, BlockShape shape, std::int64_t sample) {
  const std::int64_t bands = (s.major + shape.height - 1) / shape.height;
  if (bands == 0 || s.nnz == 0 || shape.height > kMostHeight) return 0.0;
  const std::int64_t looks = spread(bands, s.nnz, sample);
  std::int64_t blocks = 0, seen = 0;
  // One very long row must not cost more than was allowed for all.
  const std::int64_t most = 2 * sample;
  for (std::int64_t look = 0; look < looks && seen < most; ++look) {
    for_each_block<I>(
        s, shape, bands * look / looks,
        [&](std::int64_t) {
          if (seen >= most) return false;
          ++blocks;
          return true;
        },
        [&](std::int64_t, std::int64_t, std::int64_t from, std::int64_t to) { seen += to - from; });
  }
  if (blocks == 0) return 0.0;
  return static_cast<double>(seen) / static_cast<double>(blocks * shape.height * shape.width);
}

template <class I>
bool same_pattern(const CompressedView& s, std::int64_t a, std::int64_t b) {
  const I* indptr = static_cast<const I*>(s.indptr);
  const I* indices = static_cast<const I*>(s.indices);
  return indptr[a + 1] - indptr[a] == indptr[b + 1] - indptr[b] &&
         std::equal(indices + indptr[a], indices + indptr[a + 1], indices + indptr[b]);
}

template <class I>
std::int64_t rows_alike(const CompressedView& s, std::int64_t sample, std::int64_t most) {
  const I* indptr = static_cast<const I*>(s.indptr);
  if (s.major == 0 || s.nnz == 0) return 1;
  const std::int64_t looks = spread(s.major, s.nnz, sample);
  std::vector<std::int64_t> runs;
  std::int64_t seen = 0;
  for (std::int64_t look = 0; look < looks && seen < 2 * sample; ++look) {
    const std::int64_t row = s.major * look / looks, length = indptr[row + 1] - indptr[row];
    if (length == 0) continue;
    std::int64_t low = row, high = row + 1;
    while (low > 0 && high - low <= most && same_pattern<I>(s, low - 1, row)) --low;
    while (high < s.major && high - low <= most && same_pattern<I>(s, high, row)) ++high;
    seen += length * (high - low);
    runs.push_back(high - low);
  }
  if (runs.empty()) return 1;
  std::nth_element(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(runs.size() / 2), runs.end());
  return runs[runs.size() / 2] <= most ? runs[runs.size() / 2] : 1;
}

// Runs body(block_row) for all block rows, cut by the entries of their first rows.
template <class Body>
void for_each_block_row(const CompressedView& s, BlockShape shape, int threads, const Body& body) {
  const std::int64_t bands = s.major / shape.height;
  const std::int64_t tasks = std::min(parallel::task_count(threads, s.nnz + s.major, kWorkPerTask),
                                      std::max<std::int64_t>(bands, 1));
  const auto cut = [&](std::int64_t task) {
    return task >= tasks ? bands : first_row(s, task, tasks) / shape.height;
  };
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    for (std::int64_t band = cut(task), end = cut(task + 1); band < end; ++band) body(band);
  });
}

template <class I>
void count(const CompressedView& s, BlockShape shape, I* indptr, int threads) {
  const std::int64_t bands = s.major / shape.height;
  indptr[0] = 0;
  for_each_block_row(s, shape, threads, [&](std::int64_t band) {
    I blocks = 0;
    for_each_block<I>(
        s, shape, band, [&](std::int64_t) { return ++blocks, true; },
        [](std::int64_t, std::int64_t, std::int64_t, std::int64_t) {});
    indptr[band + 1] = blocks;
  });
  for (std::int64_t band = 0; band < bands; ++band) indptr[band + 1] += indptr[band];
}

template <class I>
void place(const CompressedView& s, BlockShape shape, const I* indptr, I* indices, std::int64_t* places,
           int threads) {
  const I* columns = static_cast<const I*>(s.indices);
  const std::int64_t size = shape.height * shape.width;
  for_each_block_row(s, shape, threads, [&](std::int64_t band) {
    std::int64_t next = indptr[band];
    for_each_block<I>(
        s, shape, band,
        [&](std::int64_t block) {
          indices[next++] = static_cast<I>(block);
          return true;
        },
        [&](std::int64_t block, std::int64_t row, std::int64_t from, std::int64_t to) {
          const std::int64_t corner = (next - 1) * size + row * shape.width - block * shape.width;
          for (std::int64_t p = from; p < to; ++p) places[p] = corner + columns[p];
        });
  });
}

template <class T>
void scatter(const void* values, const std::int64_t* places, std::int64_t begin, std::int64_t end,
             void* elements) {
  const T* from = static_cast<const T*>(values);
  T* to = static_cast<T*>(elements);
  for (std::int64_t p = begin; p < end; ++p) to[places[p]] = from[p];
}

struct Sixteen {
  std::uint64_t part[2];
};

}  // namespace

double sampled_fill(const CompressedView& s, BlockShape shape, std::int64_t sample) {
  return s.index_type == IndexType::i32 ? fill<std::int32_t>(s, shape, sample)
                                        : fill<std::int64_t>(s, shape, sample);
}

std::int64_t common_rows(const CompressedView& s, std::int64_t sample, std::int64_t most) {
  return s.index_type == IndexType::i32 ? rows_alike<std::int32_t>(s, sample, most)
                                        : rows_alike<std::int64_t>(s, sample, most);
}

void count_blocks(const CompressedView& s, BlockShape shape, void* indptr, int threads) {
  if (s.index_type == IndexType::i32) {
    count(s, shape, static_cast<std::int32_t*>(indptr), threads);
  } else {
    count(s, shape, static_cast<std::int64_t*>(indptr), threads);
  }
}

void place_entries(const CompressedView& s, BlockShape shape, const void* indptr, void* indices,
                   std::int64_t* places, int threads) {
  if (s.index_type == IndexType::i32) {
    place(s, shape, static_cast<const std::int32_t*>(indptr), static_cast<std::int32_t*>(indices), places,
          threads);
  } else {
    place(s, shape, static_cast<const std::int64_t*>(indptr), static_cast<std::int64_t*>(indices), places,
          threads);
  }
}

void scatter_values(const void* values, const std::int64_t* places, std::int64_t count, std::int64_t size,
                    void* elements, int threads) {
  const std::int64_t tasks = parallel::task_count(threads, count, kWorkPerTask);
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t begin = count * task / tasks, end = count * (task + 1) / tasks;
    if (size == 4) {
      scatter<std::uint32_t>(values, places, begin, end, elements);
    } else if (size == 8) {
      scatter<std::uint64_t>(values, places, begin, end, elements);
    } else {
      scatter<Sixteen>(values, places, begin, end, elements);
    }
  });
}

}  // namespace deepgemm
