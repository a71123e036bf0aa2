// Stacks of dense products: C(i) = A(i) B(i) for every place i of the leading axes.
#pragma once

#include "core/gemm.h"
#include "core/stack.h"

namespace deepgemm {

// Views of an Epilogue with leading axes; absent ones have no data.
struct StackedTerms {
  Epilogue terms;  // its views are those of `addend`, `scale` and `bias`
  Stack addend, scale, bias;
};

// All have the same leading axes; an operand that is broadcast along one has stride 0 there.
Status gemm_stack(const Stack& a, const Stack& b, const Stack& c, const GemmTypes& types, Isa highest,
                  int threads, const StackedTerms& terms = {});

}  // namespace deepgemm
