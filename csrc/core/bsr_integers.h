// Exact products of blocks of 8-bit integers.
#pragma once

#include <memory>

#include "core/bsr_product.h"
#include "core/kernel_table.h"
#include "core/product.h"

namespace deepgemm {

// Y = S X with S in blocks of int8 or uint8 whose rows hold whole groups of four, of which `width` exist
// (what is beyond is zero), X of int8 or uint8 and Y of int32 or int64. No sum may exceed 32 bits: the caller
// knows. The arrays behind `s` must be canonical and outlive the product. Null if there is no memory.
std::unique_ptr<Product> make_bsr_integers(const BlockView& s, std::int64_t width, DType other, DType out,
                                           Isa highest);

}  // namespace deepgemm
