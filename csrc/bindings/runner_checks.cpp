// What a plan checks of its operands at each call: nothing that a caller hands over reaches a kernel unseen.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "bindings/runner_state.h"

namespace deepgemm::bindings {

bool same_shape(PyObject* array, const std::vector<py::ssize_t>& shape) {
  const auto& f = fields(array);
  return f.nd == static_cast<int>(shape.size()) && std::equal(shape.begin(), shape.end(), f.dimensions);
}

bool same_dtype(PyObject* array, const py::dtype& dtype) {
  const PyObject* descr = fields(array).descr;
  return descr == dtype.ptr() ||
         py::detail::npy_api::get().PyArray_EquivTypes_(fields(array).descr, dtype.ptr());
}

namespace {

std::string tuple_text(const std::vector<py::ssize_t>& shape) {
  return py::str(py::tuple(py::cast(shape))).cast<std::string>();
}

bool overlap(PyObject* a, PyObject* b) {
  const auto x = extent(a), y = extent(b);
  if (x[0] >= y[1] || y[0] >= x[1]) return false;
  // Ranges of strided arrays may interleave without a common element. The exact question can take
  // exponential time, so NumPy answers it within bounds, and "do not know" counts as yes.
  try {
    return py::module_::import("numpy")
        .attr("shares_memory")(py::handle(a), py::handle(b), py::arg("max_work") = 10000)
        .cast<bool>();
  } catch (py::error_already_set&) {
    return true;
  }
}

}  // namespace

void check_other(const RunnerState& s, PyObject* other) {
  if (!same_shape(other, s.other_shape)) {
    raise("ShapeError", s.operation + ": this plan expects " + s.other_name + " of shape " +
                            tuple_text(s.other_shape) + ", got " + shape_text(other));
  }
  if (!same_dtype(other, s.other_dtype)) {
    raise("DTypeError", s.operation + ": this plan expects " + s.other_name + " of dtype " +
                            py::str(s.other_dtype).cast<std::string>() + ", got " +
                            py::str(py::reinterpret_borrow<py::array>(other).dtype()).cast<std::string>());
  }
}

void check_out(const RunnerState& s, PyObject* out, PyObject* other) {
  if (!is_array(out)) {
    raise("DTypeError",
          s.operation + ": out must be a numpy.ndarray, got " + std::string(Py_TYPE(out)->tp_name));
  }
  if (!same_shape(out, s.out_shape)) {
    raise("ShapeError",
          s.operation + ": out has shape " + shape_text(out) + ", expected " + tuple_text(s.out_shape));
  }
  if (!same_dtype(out, s.out_dtype)) {
    raise("DTypeError", s.operation + ": out has dtype " +
                            py::str(py::reinterpret_borrow<py::array>(out).dtype()).cast<std::string>() +
                            ", expected " + py::str(s.out_dtype).cast<std::string>());
  }
  if (!is_writeable(out)) raise("FormatError", s.operation + ": out is read-only");
  if (overlap(out, other)) {
    raise("FormatError",
          s.operation + ": out shares memory with " + s.other_name + "; pass a separate array");
  }
  for (const py::handle array : s.apart) {
    if (overlap(out, array.ptr())) {
      raise("FormatError",
            s.operation + ": out shares memory with " + s.fixed_name + "; pass a separate array");
    }
  }
  const auto& f = fields(out);
  const bool empty = std::find(f.dimensions, f.dimensions + f.nd, 0) != f.dimensions + f.nd;
  for (int d = 0; d < f.nd && !empty; ++d) {
    if (f.strides[d] == 0 && f.dimensions[d] > 1) {
      raise("FormatError", s.operation + ": out has elements that share memory (stride 0)");
    }
  }
}

namespace {

bool has_real_dtype(PyObject* array, DType dtype) {
  const auto* descr = reinterpret_cast<const py::detail::PyArrayDescr_Proxy*>(fields(array).descr);
  const int wanted = dtype == DType::f32   ? static_cast<int>(py::detail::npy_api::NPY_FLOAT_)
                     : dtype == DType::f64 ? static_cast<int>(py::detail::npy_api::NPY_DOUBLE_)
                                           : -1;
  return descr->byteorder == '=' && descr->type_num == wanted;
}

}  // namespace

Addend checked_addend(const RunnerState& s, const py::object& c, const py::object& beta, PyObject* out) {
  if (c.is_none() && beta.is_none()) return {};
  if (c.is_none()) {
    const std::string given = py::repr(beta).cast<std::string>();
    PyErr_SetString(PyExc_ValueError,
                    (s.operation + ": beta is " + given + " but there is no C for it to scale").c_str());
    throw py::error_already_set();
  }
  if (!s.refusal.empty()) raise("UnsupportedError", s.operation + ": " + s.refusal);
  Addend addend{c, beta};
  if (!beta.is_none() && PyFloat_AsDouble(beta.ptr()) == -1.0 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    raise("DTypeError",
          s.operation + ": beta is " + py::repr(beta).cast<std::string>() + ", expected a real number");
  }
  const bool stands = is_plain_array(c.ptr()) && has_real_dtype(c.ptr(), s.dtype) &&
                      same_shape(c.ptr(), s.out_shape) &&
                      has_element_strides(c.ptr(), static_cast<std::int64_t>(size_of(s.dtype)));
  if (!stands && !s.place.is_none()) addend.array = s.place(c);
  // C may be a view of its memory that is no array yet, such as a memoryview.
  for (const py::object& array : {c, addend.array}) {
    if (out != nullptr && is_array(array.ptr()) && overlap(out, array.ptr())) {
      raise("FormatError", s.operation + ": out shares memory with C; pass a separate array");
    }
  }
  return addend;
}

}  // namespace deepgemm::bindings
