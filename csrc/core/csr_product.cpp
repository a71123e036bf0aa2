#include "core/csr_product.h"

#include <algorithm>

#include "core/dense.h"
#include "core/kernel_args.h"
#include "core/panels.h"
#include "core/parallel.h"
#include "core/partition.h"
#include "core/row_ending.h"

namespace deepgemm {
namespace {

// A task should outlast the handing over of a task between threads (about a microsecond) a few times.
// Units are roughly nanoseconds of one core.
constexpr std::int64_t kWorkPerTask = 4000;

class CsrProduct final : public Product {
 public:
  CsrProduct(KernelId id, const CompressedView& s, bool sparse_is_left, const FoundKernel& found)
      : id_(id), s_(s), sparse_is_left_(sparse_is_left), found_(found) {}

  const char* kernel() const override {
    return id_ == KernelId::csr_rowwise  ? "csr_rowwise"
           : id_ == KernelId::csr_vector ? "csr_vector"
                                         : "csr_scatter";
  }
  Isa isa() const override { return found_.isa; }

  // Scattered rows are not finished before all of them are.
  std::unique_ptr<Product> with_epilogue(const Epilogue& terms) const override {
    if (id_ == KernelId::csr_scatter || is_complex(s_.dtype)) return nullptr;
    auto made = std::make_unique<CsrProduct>(*this);
    made->ending_ = RowEnding(terms, s_.dtype, found_.isa);
    return made;
  }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    if (id_ == KernelId::csr_vector) return run_vector(x, y, threads);
    const std::size_t size = size_of(s_.dtype);
    panels::Wanted wanted{s_.nnz * static_cast<std::int64_t>(size), size};
    if (id_ == KernelId::csr_rowwise) {
      wanted.aligned_x = panels::worth_aligning(x, size, s_.nnz);
      wanted.tile_unit = 1;
    }
    std::int64_t column = 0;  // panels come in order
    return panels::run(x, y, wanted, threads, [&](const DenseView& a, const panels::TargetRows& b) {
      if (id_ == KernelId::csr_rowwise) {
        run_rowwise(a, b, column, threads);
        column += b.cols();
      } else {
        run_scatter(a, b.whole(), threads);
      }
    });
  }

 private:
  Status run_vector(const DenseView& x, const DenseView& y, int threads) const {
    const dense::ContiguousVector vector(x, size_of(s_.dtype), threads);
    if (vector.data() == nullptr) return Status::no_memory;
    const SpmvArgs args{s_.indptr, s_.indices,   s_.values, vector.data(),
                        y.data,    y.row_stride, s_.nnz,    sparse_is_left_};
    const std::int64_t row_bytes = y.row_stride * static_cast<std::int64_t>(size_of(s_.dtype));
    for_rows(work_before(s_, s_.major), threads, [&](std::int64_t begin, std::int64_t end, int thread) {
      const DenseView mine{static_cast<char*>(y.data) + begin * row_bytes, end - begin, 1, y.row_stride, 1};
      ending_.fill(mine, begin, 0, 1, [&](std::int64_t first, const DenseView& part) {
        found_.run(&args, begin + first, begin + first + part.rows, thread, nullptr);
      });
    });
    return Status::ok;
  }

  SpmmArgs args_of(const DenseView& x, const DenseView& y) const {
    return {s_.indptr,    s_.indices, s_.values,    s_.major, s_.minor,       x.data,
            x.row_stride, y.data,     y.row_stride, y.cols,   sparse_is_left_};
  }

  std::int64_t work(std::int64_t columns) const {
    return work_before(s_, s_.major) * (1 + columns * static_cast<std::int64_t>(size_of(s_.dtype)) / 64);
  }

  void run_rowwise(const DenseView& x, const panels::TargetRows& y, std::int64_t column, int threads) const {
    const std::int64_t index_bytes = static_cast<std::int64_t>(size_of(s_.index_type));
    for_rows(work(y.cols()), threads, [&](std::int64_t begin, std::int64_t end, int thread) {
      y.fill(begin, end, thread, [&](std::int64_t first, const DenseView& rows) {
        ending_.fill(rows, first, column, 1, [&](std::int64_t after, const DenseView& part) {
          SpmmArgs args = args_of(x, part);
          args.indptr = static_cast<const char*>(s_.indptr) + (first + after) * index_bytes;
          found_.run(&args, 0, part.rows, thread, nullptr);
        });
      });
    });
  }

  // Scattered rows of Y meet again and again, so threads can only split the columns; whole cache lines each,
  // or two threads would write to one line.
  void run_scatter(const DenseView& x, const DenseView& y, int threads) const {
    const SpmmArgs args = args_of(x, y);
    const std::int64_t line = 64 / static_cast<std::int64_t>(size_of(s_.dtype));
    const std::int64_t lines = (y.cols + line - 1) / line;
    const std::int64_t tasks =
        std::min<std::int64_t>({lines, threads, parallel::task_count(threads, work(y.cols), kWorkPerTask)});
    parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
      const std::int64_t begin = lines * task / tasks * line;
      const std::int64_t end = std::min(lines * (task + 1) / tasks * line, y.cols);
      found_.run(&args, begin, end, thread, nullptr);
    });
  }

  // Calls body(begin, end, thread) for rows of about equal work.
  template <class Body>
  void for_rows(std::int64_t work, int threads, const Body& body) const {
    const std::int64_t tasks =
        std::max<std::int64_t>(std::min(parallel::task_count(threads, work, kWorkPerTask), s_.major), 1);
    parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
      body(first_row(s_, task, tasks), first_row(s_, task + 1, tasks), thread);
    });
  }

  KernelId id_;
  CompressedView s_;
  bool sparse_is_left_;
  FoundKernel found_;
  RowEnding ending_;
};

}  // namespace

std::unique_ptr<Product> make_csr_product(KernelId id, const CompressedView& s, bool sparse_is_left,
                                          Isa highest) {
  const FoundKernel found = find_kernel(id, s.dtype, s.index_type, highest);
  if (found.run == nullptr) return nullptr;
  return std::make_unique<CsrProduct>(id, s, sparse_is_left, found);
}

}  // namespace deepgemm
