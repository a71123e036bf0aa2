// Products with few results and long chains, which are cut: not in the stated order.
#pragma once

#include <memory>

#include "core/gemm_product.h"

namespace deepgemm {

// The inner index is cut into pieces of 2048, which are added in ascending order. A piece of an element is
// one chain where lanes run along 8 columns at least that are adjacent in B (or rows in A), and not both
// operands are contiguous along k; otherwise 16 interleaved chains as in a product of two vectors. So the
// order depends on shape and layout alone, not on threads or ISA. float32 and float64; `fixed` must outlive
// it.
std::unique_ptr<Product> make_gemm_split_product(const DenseView& fixed, Side side, DType dtype, Isa highest);

}  // namespace deepgemm
