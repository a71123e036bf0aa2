// Entries times, or divided by, one weight for each row or each column.
#pragma once

#include "core/types.h"

namespace deepgemm {

// Whose weight an entry gets: that of its line (the row of CSR, the column of CSC) or that of its index.
enum class WeightOf : std::uint8_t { line, index };
enum class Scaling : std::uint8_t { multiply, divide };

// out[p] = values[p] op weight, computed in the wider of the two dtypes (f32 or f64) and rounded once to
// `out`. False if these dtypes are not compiled. O(lines + entries); entries, not lines, are split between
// threads.
bool scale(const CompressedView& a, WeightOf weight_of, Scaling op, const void* weights, DType weight_dtype,
           DType out_dtype, int threads, void* out);

}  // namespace deepgemm
