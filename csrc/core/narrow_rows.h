// Products of compressed rows whose values stay narrow: a stretch of them at a time is widened in the caches.
#pragma once

#include <memory>

#include "core/kernel_table.h"
#include "core/product.h"

namespace deepgemm {

// Y = S X with S in compressed rows of any narrow dtype, X stored in `other` and Y in `out`. The chain is
// float32, by the kernels for it: csr_rowwise, or csr_vector for one column. Integers are summed exactly
// there, and `out` may be int32 or int64, if no row has a sum beyond 2^24: the caller knows. The arrays
// behind `s` must be canonical and outlive the product.
std::unique_ptr<Product> make_narrow_rows(const CompressedView& s, DType other, DType out, Isa highest);

}  // namespace deepgemm
