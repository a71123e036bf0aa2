#include "core/spgemm_dense.h"

#include <algorithm>
#include <atomic>

#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/spgemm_args.h"
#include "core/spgemm_split.h"
#include "core/spgemm_work.h"

namespace deepgemm {
namespace {

// Units are multiply-adds; an element of the result is cleared in a fraction of one.
constexpr std::int64_t kWorkPerTask = 1 << 13;
constexpr std::int64_t kClearedPerUnit = 8;

std::int64_t total_work(const CompressedView& a, const SparseRows& b, int threads) {
  std::atomic<std::int64_t> total{a.major * (b.minor / kClearedPerUnit + 1)};
  with_operands(a, b, [&](const auto& operands) {
    over_rows(a, threads, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t sum = 0;
      for (std::int64_t row = begin; row < end; ++row) sum += operands.work(row);
      total += sum;
    });
  });
  return total;
}

}  // namespace

bool multiply_sparse_dense(const CompressedView& a, const SparseRows& b, const DenseView& out, Isa highest,
                           int threads, Isa& found) {
  const FoundKernel kernel = find_kernel(KernelId::csr_csr_dense, a.dtype, a.index_type, highest);
  if (kernel.run == nullptr) return false;
  found = kernel.isa;
  SpgemmDenseArgs args{};
  args.sparse.a_indptr = a.indptr;
  args.sparse.a_indices = a.indices;
  args.sparse.a_values = a.values;
  args.sparse.b_begin = b.indptr;
  args.sparse.b_end = b.row_ends();
  args.sparse.b_indices = b.indices;
  args.sparse.b_values = b.values;
  args.out = out.data;
  args.out_stride = out.row_stride;
  args.last_column = b.minor;

  const std::int64_t total = threads > 1 ? total_work(a, b, threads) : 0;
  const std::int64_t tasks = parallel::task_count(threads, total, kWorkPerTask);
  if (a.major >= tasks || tasks <= 1) {
    const std::int64_t parts = std::max<std::int64_t>(std::min(tasks, a.major), 1);
    parallel::run(parts > 1 ? threads : 1, parts, [&](std::int64_t task, int thread) {
      kernel.run(&args, a.major * task / parts, a.major * (task + 1) / parts, thread, nullptr);
    });
    return true;
  }
  // Fewer rows than tasks: each is cut by columns.
  for (std::int64_t row = 0; row < a.major; ++row) {
    SplitRow split;
    if (!split.cut(a, b, row, static_cast<int>((tasks + a.major - 1) / a.major), threads)) {
      kernel.run(&args, row, row + 1, 0, nullptr);
      continue;
    }
    parallel::run(threads, split.parts(), [&](std::int64_t task, int thread) {
      const int part = static_cast<int>(task);
      SpgemmDenseArgs own = args;
      own.sparse.a_indptr = split.a_indptr();
      own.sparse.a_indices = split.a_indices();
      own.sparse.a_values = split.a_values();
      own.sparse.b_begin = split.b_begin(part);
      own.sparse.b_end = split.b_end(part);
      own.out =
          static_cast<char*>(args.out) + static_cast<std::size_t>(row * out.row_stride) * size_of(a.dtype);
      own.first_column = split.first_column(part);
      own.last_column = split.end_column(part);
      kernel.run(&own, 0, 1, thread, nullptr);
    });
  }
  return true;
}

}  // namespace deepgemm
