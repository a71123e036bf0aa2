// Products that write part of a matrix only: at the entries of a mask, or one triangle.
#include "bindings/bound.h"
#include "core/gram.h"
#include "core/parallel.h"
#include "core/sddmm.h"

namespace deepgemm::bindings {
namespace {

// 2-D arrays of one dtype whose strides are whole elements.
DenseView matrix_view(const py::array& array, DType dtype, const char* name) {
  const std::int64_t size = static_cast<std::int64_t>(size_of(dtype));
  if (dtype_of(array, name) != dtype || array.ndim() != 2 || !has_element_strides(array.ptr(), size)) {
    raise("FormatError", std::string(name) + " must be an aligned 2-D array of the result's dtype");
  }
  return view_of(array.ptr(), size, false);
}

void* writable(py::array& array, std::int64_t size, const char* name) {
  if (array.size() != size || (array.flags() & py::array::c_style) == 0) {
    raise("FormatError", std::string(name) + " must be contiguous and as large as the result");
  }
  return array.mutable_data();
}

void sddmm_into(const py::object& isa, const py::array& indptr, const py::array& indices, const py::array& x,
                const py::array& y, py::array values, int threads) {
  const DType dtype = dtype_of(values, "values");
  const DenseView left = matrix_view(x, dtype, "X"), right = matrix_view(y, dtype, "Y").transposed();
  CompressedView mask = compressed_view(indptr, indices, nullptr, right.rows);
  if (left.cols != right.cols || mask.major != left.rows || indices.size() < mask.nnz) {
    raise("ShapeError", "sddmm: shapes do not fit together");
  }
  void* out = writable(values, mask.nnz, "values");
  const Isa highest = isa_or_best(isa);
  Status status;
  {
    const ReleaseGil released;
    status = sddmm(mask, left, right, dtype, highest, threads, out);
  }
  if (status != Status::ok) throw std::bad_alloc();
}

// A by rows and by columns, as the Python side keeps it.
GramOperand gram_operand(const py::array& indptr, const py::array& indices, const py::array& values,
                         const py::array& column_ptr, const py::array& rows_of, const py::array& positions) {
  const GramOperand a{compressed_view(indptr, indices, &values, column_ptr.size() - 1), column_ptr.data(),
                      rows_of.data(), positions.data()};
  for (const py::array* part : {&column_ptr, &rows_of, &positions}) {
    require_contiguous(*part, "columns");
    if (index_type_of(*part, "columns") != a.rows.index_type) {
      raise("DTypeError", "gram: indices have several dtypes");
    }
  }
  if (rows_of.size() < a.rows.nnz || positions.size() < a.rows.nnz) {
    raise("FormatError", "gram: rows and columns do not fit together");
  }
  return a;
}

const void* gram_weights(const py::object& weights, const GramOperand& a) {
  if (weights.is_none()) return nullptr;
  const auto array = weights.cast<py::array>();
  require_contiguous(array, "weights");
  if (array.size() != a.rows.major || dtype_of(array, "weights") != a.rows.dtype) {
    raise("FormatError", "gram: weights must be one for each row, of the dtype of the values");
  }
  return array.data();
}

void gram_into(const py::object& isa, const py::array& indptr, const py::array& indices,
               const py::array& values, const py::array& column_ptr, const py::array& rows_of,
               const py::array& positions, const py::object& weights, py::array out, bool mirror,
               int threads) {
  const GramOperand a = gram_operand(indptr, indices, values, column_ptr, rows_of, positions);
  const DenseView result = matrix_view(out, a.rows.dtype, "out");
  writable(out, a.rows.minor * a.rows.minor, "out");
  const void* w = gram_weights(weights, a);
  const Isa highest = isa_or_best(isa);
  Status status;
  {
    const ReleaseGil released;
    status = gram(a, w, result, mirror, highest, threads);
  }
  if (status != Status::ok) throw std::bad_alloc();
}

}  // namespace

void add_sampled(py::module_& m) {
  m.def("sddmm", &sddmm_into, py::arg("isa"), py::arg("indptr"), py::arg("indices"), py::arg("x"),
        py::arg("y"), py::arg("values"), py::arg("threads"));
  m.def("gram", &gram_into, py::arg("isa"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("column_ptr"), py::arg("rows_of"), py::arg("positions"), py::arg("weights"), py::arg("out"),
        py::arg("mirror"), py::arg("threads"));
}

}  // namespace deepgemm::bindings
