// Products of few rows with weights that stay in their narrow storage and are widened in registers.
#pragma once

#include <cstdint>
#include <memory>

#include "core/kernel_table.h"
#include "core/product.h"
#include "core/workspace.h"

namespace deepgemm {

// A right operand: float16, bfloat16, or int8 and uint8 with scales, or 4-bit integers with scales, two
// columns in a byte (`data` then has the bytes of a row as its columns).
struct NarrowSource {
  DenseView data;
  DType dtype;  // u8 for 4-bit elements
  bool nibbles;
  bool is_signed;  // of 4-bit elements
  std::int64_t cols;
  // One scale, and one zero point unless there are none, for each group of rows and each column. Zero points
  // count from where the dtype does.
  const float* scales;
  const float* zeros;
  std::int64_t group;

  std::int64_t rows() const { return data.rows; }
  std::int64_t groups() const { return (rows() + group - 1) / group; }
};

// The operand for the kernels of one ISA: scales in whole panels, and the elements where they stand or
// packed.
class NarrowMatrix {
 public:
  std::int64_t rows() const { return source_.rows(); }
  std::int64_t cols() const { return source_.cols; }
  Isa isa() const { return block_.isa; }
  std::size_t nbytes() const { return packed_.bytes() + scales_.bytes() + zeros_.bytes(); }

  // C = A B, with A stored in `left` and C in `out`: float32, float16 or bfloat16.
  Status multiply(const DenseView& a, DType left, const DenseView& c, DType out, int threads) const;

 private:
  friend Status make_narrow(const NarrowSource&, bool, Isa, int, NarrowMatrix&);
  std::int64_t panels() const { return (cols() + panel_cols_ - 1) / panel_cols_; }
  bool in_place(std::int64_t panel, std::int64_t c_rows) const;
  void pack(std::int64_t begin, std::int64_t end, void* to) const;

  NarrowSource source_{};
  FoundKernel pack_, block_;
  std::int64_t lanes_ = 1, panel_cols_ = 1, row_bytes_ = 1;
  AlignedBuffer scales_, zeros_, packed_;
};

// With `pack` the elements are copied into panels and the source is not read again; else it must outlive
// the matrix.
Status make_narrow(const NarrowSource& source, bool pack, Isa highest, int threads, NarrowMatrix& made);

// `left` and `out` as for multiply().
std::unique_ptr<Product> make_narrow_product(std::shared_ptr<const NarrowMatrix> right, DType left,
                                             DType out);

}  // namespace deepgemm
