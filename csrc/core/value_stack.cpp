#include "core/value_stack.h"

#include <algorithm>
#include <atomic>

#include "core/csr_product.h"
#include "core/parallel.h"
#include "core/transpose.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Members of less than this many vector multiply-adds (a quarter of a millisecond) are shared by threads;
// larger ones keep all threads busy one by one, with one copy of X and Y in the caches.
constexpr std::int64_t kLargeMember = 1 << 18;
constexpr std::int64_t kTasksPerThread = 8;

}  // namespace

Status run_values(KernelId id, const ValueStack& s, bool sparse_is_left, Isa highest, const Stack& x,
                  const Stack& y, int threads) {
  const std::size_t size = size_of(s.lines.dtype);
  const std::int64_t count = y.count();
  std::atomic<Status> status{Status::ok};
  const auto multiply = [&](std::int64_t b, int own_threads) {
    CompressedView member = s.lines;
    member.values = s.values.at(b, size).data;
    const Workspace memory(s.positions != nullptr ? static_cast<std::size_t>(s.lines.nnz) * size : 0);
    if (s.positions != nullptr && memory.data() != nullptr) {
      gather(member.values, s.positions, s.lines.index_type, s.lines.nnz, size, memory.data(), own_threads);
      member.values = memory.data();
    }
    const auto product =
        memory.data() != nullptr ? make_csr_product(id, member, sparse_is_left, highest) : nullptr;
    const Status one =
        product != nullptr ? product->run(x.at(b, size), y.at(b, size), own_threads) : Status::no_memory;
    if (one != Status::ok) status.store(one, std::memory_order_relaxed);
  };
  const std::int64_t work =
      (s.lines.nnz + s.lines.major) * (1 + y.first.cols * static_cast<std::int64_t>(size) / 64);
  if (work >= kLargeMember || count * work < kLargeMember / 8) {
    for (std::int64_t b = 0; b < count; ++b) multiply(b, threads);
  } else {
    const std::int64_t tasks = std::min(count, threads * kTasksPerThread);
    parallel::run(threads, tasks, [&](std::int64_t task, int) {
      for (std::int64_t b = count * task / tasks; b < count * (task + 1) / tasks; ++b) multiply(b, 1);
    });
  }
  return status.load();
}

}  // namespace deepgemm
