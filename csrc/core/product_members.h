// Many prepared products in one call, each with an operand of its own: segments with sparse or narrow
// weights.
#pragma once

#include <cstdint>
#include <vector>

#include "core/product.h"

namespace deepgemm {

// out = other × fixed; `work` in about nanoseconds of one core.
struct ProductMember {
  const Product* product;
  DenseView other, out;
  std::int64_t work;
};

// Does all of them; no `out` overlaps another one or an operand.
Status run_members(const std::vector<ProductMember>& members, int threads);

}  // namespace deepgemm
