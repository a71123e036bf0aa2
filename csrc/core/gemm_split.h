// Products with few results and long chains, which are cut: not in the stated order.
#pragma once

#include <memory>

#include "core/gemm_product.h"

namespace deepgemm {

// The inner index is cut into pieces of 4096. Where the result has at least 16 rows or columns a piece of an
// element is one chain, otherwise 16 interleaved ones as in a product of two vectors; pieces are added in
// ascending order. The order depends on the shape alone, not on threads or ISA. float32 and float64; `fixed`
// must outlive it.
std::unique_ptr<Product> make_gemm_split_product(const DenseView& fixed, Side side, DType dtype, Isa highest);

}  // namespace deepgemm
