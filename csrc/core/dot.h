// 1-D times 1-D in the order of 16 interleaved chains.
#pragma once

#include <cstdint>

#include "core/kernel_table.h"
#include "core/types.h"

namespace deepgemm {

// *result = sum of a[i] * b[i] over 0 <= i < n; strides count elements and may be zero or negative.
// Serial: one result is one set of chains. Returns the ISA that ran.
Isa dot(const void* a, std::int64_t a_stride, const void* b, std::int64_t b_stride, std::int64_t n,
        DType dtype, Isa highest, void* result);

}  // namespace deepgemm
