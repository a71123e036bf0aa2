#include "core/join_rows.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kEntriesPerTask = 1 << 14;

template <class I>
void join(const CompressedView& left, const CompressedView& right, int threads, I* indptr, I* indices,
          char* values) {
  const I* begins[] = {static_cast<const I*>(left.indptr), static_cast<const I*>(right.indptr)};
  const CompressedView* sides[] = {&left, &right};
  const std::size_t size = size_of(left.dtype);
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, left.nnz + right.nnz + left.major, kEntriesPerTask),
               std::max<std::int64_t>(left.major, 1));
  parallel::run(tasks > 1 ? threads : 1, tasks, [&](std::int64_t task, int) {
    for (std::int64_t row = left.major * task / tasks; row < left.major * (task + 1) / tasks; ++row) {
      std::size_t to = static_cast<std::size_t>(begins[0][row] + begins[1][row]);
      indptr[row] = static_cast<I>(to);
      for (int side = 0; side < 2; ++side) {
        const std::size_t from = static_cast<std::size_t>(begins[side][row]);
        const std::size_t count = static_cast<std::size_t>(begins[side][row + 1]) - from;
        std::memcpy(indices + to, static_cast<const I*>(sides[side]->indices) + from, count * sizeof(I));
        std::memcpy(values + to * size, static_cast<const char*>(sides[side]->values) + from * size,
                    count * size);
        to += count;
      }
    }
  });
  indptr[left.major] = static_cast<I>(left.nnz + right.nnz);
}

}  // namespace

void join_rows(const CompressedView& left, const CompressedView& right, int threads, void* indptr,
               void* indices, void* values) {
  if (left.index_type == IndexType::i32) {
    join(left, right, threads, static_cast<std::int32_t*>(indptr), static_cast<std::int32_t*>(indices),
         static_cast<char*>(values));
  } else {
    join(left, right, threads, static_cast<std::int64_t*>(indptr), static_cast<std::int64_t*>(indices),
         static_cast<char*>(values));
  }
}

}  // namespace deepgemm
