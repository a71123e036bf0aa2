// Stacks of dense products: C(i) = A(i) B(i) for every place i of the leading axes.
#pragma once

#include "core/gemm.h"
#include "core/stack.h"

namespace deepgemm {

// Views of an Epilogue with leading axes; absent ones have no data.
struct StackedTerms {
  Epilogue terms;  // its views are those of `addend`, `scale` and `bias`
  Stack addend, scale, bias;

  Epilogue at(std::int64_t number, std::size_t size) const {
    const auto member = [&](const Stack& s) { return s.first.data ? s.at(number, size) : DenseView{}; };
    return {terms.alpha, terms.beta, member(addend), member(scale), member(bias), terms.activation};
  }
};

// All have the same leading axes; an operand that is broadcast along one has stride 0 there.
Status gemm_stack(const Stack& a, const Stack& b, const Stack& c, const GemmTypes& types, Isa highest,
                  int threads, const StackedTerms& terms = {});

// What an epilogue makes of products that another kernel left in `c`, in the dtype of the chain.
void finish_stack(const Stack& c, DType chain, const StackedTerms& terms, Isa highest, int threads);

}  // namespace deepgemm
