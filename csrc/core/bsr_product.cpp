#include "core/bsr_product.h"

#include <algorithm>

#include "core/bsr_args.h"
#include "core/dense.h"
#include "core/parallel.h"
#include "core/partition.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Multiply-adds of vectors, at about a nanosecond for four; see csr_product.cpp.
constexpr std::int64_t kWorkPerTask = 16000;

// As in csr_product.cpp: operands whose columns do not lie side by side are packed, a panel of columns
// at a time, within a twelfth of operands and result.
constexpr std::int64_t kPanelRowBytes = 256;
constexpr std::int64_t kFreeBytes = 8 << 20;

class BsrProduct final : public Product {
 public:
  BsrProduct(KernelId id, const BlockView& s, bool sparse_is_left, const FoundKernel& found)
      : id_(id), s_(s), sparse_is_left_(sparse_is_left), found_(found) {}

  const char* kernel() const override {
    return id_ == KernelId::bsr_dense     ? "bsr_dense"
           : id_ == KernelId::bsr_scatter ? "bsr_scatter"
                                          : "bsr_vector";
  }
  Isa isa() const override { return found_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    if (id_ == KernelId::bsr_vector) {
      const dense::ContiguousVector vector(x, size(), threads);
      if (vector.data() == nullptr) return Status::no_memory;
      run_rows(args_of({const_cast<void*>(vector.data()), x.rows, 1, 1, 1}, y), threads);
      return Status::ok;
    }
    const bool packs_x = needs_packing(x), packs_y = needs_packing(y);
    if (!packs_x && !packs_y) {
      run_panel(x, y, threads);
      return Status::ok;
    }
    const std::int64_t rows = (packs_x ? x.rows : 0) + (packs_y ? y.rows : 0),
                       width = panel_columns(x, y, rows);
    const Workspace memory(static_cast<std::size_t>(rows * width) * size());
    char* buffer = static_cast<char*>(memory.data());
    if (buffer == nullptr) return Status::no_memory;
    for (std::int64_t column = 0; column < y.cols; column += width) {
      const std::int64_t n = std::min(width, y.cols - column);
      DenseView x_panel = columns(x, column, n);
      const DenseView y_panel = columns(y, column, n);
      char* free = buffer;
      if (packs_x) {
        const DenseView packed{free, x.rows, n, n, 1};
        dense::copy(x_panel, packed, size(), threads);
        x_panel = packed;
        free += static_cast<std::size_t>(x.rows * n) * size();
      }
      const DenseView result = packs_y ? DenseView{free, y.rows, n, n, 1} : y_panel;
      run_panel(x_panel, result, threads);
      if (packs_y) dense::copy(result, y_panel, size(), threads);
    }
    return Status::ok;
  }

 private:
  static bool needs_packing(const DenseView& v) { return v.col_stride != 1 && v.cols > 1; }
  std::size_t size() const { return size_of(s_.blocks.dtype); }
  std::int64_t entries() const { return s_.blocks.nnz * s_.height * s_.width; }

  DenseView columns(const DenseView& v, std::int64_t first, std::int64_t count) const {
    char* data = static_cast<char*>(v.data) + first * v.col_stride * static_cast<std::int64_t>(size());
    return {data, v.rows, count, v.row_stride, v.col_stride};
  }

  std::int64_t panel_columns(const DenseView& x, const DenseView& y, std::int64_t packed_rows) const {
    const std::int64_t element = static_cast<std::int64_t>(size());
    const std::int64_t given = (entries() + (x.rows + y.rows) * x.cols) * element;
    const std::int64_t budget = std::max(kFreeBytes, given / 12);
    const std::int64_t affordable = budget / std::max<std::int64_t>(packed_rows * element, 1);
    return std::min(std::clamp<std::int64_t>(affordable, 1, kPanelRowBytes / element), x.cols);
  }

  BsrArgs args_of(const DenseView& x, const DenseView& y) const {
    const CompressedView& b = s_.blocks;
    return {b.indptr,     b.indices,      b.index_type == IndexType::i64,
            b.values,     s_.height,      s_.width,
            b.major,      b.minor,        x.data,
            x.row_stride, y.data,         y.row_stride,
            y.cols,       sparse_is_left_};
  }

  std::int64_t work(const BsrArgs& args) const {
    const std::int64_t vectors = 1 + args.columns * static_cast<std::int64_t>(size()) / 64;
    return (work_before(s_.blocks, s_.blocks.major) + entries()) * vectors;
  }

  void run_rows(const BsrArgs& args, int threads) const {
    const CompressedView& b = s_.blocks;
    const std::int64_t tasks = std::min(parallel::task_count(threads, work(args), kWorkPerTask), b.major);
    parallel::run(
        tasks <= 1 ? 1 : threads, std::max<std::int64_t>(tasks, 1), [&](std::int64_t task, int thread) {
          found_.run(&args, first_row(b, task, tasks), first_row(b, task + 1, tasks), thread, nullptr);
        });
  }

  void run_panel(const DenseView& x, const DenseView& y, int threads) const {
    const BsrArgs args = args_of(x, y);
    if (id_ == KernelId::bsr_dense) {
      run_rows(args, threads);
      return;
    }
    // Rows of Y meet again and again, so threads can only split the columns; whole cache lines each.
    const std::int64_t line = std::max<std::int64_t>(64 / static_cast<std::int64_t>(size()), 1);
    const std::int64_t lines = (y.cols + line - 1) / line;
    const std::int64_t tasks =
        std::min<std::int64_t>({lines, threads, parallel::task_count(threads, work(args), kWorkPerTask)});
    parallel::run(
        tasks <= 1 ? 1 : threads, std::max<std::int64_t>(tasks, 1), [&](std::int64_t task, int thread) {
          const std::int64_t parts = std::max<std::int64_t>(tasks, 1), begin = lines * task / parts * line;
          found_.run(&args, begin, std::min(lines * (task + 1) / parts * line, y.cols), thread, nullptr);
        });
  }

  KernelId id_;
  BlockView s_;
  bool sparse_is_left_;
  FoundKernel found_;
};

}  // namespace

std::unique_ptr<Product> make_bsr_product(KernelId id, const BlockView& s, bool sparse_is_left, Isa highest) {
  // One entry serves both widths of indices.
  const FoundKernel found = find_kernel(id, s.blocks.dtype, IndexType::i32, highest);
  if (found.run == nullptr) return nullptr;
  return std::make_unique<BsrProduct>(id, s, sparse_is_left, found);
}

}  // namespace deepgemm
