#include "core/bag_updates.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "core/partition.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 16 << 10;  // elements that are summed or stepped
constexpr std::int64_t kStepWork = 4;            // a row's step in positions that name it

}  // namespace

Status update_bags(const BagUpdateArgs& args, std::int64_t rows, DType dtype, Isa highest, int threads,
                   Isa& ran) {
  const FoundKernel kernel = find_kernel(KernelId::bag_update, dtype, IndexType::i32, highest);
  ran = kernel.isa;
  CompressedView positions;
  positions.indptr = args.gradients.offsets;
  positions.index_type = args.gradients.wide ? IndexType::i64 : IndexType::i32;
  positions.major = rows;
  const std::int64_t columns = args.gradients.columns;
  const std::int64_t work =
      (index_at(positions.indptr, positions.index_type, rows) + kStepWork * rows) * columns;
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, work, kWorkPerTask), std::max<std::int64_t>(rows, 1));
  const std::size_t row_bytes = (static_cast<std::size_t>(columns) * sizeof(double) + 63) / 64 * 64;
  const int team = tasks <= 1 ? 1 : threads;
  Workspace sums(row_bytes * static_cast<std::size_t>(team));
  if (sums.data() == nullptr) return Status::no_memory;
  parallel::run(team, tasks, [&](std::int64_t task, int thread) {
    kernel.run(&args, first_row(positions, task, tasks), first_row(positions, task + 1, tasks), thread,
               static_cast<unsigned char*>(sums.data()) + row_bytes * static_cast<std::size_t>(thread));
  });
  return Status::ok;
}

}  // namespace deepgemm
