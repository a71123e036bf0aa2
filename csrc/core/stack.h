// Stacks of dense matrices, and the product of one fixed operand with each of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/product.h"

namespace deepgemm {

// Matrices of one shape and one pair of strides, numbered in C order of the leading axes.
struct Stack {
  struct Axis {
    std::int64_t extent, stride;
  };
  DenseView first;
  std::vector<Axis> axes;  // outermost first; strides count elements

  std::int64_t count() const;
  DenseView at(std::int64_t number, std::size_t size) const;
  Stack transposed() const { return {first.transposed(), axes}; }
  // Whether the columns of all members, one after the other, have one stride; if so, they as one matrix.
  bool side_by_side(DenseView& whole) const;
};

struct StackOptions {
  std::size_t x_size, y_size;  // bytes of one element; the same where members are folded side by side
  // Multiply the members side by side, as one matrix: narrow ones fill neither vectors nor threads alone.
  bool fold;
  // Or below one another, where they stand so already.
  bool fold_rows;
  // Unless folded: threads share the members instead of each of them, being that short.
  bool share_members;
};

// y.at(b) = fixed × x.at(b) for each b, as Product::run.
Status run_stack(const Product& product, const Stack& x, const Stack& y, const StackOptions& options,
                 int threads);

}  // namespace deepgemm
