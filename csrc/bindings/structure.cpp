// What is measured of arrays: the structure of compressed indices, fingerprints, zeros, finiteness.
#include "core/structure.h"

#include <pybind11/stl.h>

#include <limits>

#include "bindings/bound.h"
#include "core/dense.h"
#include "core/fingerprint.h"
#include "core/parallel.h"

namespace deepgemm::bindings {
namespace {

const char* defect_name(Defect defect) {
  switch (defect) {
    case Defect::none:
      return "";
    case Defect::indptr_start:
      return "indptr_start";
    case Defect::indptr_decreasing:
      return "indptr_decreasing";
    case Defect::indptr_end:
      return "indptr_end";
    case Defect::index_negative:
      return "index_negative";
    case Defect::index_range:
      return "index_range";
  }
  return "";
}

Inspection inspect(const py::array& indptr, const py::array& indices, std::int64_t minor) {
  CompressedView view = compressed_view(indptr, indices, nullptr, minor);
  const ReleaseGil released;
  return inspect_compressed(view, indices.size(), parallel::limit());
}

std::uint64_t fingerprint_arrays(const py::args& arrays) {
  std::uint64_t state = 0;
  for (const py::handle item : arrays) {
    const auto array = py::reinterpret_borrow<py::array>(item);
    require_contiguous(array, "array");
    state = fingerprint(array.data(), array.size(), array.itemsize(), state);
  }
  return state;
}

bool finite(const py::array& array) {
  const DType dtype = dtype_of(array, "array");
  const DenseView view = dense_view(array, dtype);
  const ReleaseGil released;
  return dense::all_finite(view, dtype, parallel::limit());
}

double zero_share(const py::array& array, std::int64_t samples) {
  const DType dtype = dtype_of(array, "array");
  return dense::sample_zeros(dense_view(array, dtype), dtype, samples);
}

// (data, indices, indptr) of the elements that are not zero, rows compressed; 32-bit indices where they fit.
py::tuple dense_to_csr(const py::array& array) {
  const DType dtype = dtype_of(array, "array");
  const DenseView view = dense_view(array, dtype);
  if (view.cols > std::numeric_limits<std::int32_t>::max())
    raise("UnsupportedError", "dense_to_csr: 2**31 columns or more");
  py::array_t<std::int64_t> start(view.rows + 1);
  std::int64_t* row_start = start.mutable_data();
  {
    const ReleaseGil released;
    row_start[0] = 0;
    dense::count_nonzeros(view, dtype, row_start, parallel::limit());
    for (std::int64_t r = 0; r < view.rows; ++r) row_start[r + 1] += row_start[r];
  }
  py::array_t<std::int32_t> indices(row_start[view.rows]);
  py::array values(array.dtype(), std::vector<py::ssize_t>{row_start[view.rows]});
  {
    std::int32_t* columns = indices.mutable_data();
    void* data = values.mutable_data();
    const ReleaseGil released;
    dense::gather_nonzeros(view, dtype, row_start, columns, data, parallel::limit());
  }
  if (row_start[view.rows] <= std::numeric_limits<std::int32_t>::max()) {
    return py::make_tuple(values, indices, start.attr("astype")("int32"));
  }
  return py::make_tuple(values, indices.attr("astype")("int64"), start);
}

}  // namespace

void add_structure(py::module_& m) {
  py::class_<Inspection>(m, "Inspection", "What one pass over compressed indices found.")
      .def_property_readonly("status", [](const Inspection& i) { return defect_name(i.defect); })
      .def_readonly("position", &Inspection::position)
      .def_readonly("value", &Inspection::value)
      .def_readonly("sorted", &Inspection::sorted)
      .def_readonly("canonical", &Inspection::canonical)
      .def_readonly("nnz", &Inspection::nnz)
      .def_readonly("max_row", &Inspection::max_row)
      .def_readonly("empty_rows", &Inspection::empty_rows)
      .def_readonly("bandwidth", &Inspection::bandwidth)
      .def_readonly("row_sq_sum", &Inspection::row_sq_sum)
      .def_readonly("near", &Inspection::near)
      .def_readonly("window_fill", &Inspection::window_fill)
      .def_property_readonly("quantiles",
                             [](const Inspection& i) { return py::tuple(py::cast(i.quantiles)); });
  m.def("inspect_compressed", &inspect, py::arg("indptr"), py::arg("indices"), py::arg("minor"));
  m.def("fingerprint", &fingerprint_arrays);
  m.def("all_finite", &finite, py::arg("array"));
  m.def("zero_share", &zero_share, py::arg("array"), py::arg("samples"));
  m.def("dense_to_csr", &dense_to_csr, py::arg("array"));
}

}  // namespace deepgemm::bindings
