// Products of bfloat16 or float16 operands two at a time, rounded in another order than the stated one.
#pragma once

#include <memory>

#include "core/gemm_product.h"

namespace deepgemm {

// Both operands are `stored` as bfloat16, or both as float16; `out` is float32, float16 or bfloat16. `fixed`
// must outlive the product. Where a float16 sum is not finite, the product is computed again in the stated
// order.
std::unique_ptr<Product> make_pairs_product(const DenseView& fixed, Side side, DType stored, DType out,
                                            Isa highest);
std::unique_ptr<Product> make_pairs_product(std::shared_ptr<const PackedMatrix> packed, DType out);

}  // namespace deepgemm
