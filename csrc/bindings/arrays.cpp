#include "bindings/arrays.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>

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

std::array<const char*, 2> extent(PyObject* array) {
  const auto& f = fields(array);
  const char *low = f.data, *high = f.data;
  for (int d = 0; d < f.nd; ++d) {
    if (f.dimensions[d] == 0) return {f.data, f.data};
    const auto reach = (f.dimensions[d] - 1) * f.strides[d];
    (reach < 0 ? low : high) += reach;
  }
  return {low, high + py::reinterpret_borrow<py::array>(array).itemsize()};
}

py::object new_array(const py::dtype& dtype, const py::ssize_t* shape, std::size_t axes) {
  auto& api = py::detail::npy_api::get();
  Py_INCREF(dtype.ptr());  // PyArray_NewFromDescr steals it
  PyObject* array = api.PyArray_NewFromDescr_(reinterpret_cast<PyTypeObject*>(api.PyArray_Type_), dtype.ptr(),
                                              static_cast<int>(axes), const_cast<Py_intptr_t*>(shape),
                                              nullptr, nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(array);
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

DenseView dense_view(const py::array& array, DType dtype) {
  const std::int64_t size = static_cast<std::int64_t>(size_of(dtype));
  if (array.ndim() < 1 || array.ndim() > 2 || !has_element_strides(array.ptr(), size)) {
    raise("FormatError", "expected an aligned 1-D or 2-D array");
  }
  return view_of(array.ptr(), size, false);
}

namespace {

constexpr std::pair<const char*, DType> kNames[] = {{"float32", DType::f32},
                                                    {"float64", DType::f64},
                                                    {"complex64", DType::c64},
                                                    {"complex128", DType::c128},
                                                    {"float16", DType::f16},
                                                    {"bfloat16", DType::bf16},
                                                    {"float8_e4m3fn", DType::f8e4m3},
                                                    {"float8_e5m2", DType::f8e5m2},
                                                    {"int8", DType::i8},
                                                    {"uint8", DType::u8},
                                                    {"int32", DType::i32},
                                                    {"int64", DType::i64}};
constexpr int kNumPyHalf = 23;  // which pybind11's list leaves out

// NumPy's own types, by their codes, which never change. The name of a dtype takes a microsecond.
std::optional<DType> numpy_dtype(const py::dtype& dtype) {
  if (dtype.byteorder() != '=' && dtype.byteorder() != '|') return std::nullopt;
  using Api = py::detail::npy_api;
  switch (dtype.num()) {
    case Api::NPY_FLOAT_:
      return DType::f32;
    case Api::NPY_DOUBLE_:
      return DType::f64;
    case Api::NPY_BYTE_:
      return DType::i8;
    case Api::NPY_UBYTE_:
      return DType::u8;
    case kNumPyHalf:
      return DType::f16;
    default:
      return std::nullopt;
  }
}

}  // namespace

// By name where need be, because ml_dtypes' types have no code of their own.
std::optional<DType> find_stored_dtype(const py::dtype& dtype) {
  if (const std::optional<DType> known = numpy_dtype(dtype)) return known;
  const std::string name = py::str(dtype).cast<std::string>();
  for (const auto& [known, value] : kNames) {
    if (name == known) return value;
  }
  return std::nullopt;
}

DType stored_dtype(const py::dtype& dtype) {
  const std::optional<DType> found = find_stored_dtype(dtype);
  if (!found) raise("DTypeError", "no native kernel reads " + py::str(dtype).cast<std::string>());
  return *found;
}

const char* name_of(DType dtype) {
  for (const auto& [name, known] : kNames) {
    if (dtype == known) return name;
  }
  return "";
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
