// Small services on dense memory: strided copies, zero shares and finiteness.
#pragma once

#include <cstdint>

#include "core/types.h"
#include "core/workspace.h"

namespace deepgemm::dense {

// to = from, whatever the strides; both have the same shape. Values are moved as `size` bytes.
void copy(const DenseView& from, const DenseView& to, std::size_t size, int threads);

// A column as kernels want it: where it stands if its elements are adjacent, else as a copy.
class ContiguousVector {
 public:
  ContiguousVector(const DenseView& column, std::size_t size, int threads);
  const void* data() const { return data_; }  // null when there is no memory for the copy
  static std::size_t bytes(const DenseView& column, std::size_t size) {
    return column.row_stride == 1 || column.rows <= 1 ? 0 : static_cast<std::size_t>(column.rows) * size;
  }

 private:
  Workspace memory_;
  const void* data_;
};

// The share of `samples` elements, spread evenly over the matrix, that are zero.
double sample_zeros(const DenseView& view, DType dtype, std::int64_t samples);

// Elements other than zero in each row: row_count[r + 1] for row r (row_count[0] is left alone).
void count_nonzeros(const DenseView& view, DType dtype, std::int64_t* row_count, int threads);
// Writes those elements and their columns, given where each row starts. At most 2^31 - 1 columns.
void gather_nonzeros(const DenseView& view, DType dtype, const std::int64_t* row_start, std::int32_t* indices,
                     void* values, int threads);

// Whether no element is inf or nan.
bool all_finite(const DenseView& view, DType dtype, int threads);

}  // namespace deepgemm::dense
