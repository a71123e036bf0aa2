// Products of compressed rows with dense operands, of their layout in lanes, and of two vectors.
#include <pybind11/stl.h>

#include <limits>

#include "bindings/bound.h"
#include "core/cpu.h"
#include "core/csr_product.h"
#include "core/dot.h"
#include "core/parallel.h"
#include "core/split_product.h"

namespace deepgemm::bindings {
namespace {

std::unique_ptr<BoundProduct> csr_product(const std::string& algorithm, const py::object& isa,
                                          const py::array& indptr, const py::array& indices,
                                          const py::array& values, std::int64_t minor, bool sparse_is_left) {
  const KernelId id = algorithm == "csr_rowwise"   ? KernelId::csr_rowwise
                      : algorithm == "csr_vector"  ? KernelId::csr_vector
                      : algorithm == "csr_scatter" ? KernelId::csr_scatter
                                                   : throw py::value_error("unknown algorithm " + algorithm);
  const CompressedView view = compressed_view(indptr, indices, &values, minor);
  return bind_product(make_csr_product(id, view, sparse_is_left, isa_or_best(isa)), view.dtype,
                      {indptr, indices, values}, algorithm);
}

std::unique_ptr<BoundProduct> split_product(const py::object& isa, const py::array& indptr,
                                            const py::array& indices, const py::array& values,
                                            std::int64_t minor, bool sparse_is_left) {
  const CompressedView view = compressed_view(indptr, indices, &values, minor);
  return bind_product(make_split_product(view, sparse_is_left, isa_or_best(isa)), view.dtype,
                      {indptr, indices, values}, "csr_split");
}

std::unique_ptr<BoundSell> bind_sell(std::unique_ptr<Sell> sell, const CompressedView& source,
                                     std::vector<py::object> owners) {
  if (sell == nullptr) throw std::bad_alloc();
  auto bound = std::make_unique<BoundSell>();
  bound->sell = std::move(sell);
  bound->source = source;
  bound->owners = std::move(owners);
  return bound;
}

std::unique_ptr<BoundSell> sell_build(const py::array& indptr, const py::array& indices,
                                      const py::array& values, std::int64_t minor) {
  const CompressedView view = stored_view(indptr, indices, values, minor);
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (is_complex(view.dtype) || view.major > kMost || view.minor > kMost) {
    raise("UnsupportedError", "sell: real values and fewer than 2**31 rows and columns only");
  }
  std::unique_ptr<Sell> sell;
  {
    const ReleaseGil released;
    sell = build_sell(view, parallel::limit());
  }
  return bind_sell(std::move(sell), view, {indptr, indices});
}

std::unique_ptr<BoundSell> sell_refill(const BoundSell& old, const py::array& values) {
  require_contiguous(values, "data");
  CompressedView view = old.source;
  view.values = values.data();
  view.dtype = stored_dtype(values.dtype());
  if (view.dtype != old.sell->dtype || values.size() < view.nnz)
    raise("FormatError", "sell: other values do not fit");
  std::unique_ptr<Sell> sell;
  {
    const ReleaseGil released;
    sell = refill_sell(*old.sell, view, parallel::limit());
  }
  return bind_sell(std::move(sell), view, old.owners);
}

std::unique_ptr<BoundProduct> sell_narrow_product(const py::object& isa, const py::object& sell,
                                                  const py::dtype& other, const py::dtype& out) {
  const auto& bound = sell.cast<const BoundSell&>();
  const DType theirs = stored_dtype(other), result = stored_dtype(out);
  if (size_of(bound.sell->dtype) >= sizeof(float) || !narrow_result(theirs, result)) {
    raise("DTypeError", "no native product of these dtypes");
  }
  auto product = bind_product(make_sell_product(bound.sell, theirs, result, isa_or_best(isa)), DType::f32,
                              {sell}, "sell_vector_narrow");
  product->other = theirs;
  product->out = result;
  return product;
}

// The product of two vectors, as a 0-d array of their dtype.
py::array dot_product(const py::object& isa, const py::array& left, const py::array& right) {
  const DType dtype = dtype_of(left, "left");
  const DenseView a = dense_view(left, dtype), b = dense_view(right, dtype);
  if (dtype_of(right, "right") != dtype || left.ndim() != 1 || right.ndim() != 1 || a.rows != b.rows) {
    raise("FormatError", "dot: expected two vectors of one dtype and length");
  }
  py::array out(left.dtype(), std::vector<py::ssize_t>{});
  const Isa highest = isa_or_best(isa);
  void* result = out.mutable_data();
  {
    const ReleaseGil released;
    dot(a.data, a.row_stride, b.data, b.row_stride, a.rows, dtype, highest, result);
  }
  return out;
}

}  // namespace

void add_products(py::module_& m) {
  py::class_<BoundProduct>(m, "Product", "One kernel of one ISA with its fixed operand.")
      .def_property_readonly("kernel", [](const BoundProduct& p) { return p.product->kernel(); })
      .def_property_readonly("isa", [](const BoundProduct& p) { return cpu::name_of(p.product->isa()); })
      .def_property_readonly(
          "dtypes", [](const BoundProduct& p) { return py::make_tuple(name_of(p.other), name_of(p.out)); },
          "Dtypes of the other operand and of the result.");
  py::class_<BoundSell>(m, "Sell", "Rows in lanes, sorted by length inside windows; a layout.")
      .def_property_readonly("nbytes", [](const BoundSell& s) { return s.sell->bytes(); })
      .def("refill", &sell_refill, py::arg("values"));
  m.def("csr_product", &csr_product, py::arg("algorithm"), py::arg("isa"), py::arg("indptr"),
        py::arg("indices"), py::arg("values"), py::arg("minor"), py::arg("sparse_is_left"));
  m.def("split_product", &split_product, py::arg("isa"), py::arg("indptr"), py::arg("indices"),
        py::arg("values"), py::arg("minor"), py::arg("sparse_is_left"));
  m.def("sell_build", &sell_build, py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("minor"));
  m.def(
      "sell_product",
      [](const py::object& isa, const py::object& sell) {
        const auto& bound = sell.cast<const BoundSell&>();
        const DType dtype = bound.sell->dtype;
        return bind_product(make_sell_product(bound.sell, dtype, dtype, isa_or_best(isa)), dtype, {sell},
                            "sell_vector");
      },
      py::arg("isa"), py::arg("sell"));
  m.def("sell_narrow_product", &sell_narrow_product, py::arg("isa"), py::arg("sell"), py::arg("other"),
        py::arg("out"));
  m.def("dot", &dot_product, py::arg("isa"), py::arg("left"), py::arg("right"));
}

}  // namespace deepgemm::bindings
