// Sampled dense × dense product: dot products at the entries of a mask.
#pragma once

#include "core/types.h"

namespace deepgemm {

// values[p] = (row i of X) · (row j of `y_rows`) for each entry p = (i, j) of the mask, whose own values are
// not read; `y_rows` is Y transposed. Any strides; an operand whose rows are not adjacent elements is copied
// once. X and Y have the dtype of `values`. Entries, not rows, are split between threads.
Status sddmm(const CompressedView& mask, const DenseView& x, const DenseView& y_rows, DType dtype,
             Isa highest, int threads, void* values);

}  // namespace deepgemm
