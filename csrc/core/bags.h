// Embedding bags over one table or several.
#pragma once

#include <cstdint>
#include <vector>

#include "core/bag_args.h"
#include "core/kernel_table.h"

namespace deepgemm {

// The bags of one table; `args` says where they and the result's columns are.
struct BagFeature {
  BagArgs args;
  std::int64_t bags;
  DType dtype;            // how the rows are stored
  std::int64_t row_size;  // bytes of a row
};

struct BagOutcome {
  Isa isa = Isa::scalar;
  std::int64_t feature = -1;   // the first one in which an id is no row, -1 if none
  std::int64_t position = -1;  // that of its first such id
};

// Runs kernel `id`, bag_sum or bag_max, over all features in one job. Threads split bags by their ids, and
// the columns of a bag that has too many of them.
BagOutcome run_bags(KernelId id, const std::vector<BagFeature>& features, Isa highest, int threads);

}  // namespace deepgemm
