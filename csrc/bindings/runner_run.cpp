// Runs a bound plan: a native product without the GIL, or the callback of another provider, timed.
#include <algorithm>
#include <chrono>

#include "bindings/runner_state.h"
#include "core/dense.h"
#include "core/parallel.h"
#include "core/stack.h"

namespace deepgemm::bindings {
namespace {

py::object new_array(const py::dtype& dtype, const std::vector<py::ssize_t>& shape) {
  return bindings::new_array(dtype, shape.data(), shape.size());
}

// Multiplies a matrix or a vector.
Status run_single(const RunnerState& s, PyObject* other, PyObject* target, int threads) {
  DenseView x = view_of(other, s.other_size, !s.other_is_right);
  DenseView y = view_of(target, s.out_size, !s.other_is_right);
  if (s.transposed) {
    x = x.transposed();
    y = y.transposed();
  }
  const bool crosses = s.fallback == nullptr || dense::all_finite(x, s.dtype, threads);
  return (crosses ? s.product : s.fallback)->run(x, y, threads);
}

// Multiplies each matrix of an operand with leading axes.
Status run_stacked(const RunnerState& s, PyObject* other, PyObject* target, int threads) {
  const std::size_t size = size_of(s.dtype);
  Stack x = stack_of(other, static_cast<std::int64_t>(size)),
        y = stack_of(target, static_cast<std::int64_t>(size));
  if (s.transposed) {
    x = x.transposed();
    y = y.transposed();
  }
  bool crosses = true;
  for (std::int64_t b = 0; s.fallback != nullptr && crosses && b < x.count(); ++b) {
    crosses = dense::all_finite(x.at(b, size), s.dtype, threads);
  }
  return run_stack(*(crosses ? s.product : s.fallback), x, y, {size, s.fold, s.share_members}, threads);
}

py::object run_native(RunnerState& s, PyObject* other, PyObject* out) {
  py::object result =
      out != nullptr ? py::reinterpret_borrow<py::object>(out) : new_array(s.out_dtype, s.out_shape);
  // What element strides cannot express (unaligned or odd-strided memory) goes through a copy.
  py::object other_copy, result_copy;
  if (!has_element_strides(other, s.other_size)) {
    other_copy = py::module_::import("numpy").attr("array")(py::handle(other), py::arg("order") = "C");
    other = other_copy.ptr();
  }
  PyObject* target = result.ptr();
  if (!has_element_strides(target, s.out_size)) {
    result_copy = new_array(s.out_dtype, s.out_shape);
    target = result_copy.ptr();
  }
  const int limit = parallel::limit();
  const int threads = s.threads > 0 ? std::min(s.threads, limit) : limit;
  Status status;
  double seconds;
  {
    const ReleaseGil released;
    const auto start = std::chrono::steady_clock::now();
    status = s.other_shape.size() > 2 ? run_stacked(s, other, target, threads)
                                      : run_single(s, other, target, threads);
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (status != Status::ok) {
    PyErr_SetString(PyExc_MemoryError, (s.operation + ": no memory left for the workspace").c_str());
    throw py::error_already_set();
  }
  s.record(seconds);
  if (result_copy) py::module_::import("numpy").attr("copyto")(result, result_copy);
  return result;
}

}  // namespace

py::object multiply(RunnerState& s, PyObject* other, PyObject* out) {
  if (!s.guarded.empty() && s.fingerprint_now() != s.seen) {
    raise("StaleDataError",
          s.operation + ": the memory of " + s.fixed_name +
              " was changed after the array was made; make a new array, or use with_data()");
  }
  if (s.product != nullptr) return run_native(s, other, out);
  const auto start = std::chrono::steady_clock::now();
  py::object result = s.callback(py::handle(other), out != nullptr ? py::handle(out) : py::none());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  s.record(seconds);
  return result;
}

}  // namespace deepgemm::bindings
