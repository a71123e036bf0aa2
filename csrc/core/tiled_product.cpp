// The product of the tiled layout: panels of X, and blocks of rows shared among threads.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/dense.h"
#include "core/kernel_table.h"
#include "core/panels.h"
#include "core/parallel.h"
#include "core/tiled.h"
#include "core/tiled_args.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 4000;  // as in csr_product.cpp
// Each task copies its own panels of X, so there are only as many as late threads make worthwhile, and one
// for each thread where copies are not much less than what uses them (10 entries for each row of X, 8 to 128
// columns: 1.2 to 1.3 times as fast as two).
constexpr std::int64_t kTasksPerThread = 2;
// Rows of Y of such a task, which are visited for each panel of S: half of an L2 at 256 bytes each.
constexpr std::int64_t kRowsPerTask = 2048;
// Rows of Y that lie further apart than this are put side by side meanwhile: at 256 columns of float32
// all of them would share a quarter of the sets of a cache (111 GFLOP/s, against 175 at 512 and 1,024).
constexpr std::int64_t kApartBytes = 512;
// Entries of S of more bytes than this do not stay in an L2 beside X and Y.
constexpr std::int64_t kFarBytes = 4 << 20;

class TiledProduct final : public Product {
 public:
  TiledProduct(std::shared_ptr<const Tiled> tiled, const FoundKernel& found)
      : tiled_(std::move(tiled)), found_(found) {
    for (std::int64_t block = 0; block < tiled_->structure->blocks; ++block) {
      heaviest_ = std::max(heaviest_,
                           tiled_->structure->work_before(block + 1) - tiled_->structure->work_before(block));
    }
  }

