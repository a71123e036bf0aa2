#include "core/segments.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/partition.h"

namespace deepgemm {
namespace {

// Work is counted in elements that are summed. Opening and closing a segment took 2.6 ns, an element 0.05 ns
// in long segments and more where they come from memory: 16 stand for a segment. An element of anything
// with exp, several passes or a chain that waits counts as 4. A task is then some microseconds, which
// outlast its handing over.
constexpr std::int64_t kSegmentWork = 16;
constexpr std::int64_t kSlowWork = 4;
constexpr std::int64_t kWorkPerTask = 32000;

bool is_slow(KernelId id) {
  return id == KernelId::segment_softmax || id == KernelId::segment_log_softmax ||
         id == KernelId::segment_layer_norm || id == KernelId::segment_cumsum;
}

}  // namespace

Isa run_segments(KernelId id, const SegmentArgs& args, std::int64_t segments, DType dtype, Isa highest,
                 int threads) {
  const FoundKernel kernel = find_kernel(id, dtype, IndexType::i32, highest);
  CompressedView rows;
  rows.indptr = args.offsets;
  rows.index_type = args.wide ? IndexType::i64 : IndexType::i32;
  rows.major = segments;
  const std::int64_t elements =
      index_at(args.offsets, rows.index_type, segments) * std::max<std::int64_t>(args.columns, 1);
  const std::int64_t work = (elements + kSegmentWork * segments) * (is_slow(id) ? kSlowWork : 1);
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, work, kWorkPerTask), std::max<std::int64_t>(segments, 1));
  parallel::run(tasks <= 1 ? 1 : threads, tasks, [&](std::int64_t task, int thread) {
    const std::int64_t begin = first_row(rows, task, tasks), end = first_row(rows, task + 1, tasks);
    kernel.run(&args, begin, end, thread, nullptr);
  });
  return kernel.isa;
}

}  // namespace deepgemm
