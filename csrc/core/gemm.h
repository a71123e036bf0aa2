// Dense C = A B over packed operands: decides who packs what and how the work is cut.
#pragma once

#include <cstdint>

#include "core/kernel_table.h"
#include "core/types.h"
#include "core/workspace.h"

namespace deepgemm {

// In which dtypes the operands and the result are stored, and in which the chain runs. Where one of the
// former is not the latter, the chain is float32.
struct GemmTypes {
  DType left, right, out, chain;

  static GemmTypes all(DType dtype) { return {dtype, dtype, dtype, dtype}; }
  GemmTypes transposed() const { return {right, left, out, chain}; }
};

// A right operand packed once for many products, in the dtype of the chain; it remembers the ISA whose
// panels it holds.
class PackedMatrix {
 public:
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  DType dtype() const { return dtype_; }
  Isa isa() const { return isa_; }
  std::size_t nbytes() const { return memory_.bytes(); }
  const void* data() const { return memory_.data(); }

 private:
  friend Status prepack_right(const DenseView&, DType, DType, Isa, int, PackedMatrix&);
  AlignedBuffer memory_;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  DType dtype_ = DType::f32;
  Isa isa_ = Isa::scalar;
};

Status prepack_right(const DenseView& b, DType stored, DType chain, Isa highest, int threads,
                     PackedMatrix& packed);
// What prepack_right would allocate.
std::size_t prepacked_bytes(std::int64_t rows, std::int64_t cols, DType dtype, Isa highest);

// C = A B. Any strides; C overlaps neither operand. `swap_roles` says that the caller computes
// C^T = B^T A^T, so that `b` is the left operand of what the user wrote: the complex order depends on it.
Status gemm(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types, Isa highest,
            int threads, bool swap_roles = false);
// The right operand's dtype is that of its panels.
Status gemm(const DenseView& a, const PackedMatrix& b, const DenseView& c, const GemmTypes& types,
            int threads, bool swap_roles = false);

// The ISA that gemm runs when asked for `highest`.
Isa gemm_isa(DType dtype, Isa highest);

// Scratch bytes of one product, for the planner.
std::size_t gemm_workspace(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, Isa highest,
                           int threads);

}  // namespace deepgemm
