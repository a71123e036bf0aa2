// Block-sparse products for Python.
#include "bindings/bound.h"
#include "core/blocks.h"
#include "core/bsr_integers.h"
#include "core/bsr_product.h"
#include "core/parallel.h"

namespace deepgemm::bindings {
namespace {

KernelId algorithm_of(const std::string& name) {
  if (name == "bsr_dense") return KernelId::bsr_dense;
  if (name == "bsr_scatter") return KernelId::bsr_scatter;
  if (name == "bsr_vector") return KernelId::bsr_vector;
  throw py::value_error("unknown algorithm " + name);
}

BlockView block_view(const py::array& indptr, const py::array& indices, const py::array& blocks,
                     std::int64_t block_cols) {
  if (blocks.ndim() != 3 || blocks.shape(0) < indices.size()) {
    raise("FormatError", "bsr: expected blocks of three dimensions, one for each index");
  }
  if ((blocks.flags() & py::array::c_style) == 0) raise("FormatError", "bsr: blocks must be contiguous");
  BlockView view;
  view.blocks = compressed_view(indptr, indices, nullptr, block_cols);
  view.blocks.values = blocks.data();
  view.height = blocks.shape(1);
  view.width = blocks.shape(2);
  if (view.blocks.nnz > indices.size()) raise("FormatError", "bsr: fewer blocks than indptr says");
  return view;
}

std::unique_ptr<BoundProduct> bsr_product(const std::string& algorithm, const py::object& isa,
                                          const py::array& indptr, const py::array& indices,
                                          const py::array& blocks, std::int64_t block_cols,
                                          bool sparse_is_left) {
  const KernelId id = algorithm_of(algorithm);
  BlockView view = block_view(indptr, indices, blocks, block_cols);
  view.blocks.dtype = dtype_of(blocks, "blocks");
  return bind_product(make_bsr_product(id, view, sparse_is_left, isa_or_best(isa)), view.blocks.dtype,
                      {indptr, indices, blocks}, algorithm);
}

// Rows of blocks are filled up to whole groups of four; `width` of their columns exist.
std::unique_ptr<BoundProduct> bsr_integers(const py::object& isa, const py::array& indptr,
                                           const py::array& indices, const py::array& blocks,
                                           std::int64_t block_cols, std::int64_t width,
                                           const py::dtype& other, const py::dtype& out) {
  BlockView view = block_view(indptr, indices, blocks, block_cols);
  view.blocks.dtype = stored_dtype(blocks.dtype());
  const DType theirs = stored_dtype(other), result = stored_dtype(out);
  const auto byte = [](DType t) { return t == DType::i8 || t == DType::u8; };
  if (!byte(view.blocks.dtype) || !byte(theirs) || (result != DType::i32 && result != DType::i64)) {
    raise("DTypeError", "no native product of these dtypes");
  }
  if (view.width % 4 != 0 || width < 1 || width > view.width || width <= view.width - 4) {
    raise("FormatError", "bsr: rows of blocks must hold whole groups of four");
  }
  auto product = make_bsr_integers(view, width, theirs, result, isa_or_best(isa));
  if (product == nullptr) throw std::bad_alloc();
  auto bound = bind_product(std::move(product), DType::i32, {indptr, indices, blocks}, "bsr_integers");
  bound->other = theirs;
  bound->out = result;
  return bound;
}

// A view of a pattern, without values.
CompressedView entries_of(const py::array& indptr, const py::array& indices) {
  const CompressedView view = compressed_view(indptr, indices, nullptr, 0);
  if (view.nnz > indices.size()) raise("FormatError", "fewer indices than indptr says");
  return view;
}

constexpr std::int64_t kMostExtent = 64;  // rows or columns of a block that compressed rows are put into

BlockShape shape_of(std::int64_t height, std::int64_t width) {
  if (height < 1 || width < 1 || height > kMostExtent || width > kMostExtent) {
    raise("ShapeError", "blocks of " + std::to_string(height) + " by " + std::to_string(width) +
                            ": expected 1 to " + std::to_string(kMostExtent) + " rows and columns");
  }
  return {height, width};
}

double block_fill(const py::array& indptr, const py::array& indices, std::int64_t height, std::int64_t width,
                  std::int64_t sample) {
  const CompressedView view = entries_of(indptr, indices);
  const BlockShape shape = shape_of(height, width);
  const ReleaseGil released;
  return sampled_fill(view, shape, sample);
}

std::int64_t rows_alike(const py::array& indptr, const py::array& indices, std::int64_t sample) {
  const CompressedView view = entries_of(indptr, indices);
  const ReleaseGil released;
  return common_rows(view, sample, kMostExtent);
}

// (indptr, indices, places) of the blocks; see core/blocks.h.
py::tuple blocks_of_rows(const py::array& indptr, const py::array& indices, std::int64_t height,
                         std::int64_t width) {
  const CompressedView view = entries_of(indptr, indices);
  const BlockShape shape = shape_of(height, width);
  if (view.major % height != 0) raise("ShapeError", "blocks do not divide the rows");
  const auto empty = [&](std::int64_t size) {
    return py::array(indptr.dtype(), std::vector<py::ssize_t>{size});
  };
  py::array start = empty(view.major / height + 1);
  void* const counted = start.mutable_data();
  {
    const ReleaseGil released;
    count_blocks(view, shape, counted, parallel::limit());
  }
  py::array columns = empty(index_at(counted, view.index_type, view.major / height));
  py::array_t<std::int64_t> places(view.nnz);
  {
    void* const column = columns.mutable_data();
    std::int64_t* const place = places.mutable_data();
    const ReleaseGil released;
    place_entries(view, shape, counted, column, place, parallel::limit());
  }
  return py::make_tuple(start, columns, places);
}

// The places are those that blocks_of_rows made for these elements.
void scatter_into(const py::array& values, const py::array_t<std::int64_t>& places, py::array& elements) {
  require_contiguous(values, "values");
  require_contiguous(places, "places");
  require_contiguous(elements, "elements");
  const std::int64_t size = values.itemsize(), count = places.size();
  if (elements.itemsize() != size || (size != 4 && size != 8 && size != 16) || values.size() < count) {
    raise("FormatError", "scatter_values: values, places and elements do not fit each other");
  }
  const std::int64_t* place = places.data();
  const void* from = values.data();
  void* to = elements.mutable_data();
  const ReleaseGil released;
  scatter_values(from, place, count, size, to, parallel::limit());
}

}  // namespace

void add_bsr(py::module_& m) {
  m.def("block_fill", &block_fill, py::arg("indptr"), py::arg("indices"), py::arg("height"), py::arg("width"),
        py::arg("sample"));
  m.def("rows_alike", &rows_alike, py::arg("indptr"), py::arg("indices"), py::arg("sample"));
  m.def("blocks_of_rows", &blocks_of_rows, py::arg("indptr"), py::arg("indices"), py::arg("height"),
        py::arg("width"));
  m.def("scatter_values", &scatter_into, py::arg("values"), py::arg("places"), py::arg("elements"));
  m.def("bsr_product", &bsr_product, py::arg("algorithm"), py::arg("isa"), py::arg("indptr"),
        py::arg("indices"), py::arg("blocks"), py::arg("block_cols"), py::arg("sparse_is_left"));
  m.def("bsr_integers", &bsr_integers, py::arg("isa"), py::arg("indptr"), py::arg("indices"),
        py::arg("blocks"), py::arg("block_cols"), py::arg("width"), py::arg("other"), py::arg("out"));
}

}  // namespace deepgemm::bindings
