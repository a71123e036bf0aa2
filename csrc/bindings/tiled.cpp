// The tiled layout and its product for Python.
#include "core/tiled.h"
#include "bindings/bound.h"
#include "core/parallel.h"

namespace deepgemm::bindings {
namespace {

struct BoundTiled {
  std::shared_ptr<const Tiled> tiled;
  CompressedView source;  // `values` is not read again; refill() takes new ones
  std::vector<py::object> owners;
};

std::unique_ptr<BoundTiled> bind_tiled(std::unique_ptr<Tiled> tiled, const CompressedView& source,
                                       std::vector<py::object> owners) {
  if (tiled == nullptr) throw std::bad_alloc();
  auto bound = std::make_unique<BoundTiled>();
  bound->tiled = std::move(tiled);
  bound->source = source;
  bound->owners = std::move(owners);
  return bound;
}

std::unique_ptr<BoundTiled> build(const py::array& indptr, const py::array& indices, const py::array& values,
                                  std::int64_t minor) {
  const CompressedView view = stored_view(indptr, indices, values, minor);
  if (is_complex(view.dtype) || view.minor > (std::int64_t{1} << 32)) {
    raise("UnsupportedError", "tiled: real values and at most 2**32 columns only");
  }
  std::unique_ptr<Tiled> tiled;
  {
    const ReleaseGil released;
    tiled = build_tiled(view, parallel::limit());
  }
  return bind_tiled(std::move(tiled), view, {indptr, indices});
}

std::unique_ptr<BoundTiled> refill(const BoundTiled& old, const py::array& values) {
  require_contiguous(values, "data");
  CompressedView view = old.source;
  view.values = values.data();
  view.dtype = stored_dtype(values.dtype());
  if (view.dtype != old.tiled->dtype || values.size() < view.nnz)
    raise("FormatError", "tiled: other values do not fit");
  std::unique_ptr<Tiled> tiled;
  {
    const ReleaseGil released;
    tiled = refill_tiled(*old.tiled, view, parallel::limit());
  }
  return bind_tiled(std::move(tiled), view, old.owners);
}

std::unique_ptr<BoundProduct> narrow_product(const py::object& isa, const py::object& tiled,
                                             const py::dtype& other, const py::dtype& out) {
  const auto& bound = tiled.cast<const BoundTiled&>();
  const DType theirs = stored_dtype(other), result = stored_dtype(out);
  if (!narrow_result(theirs, result)) raise("DTypeError", "no native product of these dtypes");
  auto product = bind_product(make_narrow_tiled(bound.tiled, theirs, result, isa_or_best(isa)), DType::f32,
                              {tiled}, "csr_tiled_narrow");
  product->other = theirs;
  product->out = result;
  return product;
}

}  // namespace

void add_tiled(py::module_& m) {
  py::class_<BoundTiled>(m, "Tiled", "Tiles of rows in order of length, with 16-bit columns; a layout.")
      .def_property_readonly("nbytes", [](const BoundTiled& t) { return t.tiled->bytes(); })
      .def("refill", &refill, py::arg("values"));
  m.def("tiled_build", &build, py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("minor"));
  m.def(
      "tiled_product",
      [](const py::object& isa, const py::object& tiled) {
        const auto& bound = tiled.cast<const BoundTiled&>();
        return bind_product(make_tiled_product(bound.tiled, isa_or_best(isa)), bound.tiled->dtype, {tiled},
                            "csr_tiled");
      },
      py::arg("isa"), py::arg("tiled"));
  m.def("tiled_narrow_product", &narrow_product, py::arg("isa"), py::arg("tiled"), py::arg("other"),
        py::arg("out"));
}

}  // namespace deepgemm::bindings
