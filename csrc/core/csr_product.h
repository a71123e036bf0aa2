// Products straight from compressed storage: no layout is built.
#pragma once

#include <memory>

#include "core/kernel_table.h"
#include "core/product.h"

namespace deepgemm {

// `id` is csr_rowwise or csr_vector, for S in compressed rows, or csr_scatter, for S in compressed
// columns. `sparse_is_left` tells whether the caller wrote S X or, on transposes, X^T S^T. The arrays
// behind `s` must be canonical and outlive the product. Null if no kernel serves the dtype.
std::unique_ptr<Product> make_csr_product(KernelId id, const CompressedView& s, bool sparse_is_left,
                                          Isa highest);

}  // namespace deepgemm
