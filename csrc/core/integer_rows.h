// Products of a few rows of 8-bit integers with a matrix that is read where it stands: nothing is packed.
#pragma once

#include "core/gemm.h"

namespace deepgemm {

// Whether C = A B is one: at most kMostIntegerRows rows, B with rows or columns that are adjacent, and a
// result that 32 bits hold.
bool serves_integer_rows(const DenseView& b, const DenseView& c, const GemmTypes& types);

// Such a product, exactly.
Status gemm_integer_rows(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                         Isa highest, int threads);

}  // namespace deepgemm
