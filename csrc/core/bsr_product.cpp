#include "core/bsr_product.h"

#include <algorithm>

#include "core/bsr_args.h"
#include "core/dense.h"
#include "core/panels.h"
#include "core/parallel.h"
#include "core/partition.h"
#include "core/row_ending.h"

namespace deepgemm {
namespace {

// Multiply-adds of vectors, at about a nanosecond for four; see csr_product.cpp.
constexpr std::int64_t kWorkPerTask = 16000;

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

  // Scattered rows are not finished before all of them are.
  std::unique_ptr<Product> with_epilogue(const Epilogue& terms) const override {
    if (id_ != KernelId::bsr_dense || is_complex(s_.blocks.dtype)) return nullptr;
    auto made = std::make_unique<BsrProduct>(*this);
    made->ending_ = RowEnding(terms, s_.blocks.dtype, found_.isa);
    return made;
  }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    if (id_ == KernelId::bsr_vector) {
      const dense::ContiguousVector vector(x, size(), threads);
      if (vector.data() == nullptr) return Status::no_memory;
      const BsrArgs args = args_of({const_cast<void*>(vector.data()), x.rows, 1, 1, 1}, y);
      for_block_rows(args, threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        found_.run(&args, begin, end, thread, nullptr);
      });
      return Status::ok;
    }
    panels::Wanted wanted{entries() * static_cast<std::int64_t>(size()), size()};
    if (id_ == KernelId::bsr_dense) wanted.tile_unit = s_.height;
    std::int64_t column = 0;  // panels come in order
    return panels::run(x, y, wanted, threads, [&](const DenseView& a, const panels::TargetRows& b) {
      if (id_ == KernelId::bsr_dense) {
        run_rows(a, b, column, threads);
        column += b.cols();
      } else {
        run_scatter(a, b.whole(), threads);
      }
    });
  }

 private:
  std::size_t size() const { return size_of(s_.blocks.dtype); }
  std::int64_t entries() const { return s_.blocks.nnz * s_.height * s_.width; }

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

  // Calls body(begin, end, thread) for block rows of about equal work.
  template <class Body>
  void for_block_rows(const BsrArgs& args, int threads, const Body& body) const {
    const CompressedView& b = s_.blocks;
    const std::int64_t tasks = std::min(parallel::task_count(threads, work(args), kWorkPerTask), b.major);
    parallel::run(tasks <= 1 ? 1 : threads, std::max<std::int64_t>(tasks, 1),
                  [&](std::int64_t task, int thread) {
                    body(first_row(b, task, tasks), first_row(b, task + 1, tasks), thread);
                  });
  }

  void run_rows(const DenseView& x, const panels::TargetRows& y, std::int64_t column, int threads) const {
    const std::int64_t index_bytes = static_cast<std::int64_t>(size_of(s_.blocks.index_type));
    const BsrArgs all = args_of(x, y.whole());
    for_block_rows(all, threads, [&](std::int64_t begin, std::int64_t end, int thread) {
      y.fill(begin * s_.height, end * s_.height, thread, [&](std::int64_t first, const DenseView& rows) {
        ending_.fill(rows, first, column, s_.height, [&](std::int64_t after, const DenseView& part) {
          BsrArgs args = args_of(x, part);
          args.indptr = static_cast<const char*>(args.indptr) + (first + after) / s_.height * index_bytes;
          found_.run(&args, 0, part.rows / s_.height, thread, nullptr);
        });
      });
    });
  }

  // Rows of Y meet again and again, so threads can only split the columns; whole cache lines each.
  void run_scatter(const DenseView& x, const DenseView& y, int threads) const {
    const BsrArgs args = args_of(x, y);
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
  RowEnding ending_;
};

}  // namespace

std::unique_ptr<Product> make_bsr_product(KernelId id, const BlockView& s, bool sparse_is_left, Isa highest) {
  // One entry serves both widths of indices.
  const FoundKernel found = find_kernel(id, s.blocks.dtype, IndexType::i32, highest);
  if (found.run == nullptr) return nullptr;
  return std::make_unique<BsrProduct>(id, s, sparse_is_left, found);
}

}  // namespace deepgemm
