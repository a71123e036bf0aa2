#include "bindings/terms.h"

#include <algorithm>
#include <string_view>

namespace deepgemm::bindings {
namespace {

constexpr std::string_view kActivations[] = {"", "relu", "gelu", "gelu_tanh", "silu"};

}  // namespace

Terms::Terms(const py::object& given) {
  if (given.is_none()) return;
  const auto terms = given.cast<py::tuple>();
  plain.alpha = terms[0].cast<double>();
  plain.beta = terms[1].cast<double>();
  addend = terms[2];
  scale = terms[3];
  bias = terms[4];
  const auto name = terms[5].cast<std::string>();
  const auto* found = std::find(std::begin(kActivations), std::end(kActivations), name);
  if (found == std::end(kActivations)) throw py::value_error("no such activation");
  plain.activation = static_cast<Activation>(found - std::begin(kActivations));
}

bool Terms::is_there(const py::object& term, DType chain) {
  if (!term || term.is_none()) return false;
  if (stored_dtype(term.cast<py::array>().dtype()) != chain ||
      !has_element_strides(term.ptr(), static_cast<std::int64_t>(size_of(chain)))) {
    raise("DTypeError", "the terms of an epilogue have the dtype of the chain");
  }
  return true;
}

}  // namespace deepgemm::bindings
