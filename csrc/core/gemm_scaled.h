// Products with a right operand that is dequantised while it is packed, in each call.
#pragma once

#include <memory>

#include "core/gemm_args.h"
#include "core/product.h"

namespace deepgemm {

// `left` is the dtype in which the other operand is stored, `right` that of the numbers, `out` that of the
// result. What the scaling points to must outlive the product.
std::unique_ptr<Product> make_scaled_product(const GemmScaling& right, std::int64_t cols, DType left,
                                             DType stored, DType out, Isa highest);

}  // namespace deepgemm
