#include "bindings/arrays.h"

#include <chrono>
#include <thread>

namespace deepgemm::bindings {

bool has_element_strides(PyObject* array, std::int64_t item_size) {
  const auto& f = fields(array);
  if ((f.flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return false;
  for (int d = 0; d < f.nd; ++d) {
    if (f.strides[d] % item_size != 0) return false;
  }
  return true;
}

DType dtype_of(const py::array& array, const char* name) {
  const py::dtype dtype = array.dtype();
  const bool native = dtype.byteorder() == '=' || dtype.byteorder() == '|';
  if (native && dtype.kind() == 'f' && dtype.itemsize() == 4) return DType::f32;
  if (native && dtype.kind() == 'f' && dtype.itemsize() == 8) return DType::f64;
  if (native && dtype.kind() == 'c' && dtype.itemsize() == 8) return DType::c64;
  if (native && dtype.kind() == 'c' && dtype.itemsize() == 16) return DType::c128;
  raise("DTypeError", std::string(name) + " has dtype " + py::str(dtype).cast<std::string>() +
                          ", expected native float32, float64, complex64 or complex128");
}

IndexType index_type_of(const py::array& array, const char* name) {
  const py::dtype dtype = array.dtype();
  const bool native = dtype.byteorder() == '=' || dtype.byteorder() == '|';
  if (native && dtype.kind() == 'i' && dtype.itemsize() == 4) return IndexType::i32;
  if (native && dtype.kind() == 'i' && dtype.itemsize() == 8) return IndexType::i64;
  raise("DTypeError", std::string(name) + " has dtype " + py::str(dtype).cast<std::string>() +
                          ", expected native int32 or int64");
}

void require_contiguous(const py::array& array, const char* name) {
  if (array.ndim() != 1 || (array.size() > 1 && array.strides(0) != array.itemsize())) {
    raise("FormatError", std::string(name) + " must be a contiguous 1-D array");
  }
}

DenseView view_of(PyObject* array, std::int64_t item_size, bool vector_is_row) {
  const auto& f = fields(array);
  if (f.nd == 2) {
    return {f.data, f.dimensions[0], f.dimensions[1], f.strides[0] / item_size, f.strides[1] / item_size};
  }
  const std::int64_t n = f.dimensions[0], stride = f.strides[0] / item_size;
  return vector_is_row ? DenseView{f.data, 1, n, 1, stride} : DenseView{f.data, n, 1, stride, 1};
}

Stack stack_of(PyObject* array, std::int64_t item_size) {
  const auto& f = fields(array);
  const int last = f.nd - 2;
  Stack stack;
  stack.first = {f.data, f.dimensions[last], f.dimensions[last + 1], f.strides[last] / item_size,
                 f.strides[last + 1] / item_size};
  for (int d = 0; d < last; ++d) stack.axes.push_back({f.dimensions[d], f.strides[d] / item_size});
  return stack;
}

ReleaseGil::~ReleaseGil() {
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

void raise(const char* error, const std::string& message) {
  const py::object type = py::module_::import("deepgemm.errors").attr(error);
  PyErr_SetString(type.ptr(), message.c_str());
  throw py::error_already_set();
}

std::string shape_text(PyObject* array) {
  return py::str(py::reinterpret_borrow<py::object>(array).attr("shape")).cast<std::string>();
}

}  // namespace deepgemm::bindings
