// Products of a stack of sparse matrices of one structure.
#include <algorithm>

#include "bindings/bound.h"
#include "core/parallel.h"
#include "core/value_stack.h"

namespace deepgemm::bindings {
namespace {

Stack checked_stack(const py::array& array, DType dtype, const char* name) {
  const std::int64_t size = static_cast<std::int64_t>(size_of(dtype));
  if (dtype_of(array, name) != dtype || array.ndim() < 2 || !has_element_strides(array.ptr(), size)) {
    raise("FormatError", std::string(name) + " must be an aligned stack of matrices of the values' dtype");
  }
  return stack_of(array.ptr(), size);
}

bool same_axes(const Stack& a, const Stack& b) {
  return std::equal(a.axes.begin(), a.axes.end(), b.axes.begin(), b.axes.end(),
                    [](const Stack::Axis& p, const Stack::Axis& q) { return p.extent == q.extent; });
}

// values (..., 1, nnz), x (..., k, n) and out (..., m, n); S is m × k, or these are the transposes.
void csr_values(const py::object& isa, const py::array& indptr, const py::array& indices,
                const py::object& positions, const py::array& values, const py::array& x, py::array out,
                std::int64_t minor, bool sparse_is_left, int threads) {
  ValueStack s;
  s.lines = compressed_view(indptr, indices, nullptr, minor);
  s.lines.dtype = dtype_of(values, "values");
  s.values = checked_stack(values, s.lines.dtype, "values");
  Stack from = checked_stack(x, s.lines.dtype, "X"), to = checked_stack(out, s.lines.dtype, "out");
  if (!sparse_is_left) {
    from = from.transposed();
    to = to.transposed();
  }
  std::int64_t stored = s.lines.nnz;
  if (!positions.is_none()) {
    const auto array = positions.cast<py::array>();
    require_contiguous(array, "positions");
    if (index_type_of(array, "positions") != s.lines.index_type || array.size() != s.lines.nnz) {
      raise("FormatError", "positions must have the dtype of indices and their length");
    }
    s.positions = array.data();
    stored = s.values.first.cols;
  }
  const bool adjacent = s.values.first.col_stride == 1 || s.values.first.cols <= 1;
  if (s.values.first.rows != 1 || s.values.first.cols < stored || !adjacent || indices.size() < s.lines.nnz ||
      from.first.rows != minor || to.first.rows != s.lines.major || from.first.cols != to.first.cols ||
      !same_axes(s.values, to) || !same_axes(from, to) || !is_writeable(out.ptr())) {
    raise("ShapeError", "csr_values: shapes do not fit together");
  }
  const KernelId id = to.first.cols == 1 ? KernelId::csr_vector : KernelId::csr_rowwise;
  const Isa highest = isa_or_best(isa);
  const int limit = parallel::limit();
  Status status;
  {
    const ReleaseGil released;
    status = run_values(id, s, sparse_is_left, highest, from, to, std::min(threads, limit));
  }
  if (status != Status::ok) throw std::bad_alloc();
}

}  // namespace

void add_stacks(py::module_& m) {
  m.def("csr_values", &csr_values, py::arg("isa"), py::arg("indptr"), py::arg("indices"),
        py::arg("positions"), py::arg("values"), py::arg("x"), py::arg("out"), py::arg("minor"),
        py::arg("sparse_is_left"), py::arg("threads"));
}

}  // namespace deepgemm::bindings
