// Dense C = A B over packed operands: decides who packs what and how the work is cut.
#pragma once

#include <cstdint>

#include "core/epilogue.h"
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

class PackedIntegers;
struct GemmScaling;

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
  friend Status prepack_scaled(const GemmScaling&, std::int64_t, DType, Isa, int, PackedMatrix&);
  friend Status prepack_integers(const DenseView&, DType, Isa, int, PackedIntegers&);
  friend Status prepack_pairs(const DenseView&, DType, Isa, int, PackedMatrix&);
  AlignedBuffer memory_;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  DType dtype_ = DType::f32;
  Isa isa_ = Isa::scalar;
};

// A right operand of 8-bit integers packed once: groups of rows in panels, and the sums of its columns.
class PackedIntegers {
 public:
  const PackedMatrix& groups() const { return groups_; }
  std::int64_t rows() const { return rows_; }
  DType stored() const { return stored_; }
  // Those of each stretch of rows that one 32-bit product takes.
  const std::int64_t* sums() const { return static_cast<const std::int64_t*>(sums_.data()); }
  std::size_t nbytes() const { return groups_.nbytes() + sums_.bytes(); }

 private:
  friend Status prepack_integers(const DenseView&, DType, Isa, int, PackedIntegers&);
  PackedMatrix groups_;
  AlignedBuffer sums_;
  std::int64_t rows_ = 0;
  DType stored_ = DType::i8;
};

Status prepack_right(const DenseView& b, DType stored, DType chain, Isa highest, int threads,
                     PackedMatrix& packed);
// What prepack_right would allocate.
std::size_t prepacked_bytes(std::int64_t rows, std::int64_t cols, DType dtype, Isa highest);

// C = A B. Any strides; C overlaps neither operand. `swap_roles` says that the caller computes
// C^T = B^T A^T, so that `b` is the left operand of what the user wrote: the complex order depends on it.
// `terms` are for real numbers.
Status gemm(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types, Isa highest,
            int threads, bool swap_roles = false, const Epilogue& terms = {});
// The right operand's dtype is that of its panels.
Status gemm(const DenseView& a, const PackedMatrix& b, const DenseView& c, const GemmTypes& types,
            int threads, bool swap_roles = false, const Epilogue& terms = {});

// What gemm does last, for a product that was computed in another way: `from` has the dtype of the chain.
void finish(const DenseView& from, const DenseView& to, const GemmTypes& types, const Epilogue& terms,
            Isa highest, int threads);

// Products of 8-bit integers, exact in the int32 or int64 of `types.out`: the caller knows which of them
// holds the result.
Status gemm_integers(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                     Isa highest, int threads);
Status gemm_integers(const DenseView& a, const PackedIntegers& b, const DenseView& c, const GemmTypes& types,
                     int threads);
Status prepack_integers(const DenseView& b, DType stored, Isa highest, int threads, PackedIntegers& packed);

// C = A B, where the right operand is dequantised to float32 while it is packed; `types.right` is the dtype
// of its numbers. Of 4-bit ones there are `cols` columns.
Status gemm_scaled(const DenseView& a, const GemmScaling& b, std::int64_t cols, const DenseView& c,
                   const GemmTypes& types, Isa highest, int threads, const Epilogue& terms = {});
Status prepack_scaled(const GemmScaling& b, std::int64_t cols, DType stored, Isa highest, int threads,
                      PackedMatrix& packed);

// Products of bfloat16 numbers by the instruction for pairs of them, which keeps no stated order, and of
// float16 numbers in float16 arithmetic, which keeps one of its own; only where serves_pairs() says that the
// CPU and the build have what it takes. Of float16 numbers `overflowed` becomes 1 where a sum is not finite,
// and C is then of no use.
bool serves_pairs(DType stored, Isa highest);
Status gemm_pairs(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                  Isa highest, int threads, const Epilogue& terms, std::int32_t* overflowed);
Status gemm_pairs(const DenseView& a, const PackedMatrix& b, const DenseView& c, const GemmTypes& types,
                  int threads, const Epilogue& terms, std::int32_t* overflowed);
Status prepack_pairs(const DenseView& b, DType stored, Isa highest, int threads, PackedMatrix& packed);
// The operand as it was; rows of `to` have unit stride.
void unpack_pairs(const PackedMatrix& packed, const DenseView& to, int threads);

// The ISA that gemm runs when asked for `highest`.
Isa gemm_isa(DType dtype, Isa highest);

// Scratch bytes of one product, for the planner.
std::size_t gemm_workspace(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, Isa highest,
                           int threads);

}  // namespace deepgemm
