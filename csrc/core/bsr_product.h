// Products straight from block-sparse storage.
#pragma once

#include <memory>

#include "core/kernel_table.h"
#include "core/product.h"

namespace deepgemm {

// Compressed rows of row-major blocks. Canonical: block columns strictly increase in a block row.
struct BlockView {
  CompressedView blocks;  // major and minor count blocks, nnz too; values holds nnz * height * width
  std::int64_t height = 1;
  std::int64_t width = 1;
};

// `id` is bsr_dense or bsr_vector for Y = S X, bsr_scatter for Y = S^T X. `sparse_is_left` tells whether
// the caller wrote the sparse operand on the left. The arrays behind `s` must be canonical and outlive
// the product. Null if no kernel serves the dtype.
std::unique_ptr<Product> make_bsr_product(KernelId id, const BlockView& s, bool sparse_is_left, Isa highest);

}  // namespace deepgemm
