// Dense products with one operand fixed, as it stands or packed once for many calls.
#pragma once

#include <memory>

#include "core/gemm.h"
#include "core/product.h"

namespace deepgemm {

enum class Side : std::uint8_t { left, right };

// `fixed` stands on that side of the other operand and must outlive the product; `types` are those of the
// operands as they stand. `swap_roles`: the caller computes on transposes; see gemm().
std::unique_ptr<Product> make_gemm_product(const DenseView& fixed, Side side, const GemmTypes& types,
                                           bool swap_roles, Isa highest);

// `packed` is the right operand.
std::unique_ptr<Product> make_packed_product(std::shared_ptr<const PackedMatrix> packed,
                                             const GemmTypes& types, bool swap_roles);

std::unique_ptr<Product> make_packed_product(std::shared_ptr<const PackedIntegers> packed,
                                             const GemmTypes& types);

}  // namespace deepgemm
