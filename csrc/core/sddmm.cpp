#include "core/sddmm.h"

#include <algorithm>

#include "core/dense.h"
#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/sddmm_args.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Units are multiply-adds; 16 of them for whatever an entry costs besides. A task should outlast its handing
// over (a microsecond) several times.
constexpr std::int64_t kEntryWork = 16;
constexpr std::int64_t kWorkPerTask = 64000;

bool has_adjacent_rows(const DenseView& v) { return v.col_stride == 1 || v.cols <= 1; }

DenseView copied(const DenseView& v, void* to, std::size_t size, int threads) {
  const DenseView copy{to, v.rows, v.cols, v.cols, 1};
  dense::copy(v, copy, size, threads);
  return copy;
}

}  // namespace

Status sddmm(const CompressedView& mask, const DenseView& x, const DenseView& y_rows, DType dtype,
             Isa highest, int threads, void* values) {
  if (mask.nnz == 0) return Status::ok;
  const std::size_t size = size_of(dtype);
  const bool copies_x = !has_adjacent_rows(x), copies_y = !has_adjacent_rows(y_rows);
  const std::size_t x_bytes = copies_x ? static_cast<std::size_t>(x.rows * x.cols) * size : 0;
  const std::size_t y_bytes = copies_y ? static_cast<std::size_t>(y_rows.rows * y_rows.cols) * size : 0;
  const Workspace memory(x_bytes + y_bytes);
  char* free = static_cast<char*>(memory.data());
  if (free == nullptr) return Status::no_memory;
  const DenseView left = copies_x ? copied(x, free, size, threads) : x;
  const DenseView right = copies_y ? copied(y_rows, free + x_bytes, size, threads) : y_rows;

  const FoundKernel kernel = find_kernel(KernelId::sddmm, dtype, mask.index_type, highest);
  const SddmmArgs args{mask.indptr, mask.indices,     mask.major, left.data, left.row_stride,
                       right.data,  right.row_stride, x.cols,     values};
  const std::int64_t work = mask.nnz * (x.cols + kEntryWork);
  const std::int64_t tasks = std::min(parallel::task_count(threads, work, kWorkPerTask), mask.nnz);
  // Tasks begin at whole lines of values, so that no two threads write to one line; with few long products
  // that would leave threads idle, and there a line in common costs nothing.
  const std::int64_t step = mask.nnz >= 64 * tasks ? 16 : 1;
  const std::int64_t steps = (mask.nnz + step - 1) / step;
  parallel::run(tasks <= 1 ? 1 : threads, tasks, [&](std::int64_t task, int thread) {
    const std::int64_t begin = steps * task / tasks * step;
    const std::int64_t end = std::min(steps * (task + 1) / tasks * step, mask.nnz);
    kernel.run(&args, begin, end, thread, nullptr);
  });
  return Status::ok;
}

}  // namespace deepgemm
