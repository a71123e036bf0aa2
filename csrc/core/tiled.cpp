#include "core/tiled.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/parallel.h"
#include "core/tiled_args.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kBuildWorkPerTask = 1 << 14;

// A row should find about this many entries in a tile, for its accumulators are loaded and stored once for
// each. 2048² at 128 columns, one thread: panels of 128 columns of S at density 0.5 (144 GFLOP/s; 93 with
// 256), 224 at 0.1 (119; 117 with 160, 120 with 192, but 8 columns of X lose a twentieth by that), 416 at
// 0.05 (100; 72 with 128), 1,024 at 0.02 (88; 46 with 128).
constexpr std::int64_t kRowEntries = 20;
constexpr std::int64_t kLeastPanel = 128;
constexpr std::int64_t kPanelStep = 32;
// Rows of X of 256 bytes that fill half of an L2 of one megabyte: where a panel of kRowEntries would be
// wider than that, panels save nothing.
constexpr std::int64_t kUsefulPanel = 2048;
// Columns that 16 bits tell apart. Narrow values come with no others.
constexpr std::int64_t kShortColumns = 65536;

// Windows in which rows are sorted. Larger ones find more rows of one length and lose the order that
// neighbours of one matrix often have (copter2 at 8 columns, one thread: 36 GFLOP/s, 30 unbounded).
constexpr std::int64_t kMostBlock = 1024;
constexpr std::int64_t kLeastBlocks = 16;  // to share among threads
constexpr std::int64_t kBlockStep = 8;     // whole groups of rows that run side by side

std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

void choose_shape(TiledStructure& t, DType dtype) {
  const std::int64_t row_entries = t.nnz / std::max<std::int64_t>(t.rows, 1);
  std::int64_t width = t.cols / std::max<std::int64_t>(row_entries / kRowEntries, 1);
  width = std::max(round_up(width, kPanelStep), kLeastPanel);
  t.panel_cols = std::max<std::int64_t>(width <= kUsefulPanel ? width : t.cols, 1);
  if (size_of(dtype) < sizeof(float) && t.is_wide()) {
    const std::int64_t panels = (t.cols + kShortColumns - 1) / kShortColumns;
    t.panel_cols = (t.cols + panels - 1) / panels;
  }
  t.panels = std::max<std::int64_t>((t.cols + t.panel_cols - 1) / t.panel_cols, 1);
  t.block_rows = std::min(round_up(std::max<std::int64_t>(t.rows / kLeastBlocks, 1), kBlockStep), kMostBlock);
  t.blocks = (t.rows + t.block_rows - 1) / t.block_rows;
}

template <class Body>
void for_each_block(const TiledStructure& t, int threads, const Body& body) {
  const std::int64_t work = t.nnz + t.rows * t.panels;
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, work, kBuildWorkPerTask), std::max<std::int64_t>(t.blocks, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    for (std::int64_t b = t.blocks * task / tasks; b < t.blocks * (task + 1) / tasks; ++b) body(b);
  });
}

std::int64_t rows_of(const TiledStructure& t, std::int64_t block) {
  return std::min(t.block_rows, t.rows - block * t.block_rows);
}

// Lengths of the rows of one block in each panel: lengths[panel * block_rows + row].
template <class I>
void measure_block(const CompressedView& s, const TiledStructure& t, std::int64_t block,
                   std::uint32_t* lengths) {
  const I* indptr = static_cast<const I*>(s.indptr) + block * t.block_rows;
  const I* indices = static_cast<const I*>(s.indices);
  for (std::int64_t r = 0; r < rows_of(t, block); ++r) {
    I p = indptr[r];
    for (std::int64_t panel = 0; panel + 1 < t.panels && p < indptr[r + 1]; ++panel) {
      const I start = p, bound = static_cast<I>((panel + 1) * t.panel_cols);
      while (p < indptr[r + 1] && indices[p] < bound) ++p;
      lengths[panel * t.block_rows + r] = static_cast<std::uint32_t>(p - start);
    }
    if (p < indptr[r + 1])
      lengths[(t.panels - 1) * t.block_rows + r] = static_cast<std::uint32_t>(indptr[r + 1] - p);
  }
}

