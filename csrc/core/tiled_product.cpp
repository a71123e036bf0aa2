// The product of the tiled layout: panels of X, and blocks of rows shared among threads.
#include <algorithm>

#include "core/kernel_table.h"
#include "core/panels.h"
#include "core/parallel.h"
#include "core/tiled.h"
#include "core/tiled_args.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 4000;  // as in csr_product.cpp
constexpr std::int64_t kRowWork = 4;         // entries that opening and closing a row takes

class TiledProduct final : public Product {
 public:
  TiledProduct(std::shared_ptr<const Tiled> tiled, const FoundKernel& found)
      : tiled_(std::move(tiled)), found_(found) {}

  const char* kernel() const override { return "csr_tiled"; }
  Isa isa() const override { return found_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    const TiledStructure& s = *tiled_->structure;
    panels::Wanted wanted{s.nnz * size(), static_cast<std::size_t>(size())};
    const bool several = y.cols * size() > panels::kRowBytes;
    wanted.aligned_x =
        panels::worth_aligning(x, wanted.size, s.nnz) || (several && panels::used_often(x, s.nnz));
    // Rows of Y are visited once for each panel of S; the more columns Y has, the more pages they lie in.
    wanted.aligned_y = s.panels > 1 && several && panels::used_often(y, s.nnz);
    return panels::run(x, y, wanted, threads,
                       [&](const DenseView& a, const DenseView& b) { run_panel(a, b, threads); });
  }

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(size_of(tiled_->dtype)); }

  void run_panel(const DenseView& x, const DenseView& y, int threads) const {
    const TiledStructure& s = *tiled_->structure;
    const void* index = s.is_wide() ? static_cast<const void*>(s.wide_index.data()) : s.index.data();
    const TiledArgs args{s.entry_start.data(),
                         s.row_start.data(),
                         s.row.data(),
                         s.length.data(),
                         index,
                         s.is_wide(),
                         tiled_->values.get(),
                         s.block_rows,
                         s.panel_cols,
                         s.panels,
                         x.data,
                         x.row_stride,
                         y.data,
                         y.row_stride,
                         y.cols};
    const std::int64_t work = work_before(s.blocks) * (1 + y.cols * size() / 64);
    const std::int64_t tasks = std::min(parallel::task_count(threads, work, kWorkPerTask), s.blocks);
    parallel::run(tasks <= 1 ? 1 : threads, tasks, [&](std::int64_t task, int thread) {
      found_.run(&args, first_block(task, tasks), first_block(task + 1, tasks), thread, nullptr);
    });
  }

  std::int64_t work_before(std::int64_t block) const {
    const TiledStructure& s = *tiled_->structure;
    const auto tile = static_cast<std::size_t>(block * s.panels);
    return s.entry_start[tile] + kRowWork * s.row_start[tile];
  }

  // First block of a task; tasks cover all blocks, in order, by work.
  std::int64_t first_block(std::int64_t task, std::int64_t tasks) const {
    const std::int64_t blocks = tiled_->structure->blocks;
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

  std::shared_ptr<const Tiled> tiled_;
  FoundKernel found_;
};

}  // namespace

std::unique_ptr<Product> make_tiled_product(std::shared_ptr<const Tiled> tiled, Isa highest) {
  const FoundKernel found = find_kernel(KernelId::csr_tiled, tiled->dtype, IndexType::i32, highest);
  if (found.run == nullptr) return nullptr;
  return std::make_unique<TiledProduct>(std::move(tiled), found);
}

}  // namespace deepgemm
