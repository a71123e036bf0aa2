// How the products of many segments share a team of threads.
#pragma once

#include <cstdint>

#include "core/parallel.h"

namespace deepgemm {

// Calls one(member, team) for each of `count` members: those of up to half a thread's share of the work side
// by side, one thread each, then the others one after the other, by all threads.
template <class Work, class One>
void for_each_member(std::int64_t count, std::int64_t total, int threads, const Work& work_of,
                     const One& one) {
  const std::int64_t share = total / (2 * threads);
  parallel::run(threads, count, [&](std::int64_t member, int) {
    if (threads == 1 || work_of(member) <= share) one(member, 1);
  });
  for (std::int64_t member = 0; member < count && threads > 1; ++member) {
    if (work_of(member) > share) one(member, threads);
  }
}

}  // namespace deepgemm