  const char* kernel() const override { return "csr_tiled"; }
  Isa isa() const override { return found_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    const TiledStructure& s = *tiled_->structure;
    panels::Wanted wanted{s.nnz * size(), static_cast<std::size_t>(size())};
    if (s.panels == 1 || !panels::used_often(x, s.nnz)) {
      wanted.aligned_x = panels::worth_aligning(x, wanted.size, s.nnz);
      wanted.tile_unit = s.block_rows;
      return panels::run(x, y, wanted, threads,
                         [&](const DenseView& a, const panels::TargetRows& b) { run_rows(a, b, threads); });
    }
    return run_copying(x, y, threads);
  }

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(size_of(tiled_->dtype)); }

  std::int64_t task_count(std::int64_t columns, int threads) const {
    const std::int64_t work =
        tiled_->structure->work_before(tiled_->structure->blocks) * (1 + columns * size() / 64);
    return parallel::task_count(threads, work, kWorkPerTask);
  }

  // What kernels are told where y begins with the rows of `block`.
  TiledArgs args_from(std::int64_t block, const DenseView& x, const DenseView& y) const {
    const TiledStructure& s = *tiled_->structure;
    const bool wide = s.is_wide();
    const void* index = wide ? static_cast<const void*>(s.wide_index.data()) : s.index.data();
    return {s.entry_start.data() + block * s.panels,
            s.row_start.data() + block * s.panels,
            s.row.data(),
            s.length.data(),
            index,
            wide,
            tiled_->values.get(),
            s.block_rows,
            s.panel_cols,
            s.panels,
            0,
            s.panels,
            x.data,
            x.row_stride,
            y.data,
            y.row_stride,
            y.cols,
            s.nnz * (size() + (wide ? 4 : 2)) > kFarBytes,
            false};
  }

  // X as it stands, blocks of rows shared among threads. Where one block is more than a thread's share, as
  // with a row of a good part of all entries, threads also share the columns of the result: a chain cannot
  // be cut, but those of one row are as many as columns.
  void run_rows(const DenseView& x, const panels::TargetRows& y, int threads) const {
    const TiledStructure& s = *tiled_->structure;
    const std::int64_t parts = std::min(task_count(y.cols(), threads), s.blocks);
    const bool lopsided = parts > 1 && heaviest_ * threads > s.work_before(s.blocks);
    const std::int64_t least = 64 / size(), share = std::max(y.cols() / threads, least);
    const std::int64_t width = lopsided ? panels::even_width(y.cols(), share, size()) : y.cols();
    const std::int64_t slabs = (y.cols() + width - 1) / width;
    parallel::run(parts <= 1 ? 1 : threads, slabs * parts, [&](std::int64_t task, int thread) {
      const std::int64_t column = task / parts * width, part = task % parts;
      const std::int64_t n = std::min(width, y.cols() - column);
      const DenseView x_slab = panels::columns(x, column, n, size());
      const auto run_blocks = [&](std::int64_t first, const DenseView& rows) {
        const TiledArgs args = args_from(first / s.block_rows, x_slab, rows);
        found_.run(&args, 0, (rows.rows + s.block_rows - 1) / s.block_rows, thread, nullptr);
      };
      const panels::TargetRows slab = y.columns(column, n);
      slab.fill(first_row(part, parts), first_row(part + 1, parts), thread, run_blocks);
    });
  }

  // Each task copies one panel of X after another to where its thread has it in L1 or L2, for some columns
  // and blocks of rows of Y. Copying all of X before the product took a sixth of its time at density 0.1
  // and 128 columns: every copy went through the caches of both threads.
  Status run_copying(const DenseView& x, const DenseView& y, int threads) const {
    const TiledStructure& s = *tiled_->structure;
    const std::int64_t width = panels::even_width(y.cols, y.cols, size());
    const std::int64_t slabs = (y.cols + width - 1) / width;
    const int most = task_count(y.cols, threads) <= 1 ? 1 : threads;
    const std::int64_t each = panels::used_often(x, s.nnz / (most * kTasksPerThread)) ? kTasksPerThread : 1;
    const std::int64_t wanted = most == 1 ? 1 : (most * each + slabs - 1) / slabs;
    const std::int64_t parts =
        std::min(std::max(wanted, (s.rows + kRowsPerTask - 1) / kRowsPerTask), s.blocks);
    const bool strided = y.col_stride != 1 && y.cols > 1;
    const bool copies_y = strided || std::abs(y.row_stride) * size() > kApartBytes;
    std::int64_t rows = 0;
    for (std::int64_t part = 0; copies_y && part < parts; ++part) {
      rows = std::max(rows, first_row(part + 1, parts) - first_row(part, parts));
    }
    const std::int64_t row_bytes = whole_vectors(width * size());
    const std::int64_t bytes = (s.panel_cols + rows) * row_bytes;
    const Workspace memory(static_cast<std::size_t>(bytes * most));
    char* buffer = static_cast<char*>(memory.data());
    if (buffer == nullptr) return Status::no_memory;
    parallel::run(most, slabs * parts, [&](std::int64_t task, int thread) {
      const std::int64_t column = task / parts * width, part = task % parts;
      const std::int64_t n = std::min(width, y.cols - column);
      const std::int64_t begin = s.first_block(part, parts), end = s.first_block(part + 1, parts);
      const std::int64_t first = first_row(part, parts), last = first_row(part + 1, parts);
      if (begin == end) return;
      DenseView target = panels::columns(y, column, n, size());
      target.data = static_cast<char*>(target.data) + first * y.row_stride * size();
      target.rows = last - first;
      char* x_buffer = buffer + thread * bytes;
      DenseView result = target;
      if (copies_y) {
        result = {x_buffer + s.panel_cols * row_bytes, target.rows, n, row_bytes / size(), 1};
      }
      run_panels(panels::columns(x, column, n, size()), result, begin, end, x_buffer);
      if (copies_y) dense::copy(result, target, static_cast<std::size_t>(size()), 1);
    });
    return Status::ok;
  }

  // Some columns of the rows of blocks [begin, end), which are all of y.
  void run_panels(const DenseView& x, const DenseView& y, std::int64_t begin, std::int64_t end,
                  char* buffer) const {
    const TiledStructure& s = *tiled_->structure;
    const std::int64_t used = x.cols * size(), row_bytes = whole_vectors(used);
    if (used < row_bytes) std::memset(buffer, 0, static_cast<std::size_t>(s.panel_cols * row_bytes));
    DenseView packed{buffer, 0, x.cols, row_bytes / size(), 1};
    TiledArgs args = args_from(begin, packed, y);
    args.whole = true;
    for (std::int64_t panel = 0; panel < s.panels; ++panel) {
      const std::int64_t first = panel * s.panel_cols;
      packed.rows = std::min(s.panel_cols, x.rows - first);
      char* data = static_cast<char*>(x.data) + first * x.row_stride * size();
      dense::copy({data, packed.rows, x.cols, x.row_stride, x.col_stride}, packed,
                  static_cast<std::size_t>(size()), 1);
      args.first_panel = panel;
      args.last_panel = panel + 1;
      found_.run(&args, 0, end - begin, 0, nullptr);
    }
  }

  std::int64_t first_row(std::int64_t part, std::int64_t parts) const {
    const TiledStructure& s = *tiled_->structure;
    return std::min(s.first_block(part, parts) * s.block_rows, s.rows);
  }

  std::shared_ptr<const Tiled> tiled_;
  FoundKernel found_;
  std::int64_t heaviest_ = 0;  // work of the block that has most
};

}  // namespace

std::unique_ptr<Product> make_tiled_product(std::shared_ptr<const Tiled> tiled, Isa highest) {
  const FoundKernel found = find_kernel(KernelId::csr_tiled, tiled->dtype, IndexType::i32, highest);
  if (found.run == nullptr) return nullptr;
  return std::make_unique<TiledProduct>(std::move(tiled), found);
}

}  // namespace deepgemm
