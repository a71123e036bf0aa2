// Between NumPy arrays and the core's views of memory.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <optional>
#include <string>

#include "core/stack.h"
#include "core/types.h"

namespace deepgemm::bindings {

namespace py = pybind11;

// Direct sight of an array's fields: no reference counting, no Python calls.
inline const py::detail::PyArray_Proxy& fields(PyObject* array) { return *py::detail::array_proxy(array); }
inline bool is_array(PyObject* object) { return py::detail::npy_api::get().PyArray_Check_(object); }
inline bool is_plain_array(PyObject* object) {
  return reinterpret_cast<PyObject*>(Py_TYPE(object)) ==
         reinterpret_cast<PyObject*>(py::detail::npy_api::get().PyArray_Type_);
}
inline bool is_writeable(PyObject* array) {
  return (fields(array).flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
}

// Aligned, and every stride a multiple of the item size: what a view with element strides can say.
bool has_element_strides(PyObject* array, std::int64_t item_size);

// The raising kind, for arguments that Python code of this package hands over.
DType dtype_of(const py::array& array, const char* name);
IndexType index_type_of(const py::array& array, const char* name);
void require_contiguous(const py::array& array, const char* name);

// The half-open range of addresses that an array touches.
std::array<const char*, 2> extent(PyObject* array);

// A new array in C order.
py::object new_array(const py::dtype& dtype, const py::ssize_t* shape, std::size_t axes);

// A view of a 1-D or 2-D array; a 1-D array becomes a row or a column.
DenseView view_of(PyObject* array, std::int64_t item_size, bool vector_is_row);
// The matrices of the last two axes of an array; one without further axes is a stack of one.
Stack stack_of(PyObject* array, std::int64_t item_size);

// Lets other Python threads run while a kernel does. Unlike pybind11's class it survives a thread that
// comes back while the interpreter shuts down: CPython then ends the thread by unwinding its stack,
// which would meet a noexcept destructor and abort the process. Here the thread waits for the end of the
// process instead, as it does in Python 3.14.
class ReleaseGil {
 public:
  ReleaseGil() : state_(PyEval_SaveThread()) {}
  ~ReleaseGil();
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

// A dense operand of that dtype; raises where element strides cannot express it.
DenseView dense_view(const py::array& array, DType dtype);

// The storage dtype of an array or result, narrow ones included.
DType stored_dtype(const py::dtype& dtype);
std::optional<DType> find_stored_dtype(const py::dtype& dtype);
const char* name_of(DType dtype);

// Raises the class of that name in deepgemm.errors.
[[noreturn]] void raise(const char* error, const std::string& message);
std::string shape_text(PyObject* array);

}  // namespace deepgemm::bindings
