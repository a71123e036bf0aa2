// What bindings of products share: ISAs by name, views of compressed arrays, products with what they read.
#include "bindings/bound.h"

#include "core/cpu.h"
#include "core/kernel_table.h"

namespace deepgemm::bindings {

Isa isa_or_best(const py::object& name) {
  if (name.is_none()) return best_isa();
  Isa isa;
  if (!cpu::parse(name.cast<std::string>(), isa) || !is_usable(isa)) {
    raise("UnsupportedError", "ISA " + py::repr(name).cast<std::string>() + " cannot run here");
  }
  return isa;
}

CompressedView compressed_view(const py::array& indptr, const py::array& indices, const py::array* values,
                               std::int64_t minor) {
  require_contiguous(indptr, "indptr");
  require_contiguous(indices, "indices");
  if (indptr.size() < 1) raise("FormatError", "indptr is empty");
  CompressedView view;
  view.indptr = indptr.data();
  view.indices = indices.data();
  view.index_type = index_type_of(indptr, "indptr");
  if (index_type_of(indices, "indices") != view.index_type) {
    raise("DTypeError", "indptr and indices must have one dtype");
  }
  view.major = indptr.size() - 1;
  view.minor = minor;
  view.nnz = index_at(view.indptr, view.index_type, view.major);
  if (values != nullptr) {
    require_contiguous(*values, "data");
    view.values = values->data();
    view.dtype = dtype_of(*values, "data");
    if (view.nnz > values->size() || view.nnz > indices.size())
      raise("FormatError", "data is shorter than indptr says");
  }
  return view;
}

CompressedView stored_view(const py::array& indptr, const py::array& indices, const py::array& values,
                           std::int64_t minor) {
  CompressedView view = compressed_view(indptr, indices, nullptr, minor);
  require_contiguous(values, "data");
  if (view.nnz > values.size() || view.nnz > indices.size()) {
    raise("FormatError", "data is shorter than indptr says");
  }
  view.values = values.data();
  view.dtype = stored_dtype(values.dtype());
  return view;
}

bool narrow_result(DType other, DType out) {
  const auto read = [](DType t) { return t == DType::f32 || (t >= DType::f16 && t <= DType::u8); };
  return read(other) && (read(out) ? out < DType::f8e4m3 : out == DType::i32 || out == DType::i64);
}

std::unique_ptr<BoundProduct> bind_product(std::unique_ptr<Product> product, DType dtype,
                                           std::vector<py::object> owners, const std::string& what) {
  if (product == nullptr) raise("UnsupportedError", what + ": no kernel of this dtype is compiled");
  auto bound = std::make_unique<BoundProduct>();
  bound->product = std::move(product);
  bound->dtype = bound->other = bound->out = dtype;
  bound->owners = std::move(owners);
  return bound;
}

}  // namespace deepgemm::bindings