// Puts the rows that a tile lists into order of length, equal ones in their own order; returns how many.
std::int64_t sort_rows(const std::uint32_t* lengths, std::int64_t rows, bool empty_too,
                       std::uint16_t* order) {
  std::int64_t count = 0;
  std::uint32_t longest = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    if (lengths[r] == 0 && !empty_too) continue;
    order[count++] = static_cast<std::uint16_t>(r);
    longest = std::max(longest, lengths[r]);
  }
  std::uint16_t before[kMostBlock];
  for (int shift = 0; shift < 32 && longest >> shift != 0; shift += 8) {  // a radix sort
    std::copy(order, order + count, before);
    const auto digit = [&](std::int64_t i) { return lengths[before[i]] >> shift & 255; };
    std::int32_t place[257] = {};
    for (std::int64_t i = 0; i < count; ++i) ++place[digit(i) + 1];
    for (int d = 0; d < 256; ++d) place[d + 1] += place[d];
    for (std::int64_t i = 0; i < count; ++i) order[place[digit(i)]++] = before[i];
  }
  return count;
}

// Calls copy(from, to, count, panel) for the entries of each row of each tile of a block, in the order of
// the layout: where they stand in CSR and in the layout.
template <class I, class Copy>
void for_each_row(const CompressedView& s, const TiledStructure& t, std::int64_t block, const Copy& copy) {
  const I* indptr = static_cast<const I*>(s.indptr) + block * t.block_rows;
  std::int64_t next[kMostBlock];
  for (std::int64_t r = 0; r < rows_of(t, block); ++r) next[r] = indptr[r];
  for (std::int64_t panel = 0; panel < t.panels; ++panel) {
    const std::size_t tile = static_cast<std::size_t>(block * t.panels + panel);
    std::int64_t to = t.entry_start[tile];
    for (std::int64_t i = t.row_start[tile]; i < t.row_start[tile + 1]; ++i) {
      const auto at = static_cast<std::size_t>(i);
      copy(next[t.row[at]], to, t.length[at], panel);
      next[t.row[at]] += t.length[at];
      to += t.length[at];
    }
  }
}

// The rows of every tile with their lengths, and where tiles begin.
template <class I>
void build_rows(const CompressedView& s, TiledStructure& t, int threads) {
  // Lengths first, so that every tile knows where it begins.
  const std::int64_t block_size = t.block_rows * t.panels, tiles = t.blocks * t.panels;
  std::vector<std::uint32_t> lengths(static_cast<std::size_t>(t.blocks * block_size));
  t.entry_start.resize(static_cast<std::size_t>(tiles) + 1);
  t.row_start.resize(static_cast<std::size_t>(tiles) + 1);
  for_each_block(t, threads, [&](std::int64_t block) {
    std::uint32_t* mine = lengths.data() + block * block_size;
    measure_block<I>(s, t, block, mine);
    for (std::int64_t panel = 0; panel < t.panels; ++panel) {
      const std::size_t next = static_cast<std::size_t>(block * t.panels + panel) + 1;
      for (std::int64_t r = 0; r < rows_of(t, block); ++r) {
        const std::uint32_t length = mine[panel * t.block_rows + r];
        t.entry_start[next] += length;
        t.row_start[next] += length > 0 || panel == 0;
      }
    }
  });
  for (std::size_t tile = 0; tile < static_cast<std::size_t>(tiles); ++tile) {
    t.entry_start[tile + 1] += t.entry_start[tile];
    t.row_start[tile + 1] += t.row_start[tile];
  }
  t.row.resize(static_cast<std::size_t>(t.row_start.back()));
  t.length.resize(t.row.size());
  for_each_block(t, threads, [&](std::int64_t block) {
    for (std::int64_t panel = 0; panel < t.panels; ++panel) {
      const std::uint32_t* mine = lengths.data() + block * block_size + panel * t.block_rows;
      const std::int64_t begin = t.row_start[static_cast<std::size_t>(block * t.panels + panel)];
      const std::int64_t count = sort_rows(mine, rows_of(t, block), panel == 0, t.row.data() + begin);
      for (std::int64_t i = begin; i < begin + count; ++i) t.length.data()[i] = mine[t.row.data()[i]];
    }
  });
}

