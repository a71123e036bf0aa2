// What a dense product does to each element before it is stored, as plain data for kernels too.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

enum class Activation : std::uint8_t { none, relu, gelu, gelu_tanh, silu };

// In the dtype of the chain and in this order: alpha * x, fma(beta, addend, x), scale * x, x + bias, the
// activation. The views have the shape of the result, and strides of zero where they are broadcast; what has
// no data is left out.
struct Epilogue {
  double alpha = 1.0, beta = 1.0;
  DenseView addend, scale, bias;
  Activation activation = Activation::none;

  bool empty() const {
    return alpha == 1.0 && addend.data == nullptr && scale.data == nullptr && bias.data == nullptr &&
           activation == Activation::none;
  }
  Epilogue transposed() const {
    return {alpha, beta, addend.transposed(), scale.transposed(), bias.transposed(), activation};
  }
  // For rows from `row` on and columns from `col` on, of elements of `size` bytes.
  Epilogue from(std::int64_t row, std::int64_t col, std::int64_t size) const {
    const auto at = [&](DenseView v) {
      if (v.data != nullptr) {
        v.data = static_cast<char*>(v.data) + (row * v.row_stride + col * v.col_stride) * size;
      }
      return v;
    };
    return {alpha, beta, at(addend), at(scale), at(bias), activation};
  }
};

// epilogue does rows [begin, end): `to`, of the kernel's dtype, becomes what the terms make of `from`, which
// has the chain's dtype: float64 for float64, otherwise float32. The two may be the same memory.
struct EpilogueArgs {
  DenseView from, to;
  Epilogue terms;
};

}  // namespace deepgemm
