#include "core/product_members.h"

#include <algorithm>
#include <atomic>

#include "core/members.h"

namespace deepgemm {
namespace {

// What one thread does before another is worth waking.
constexpr std::int64_t kWorkPerThread = 10'000;

}  // namespace

Status run_members(const std::vector<ProductMember>& members, int threads) {
  std::int64_t total = 0;
  for (const ProductMember& member : members) total += member.work;
  threads = static_cast<int>(std::clamp<std::int64_t>(total / kWorkPerThread, 1, threads));
  std::atomic<Status> status{Status::ok};
  for_each_member(
      static_cast<std::int64_t>(members.size()), total, threads,
      [&](std::int64_t i) { return members[static_cast<std::size_t>(i)].work; },
      [&](std::int64_t i, int team) {
        const ProductMember& member = members[static_cast<std::size_t>(i)];
        const Status found = member.product->run(member.other, member.out, team);
        if (found != Status::ok) status.store(found, std::memory_order_relaxed);
      });
  return status.load(std::memory_order_relaxed);
}

}  // namespace deepgemm
