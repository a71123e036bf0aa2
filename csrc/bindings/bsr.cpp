// Block-sparse products for Python.
#include "bindings/bound.h"
#include "core/bsr_product.h"

namespace deepgemm::bindings {
namespace {

KernelId algorithm_of(const std::string& name) {
  if (name == "bsr_dense") return KernelId::bsr_dense;
  if (name == "bsr_scatter") return KernelId::bsr_scatter;
  if (name == "bsr_vector") return KernelId::bsr_vector;
  throw py::value_error("unknown algorithm " + name);
}

std::unique_ptr<BoundProduct> bsr_product(const std::string& algorithm, const py::object& isa,
                                          const py::array& indptr, const py::array& indices,
                                          const py::array& blocks, std::int64_t block_cols,
                                          bool sparse_is_left) {
  const KernelId id = algorithm_of(algorithm);
  if (blocks.ndim() != 3 || blocks.shape(0) < indices.size()) {
    raise("FormatError", "bsr: expected blocks of three dimensions, one for each index");
  }
  if ((blocks.flags() & py::array::c_style) == 0) raise("FormatError", "bsr: blocks must be contiguous");
  BlockView view;
  view.blocks = compressed_view(indptr, indices, nullptr, block_cols);
  view.blocks.values = blocks.data();
  view.blocks.dtype = dtype_of(blocks, "blocks");
  view.height = blocks.shape(1);
  view.width = blocks.shape(2);
  if (view.blocks.nnz > indices.size()) raise("FormatError", "bsr: fewer blocks than indptr says");
  return bind_product(make_bsr_product(id, view, sparse_is_left, isa_or_best(isa)), view.blocks.dtype,
                      {indptr, indices, blocks}, algorithm);
}

}  // namespace

void add_bsr(py::module_& m) {
  m.def("bsr_product", &bsr_product, py::arg("algorithm"), py::arg("isa"), py::arg("indptr"),
        py::arg("indices"), py::arg("blocks"), py::arg("block_cols"), py::arg("sparse_is_left"));
}

}  // namespace deepgemm::bindings
