// Products of compressed rows whose values stay narrow: a stretch of them at a time is widened in the caches.
#pragma once

#include <memory>

#include "core/bsr_product.h"
#include "core/code_args.h"
#include "core/kernel_table.h"
#include "core/product.h"

namespace deepgemm {

// Y = S X with S in compressed rows of blocks, which are single entries in CSR, of any narrow dtype, X stored
// in `other` and Y in `out`. Values are numbers, or codes with scales: then the dtype of S is that of codes
// of a byte, and int8 for nibbles. The chain is float32, by the kernels for it: csr_rowwise and bsr_dense,
// or csr_vector and bsr_vector for one column. Integers are summed exactly there, and `out` may be int32 or
// int64, if no row has a sum beyond 2^24: the caller knows. The arrays behind `s` and `scales` must outlive
// the product, those of `s` be canonical.
std::unique_ptr<Product> make_narrow_rows(const BlockView& s, const CodeScales& scales, DType other,
                                          DType out, Isa highest);

// Writes what the codes of `s` stand for, one after the other. They are no nibbles.
void decode(const BlockView& s, const CodeScales& scales, float* to, int threads);

}  // namespace deepgemm
