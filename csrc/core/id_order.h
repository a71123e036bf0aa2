// Which bags an embedding row is in: the transpose of bags, for the rows that are named at all.
#pragma once

#include <cstdint>
#include <vector>

#include "core/bag_args.h"

namespace deepgemm {

// Row rows[i] is named by the positions places[offsets[i]], ..., ascending, which lie in those bags.
struct IdOrder {
  std::vector<std::int64_t> rows, offsets, places, bags;
  std::int64_t fault = -1;  // position of the first id that is no row, where those are refused
};

// Ids out of range and padding are treated as kernels of bags do; zeros have no row. Nothing else of `args`
// is read. False when there is no memory. O(ids), for each 11 bits of a row's number.
bool order_ids(const BagArgs& args, std::int64_t bags, IdOrder& order) noexcept;

}  // namespace deepgemm