template <class I, class Narrow>
void fill_indices(const CompressedView& s, const TiledStructure& t, Narrow* out, int threads) {
  const I* indices = static_cast<const I*>(s.indices);
  for_each_block(t, threads, [&](std::int64_t block) {
    for_each_row<I>(s, t, block,
                    [&](std::int64_t from, std::int64_t to, std::int64_t count, std::int64_t panel) {
                      const I first = static_cast<I>(panel * t.panel_cols);
                      for (std::int64_t i = 0; i < count; ++i)
                        out[to + i] = static_cast<Narrow>(indices[from + i] - first);
                    });
  });
}

template <class I>
void build_structure(const CompressedView& s, TiledStructure& t, int threads) {
  build_rows<I>(s, t, threads);
  if (t.is_wide()) {
    t.wide_index.resize(static_cast<std::size_t>(t.nnz) + kTiledColumnsBeyond);
    fill_indices<I>(s, t, t.wide_index.data(), threads);
  } else {
    t.index.resize(static_cast<std::size_t>(t.nnz) + kTiledColumnsBeyond);
    fill_indices<I>(s, t, t.index.data(), threads);
  }
}

template <class I>
void fill_values(const CompressedView& s, const TiledStructure& t, char* target, int threads) {
  const std::size_t size = size_of(s.dtype);
  const char* source = static_cast<const char*>(s.values);
  for_each_block(t, threads, [&](std::int64_t block) {
    for_each_row<I>(s, t, block, [&](std::int64_t from, std::int64_t to, std::int64_t count, std::int64_t) {
      std::memcpy(target + static_cast<std::size_t>(to) * size,
                  source + static_cast<std::size_t>(from) * size, static_cast<std::size_t>(count) * size);
    });
  });
}

std::unique_ptr<Tiled> with_values(const CompressedView& s, std::shared_ptr<const TiledStructure> structure,
                                   int threads) {
  const std::size_t bytes = static_cast<std::size_t>(s.nnz) * size_of(s.dtype);
  auto tiled = std::make_unique<Tiled>();
  tiled->values.reset(new char[bytes + kTiledOverread]);
  std::memset(tiled->values.get() + bytes, 0, kTiledOverread);
  if (s.index_type == IndexType::i32) {
    fill_values<std::int32_t>(s, *structure, tiled->values.get(), threads);
  } else {
    fill_values<std::int64_t>(s, *structure, tiled->values.get(), threads);
  }
  tiled->structure = std::move(structure);
  tiled->dtype = s.dtype;
  return tiled;
}

}  // namespace

std::int64_t TiledStructure::first_block(std::int64_t task, std::int64_t tasks) const {
  if (task <= 0 || task >= tasks) return task <= 0 ? 0 : blocks;
  const double share = static_cast<double>(task) / static_cast<double>(tasks);
  const auto target = static_cast<std::int64_t>(share * static_cast<double>(work_before(blocks)));
  std::int64_t low = 0, high = blocks;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (work_before(middle) < target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::unique_ptr<Tiled> build_tiled(const CompressedView& s, int threads) try {
  auto structure = std::make_shared<TiledStructure>();
  structure->rows = s.major;
  structure->cols = s.minor;
  structure->nnz = s.nnz;
  choose_shape(*structure, s.dtype);
  if (s.index_type == IndexType::i32) {
    build_structure<std::int32_t>(s, *structure, threads);
  } else {
    build_structure<std::int64_t>(s, *structure, threads);
  }
  return with_values(s, std::move(structure), threads);
} catch (const std::bad_alloc&) {
  return nullptr;
}

std::unique_ptr<Tiled> refill_tiled(const Tiled& old, const CompressedView& s, int threads) try {
  return with_values(s, old.structure, threads);
} catch (const std::bad_alloc&) {
  return nullptr;
}

}  // namespace deepgemm
