// Products of bfloat16 operands by the instruction for pairs of them, in no stated order.
#pragma once

#include <memory>

#include "core/gemm_product.h"

namespace deepgemm {

// `out` is float32, float16 or bfloat16. `fixed` must outlive the product.
std::unique_ptr<Product> make_pairs_product(const DenseView& fixed, Side side, DType out, Isa highest);
std::unique_ptr<Product> make_pairs_product(std::shared_ptr<const PackedMatrix> packed, DType out);

}  // namespace deepgemm
