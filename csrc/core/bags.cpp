#include "core/bags.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/partition.h"

namespace deepgemm {
namespace {

// Work is counted in bytes that are gathered. An id costs a line besides its row, a bag its share of the
// result. A task of this size takes some microseconds, which outlast its handing over.
constexpr std::int64_t kIdWork = 64;
constexpr std::int64_t kBagWork = 64;
constexpr std::int64_t kWorkPerTask = 64 << 10;
// Columns are cut at whole vectors of every ISA, and at whole bytes of packed integers.
constexpr std::int64_t kColumns = 16;

CompressedView view_of(const BagFeature& feature) {
  CompressedView view;
  view.indptr = feature.args.offsets;
  view.index_type = feature.args.wide ? IndexType::i64 : IndexType::i32;
  view.major = feature.bags;
  return view;
}

std::int64_t ids_before(const CompressedView& view, std::int64_t bag) {
  return index_at(view.indptr, view.index_type, bag);
}

std::int64_t work_of(const BagFeature& feature) {
  return ids_before(view_of(feature), feature.bags) * (feature.row_size + kIdWork) + feature.bags * kBagWork;
}

struct Task {
  std::int64_t feature, begin, end, column, columns;
  BagFault fault;
};

// Cuts one feature into about `count` tasks.
void cut(const BagFeature& feature, std::int64_t number, std::int64_t count, int threads,
         std::vector<Task>& tasks) {
  const CompressedView view = view_of(feature);
  const std::int64_t total = ids_before(view, feature.bags), columns = feature.args.columns;
  count = std::clamp<std::int64_t>(count, 1, std::max<std::int64_t>(feature.bags, 1));
  std::int64_t begin = 0;
  for (std::int64_t part = 0; part < count; ++part) {
    const std::int64_t end = first_row(view, part + 1, count);
    if (end <= begin) continue;
    // Bags are whole, so a part that is much too large holds a huge one: then its columns are split.
    const bool huge = (ids_before(view, end) - ids_before(view, begin)) / 2 > total / threads / 2;
    const std::int64_t pieces = threads > 1 && huge ? std::min<std::int64_t>(threads, columns / kColumns) : 1;
    const std::int64_t width = pieces <= 1 ? columns : (columns / kColumns + pieces - 1) / pieces * kColumns;
    for (std::int64_t column = 0; column < columns; column += width) {
      tasks.push_back({number, begin, end, column, std::min(width, columns - column), {}});
    }
    begin = end;
  }
}

}  // namespace

BagOutcome run_bags(KernelId id, const std::vector<BagFeature>& features, Isa highest, int threads) {
  std::int64_t work = 0;
  for (const BagFeature& feature : features) work += work_of(feature);
  const std::int64_t wanted = parallel::task_count(threads, work, kWorkPerTask);
  std::vector<Task> tasks;
  std::vector<FoundKernel> kernels;
  for (std::size_t f = 0; f < features.size(); ++f) {
    kernels.push_back(find_kernel(id, features[f].dtype, IndexType::i32, highest));
    const double share =
        static_cast<double>(work_of(features[f])) / static_cast<double>(std::max<std::int64_t>(work, 1));
    cut(features[f], static_cast<std::int64_t>(f),
        static_cast<std::int64_t>(share * static_cast<double>(wanted) + 0.5), wanted > 1 ? threads : 1,
        tasks);
  }
  const auto count = static_cast<std::int64_t>(tasks.size());
  parallel::run(wanted <= 1 ? 1 : threads, count, [&](std::int64_t number, int thread) {
    Task& task = tasks[static_cast<std::size_t>(number)];
    BagArgs args = features[static_cast<std::size_t>(task.feature)].args;
    args.column = task.column;
    args.columns = task.columns;
    kernels[static_cast<std::size_t>(task.feature)].run(&args, task.begin, task.end, thread, &task.fault);
  });
  BagOutcome outcome;
  if (!kernels.empty()) outcome.isa = kernels.front().isa;
  for (const Task& task : tasks) {  // in order of features, and of positions where columns are whole
    if (task.fault.position < 0) continue;
    outcome.feature = task.feature;
    outcome.position = task.fault.position;
    break;
  }
  return outcome;
}

}  // namespace deepgemm
