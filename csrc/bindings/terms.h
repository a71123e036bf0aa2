// The terms of an epilogue as Python hands them over.
#pragma once

#include "bindings/arrays.h"
#include "core/gemm_stack.h"

namespace deepgemm::bindings {

// (alpha, beta, addend, scale, bias, activation), as deepgemm/planner/ending.py makes it. Its arrays have the
// dtype of the chain and the shape of the result.
struct Terms {
  Epilogue plain;
  py::object addend, scale, bias;

  Terms() = default;
  explicit Terms(const py::object& given);

  // What kernels read; `place` turns an array into a view of it.
  template <class Place>
  Epilogue placed(DType chain, const Place& place) const {
    const auto view = [&](const py::object& term) {
      return is_there(term, chain) ? place(term.ptr()) : DenseView{};
    };
    Epilogue made = plain;
    made.addend = view(addend);
    made.scale = view(scale);
    made.bias = view(bias);
    return made;
  }

  // The same for results with leading axes; `place` turns an array into a stack.
  template <class Place>
  StackedTerms stacked(DType chain, const Place& place) const {
    const auto stack = [&](const py::object& term) {
      return is_there(term, chain) ? place(term.ptr()) : Stack{};
    };
    StackedTerms made{plain, stack(addend), stack(scale), stack(bias)};
    made.terms.addend = made.addend.first;
    made.terms.scale = made.scale.first;
    made.terms.bias = made.bias.first;
    return made;
  }

 private:
  // Whether there is such a term; raises where kernels cannot read it.
  static bool is_there(const py::object& term, DType chain);
};

}  // namespace deepgemm::bindings
