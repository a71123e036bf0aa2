// Core objects together with the Python arrays whose memory they read.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bindings/arrays.h"
#include "core/product.h"
#include "core/sell.h"

namespace deepgemm::bindings {

struct BoundProduct {
  std::shared_ptr<const Product> product;
  DType dtype;       // of the chain
  DType other, out;  // in which the product reads the other operand and writes the result
  std::vector<py::object> owners;
};

struct BoundSell {
  std::shared_ptr<const Sell> sell;
  CompressedView source;  // `values` is not read again; refill() takes new ones
  std::vector<py::object> owners;
};

// What bindings of products share: the ISA of a name, or the best; a view of compressed
// arrays, which are checked so far that it cannot reach outside; a product with what it reads.
Isa isa_or_best(const py::object& name);
CompressedView compressed_view(const py::array& indptr, const py::array& indices, const py::array* values,
                               std::int64_t minor);
// The same with values in the dtype in which they are stored; and whether a product with such values can read
// that other operand and give that result: floats from floats or integers, whole numbers from integers.
CompressedView stored_view(const py::array& indptr, const py::array& indices, const py::array& values,
                           std::int64_t minor);
bool narrow_result(DType other, DType out);
std::unique_ptr<BoundProduct> bind_product(std::unique_ptr<Product> product, DType dtype,
                                           std::vector<py::object> owners, const std::string& what);

// The dtype in which a dense product of these is computed, if there is a native one. The chain of operands
// that are stored narrower is float32, and the result must be that or narrower too; two 8-bit integers make
// 32- or 64-bit ones.
std::optional<DType> chain_of(DType left, DType right, DType out);

// Adds what is measured of arrays, and products of sparse rows with dense operands.
void add_structure(py::module_& module);
void add_products(py::module_& module);
// Adds operations within segments.
void add_segments(py::module_& module);
// Adds embedding bags.
void add_bags(py::module_& module);
// Adds products of ragged arrays.
void add_ragged(py::module_& module);
// Adds sddmm and gram to the module.
void add_sampled(py::module_& module);
void add_bsr(py::module_& module);
// Adds what brings entries into another order.
void add_transpose(py::module_& module);
void add_tiled(py::module_& module);
// Adds products of sparse matrices that share one structure.
void add_stacks(py::module_& module);
// Adds the raw type Runner to the module.
void add_runner(py::module_& module);

// Adds what surrounds products.
void add_rows(py::module_& module);

// Adds the products of two sparse operands, and of two dense ones.
void add_spgemm(py::module_& module);
void add_gemm(py::module_& module);
// Adds products of dense arrays that need no plan.
void add_dense(py::module_& module);
// Adds products with weights that stay narrow.
void add_narrow(py::module_& module);
// Adds products with weights that are dequantised while they are packed.
void add_scaled(py::module_& module);

}  // namespace deepgemm::bindings
