// Entries in another order: the transpose of a compressed structure, coordinates sorted into rows.
#include "core/transpose.h"

#include "bindings/bound.h"
#include "core/parallel.h"

namespace deepgemm::bindings {
namespace {

std::size_t movable_size(const py::array& values) {
  require_contiguous(values, "data");
  const auto size = values.itemsize();
  if (size != 1 && size != 2 && size != 4 && size != 8 && size != 16) {
    raise("DTypeError", "data has items of " + std::to_string(size) + " bytes, expected 1, 2, 4, 8 or 16");
  }
  return static_cast<std::size_t>(size);
}

py::array uninitialised(const py::dtype& dtype, std::int64_t size) {
  return py::array(dtype, std::vector<py::ssize_t>{size});
}

// (indptr, other, moved) of entries whose values, unless None, are `values`.
py::tuple sorted_by_key(Entries entries, const py::dtype& index, const py::object& values) {
  py::dtype moved_dtype = index;
  if (!values.is_none()) {
    const auto array = values.cast<py::array>();
    entries.size = movable_size(array);
    entries.values = array.data();
    if (array.size() < entries.count) raise("FormatError", "data is shorter than the indices");
    moved_dtype = array.dtype();
  }
  py::array indptr = uninitialised(index, entries.keys + 1), other = uninitialised(index, entries.count),
            moved = uninitialised(moved_dtype, entries.count);
  Status status;
  {
    void *a = indptr.mutable_data(), *b = other.mutable_data(), *c = moved.mutable_data();
    const ReleaseGil released;
    status = sort_by_key(entries, a, b, c, parallel::limit());
  }
  if (status != Status::ok) throw std::bad_alloc();
  return py::make_tuple(indptr, other, moved);
}

py::tuple transpose(const py::array& indptr, const py::array& indices, std::int64_t minor,
                    const py::object& values) {
  const CompressedView view = compressed_view(indptr, indices, nullptr, minor);
  Entries entries;
  entries.index_type = view.index_type;
  entries.count = view.nnz;
  entries.keys = minor;
  entries.key = view.indices;
  entries.indptr = view.indptr;
  entries.lines = view.major;
  return sorted_by_key(entries, indptr.dtype(), values);
}

py::tuple compress(const py::array& major, const py::array& minor, std::int64_t n_major,
                   const py::object& values) {
  require_contiguous(major, "major");
  require_contiguous(minor, "minor");
  Entries entries;
  entries.index_type = index_type_of(major, "major");
  if (index_type_of(minor, "minor") != entries.index_type || minor.size() != major.size()) {
    raise("FormatError", "major and minor must have one dtype and length");
  }
  entries.count = major.size();
  entries.keys = n_major;
  entries.key = major.data();
  entries.other = minor.data();
  return sorted_by_key(entries, major.dtype(), values);
}

py::array gather_values(const py::array& values, const py::array& positions) {
  const std::size_t size = movable_size(values);
  require_contiguous(positions, "positions");
  const IndexType type = index_type_of(positions, "positions");
  py::array out = uninitialised(values.dtype(), positions.size());
  {
    const void *from = values.data(), *where = positions.data();
    const std::int64_t count = positions.size();
    void* to = out.mutable_data();
    const ReleaseGil released;
    gather(from, where, type, count, size, to, parallel::limit());
  }
  return out;
}

}  // namespace

void add_transpose(py::module_& m) {
  m.def("transpose", &transpose, py::arg("indptr"), py::arg("indices"), py::arg("minor"),
        py::arg("values") = py::none());
  m.def("compress", &compress, py::arg("major"), py::arg("minor"), py::arg("n_major"),
        py::arg("values") = py::none());
  m.def("gather", &gather_values, py::arg("values"), py::arg("positions"));
}

}  // namespace deepgemm::bindings
