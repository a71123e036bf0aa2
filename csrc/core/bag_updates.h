// Steps of optimisers on the rows of a table that bags name.
#pragma once

#include <cstdint>

#include "core/bag_args.h"
#include "core/kernel_table.h"

namespace deepgemm {

// Steps `rows` rows of a table stored as `dtype`. Threads split rows by the positions that name them.
Status update_bags(const BagUpdateArgs& args, std::int64_t rows, DType dtype, Isa highest, int threads,
                   Isa& ran);

}  // namespace deepgemm
