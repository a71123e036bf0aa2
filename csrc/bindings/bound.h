// Core objects together with the Python arrays whose memory they read.
#pragma once

#include <memory>
#include <vector>

#include "bindings/arrays.h"
#include "core/product.h"
#include "core/sell.h"

namespace deepgemm::bindings {

struct BoundProduct {
  std::shared_ptr<const Product> product;
  DType dtype;
  std::vector<py::object> owners;
};

struct BoundSell {
  std::shared_ptr<const Sell> sell;
  CompressedView source;  // `values` is not read again; refill() takes new ones
  std::vector<py::object> owners;
};

// Adds the raw type Runner to the module.
void add_runner(py::module_& module);

// Adds the products of two sparse operands.
void add_spgemm(py::module_& module);

}  // namespace deepgemm::bindings
