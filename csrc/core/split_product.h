// Products that cut long rows, so that one row with most of the entries does not keep one thread busy alone.
#pragma once

#include <memory>

#include "core/product.h"

namespace deepgemm {

// Y = S X for few columns, not in the stated order: a row of more than 2 * kPieceEntries entries is cut into
// pieces of about kPieceEntries, each a chain of its own that starts from +0, and their sums are added in
// ascending order. The order depends on the row alone, not on threads or ISA. The arrays behind `s` must be
// canonical compressed rows and outlive the product. Null if no kernel serves the dtype or memory runs out.
std::unique_ptr<Product> make_split_product(const CompressedView& s, bool sparse_is_left, Isa highest);

}  // namespace deepgemm
