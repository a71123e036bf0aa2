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

// Multiplies a matrix or a vector. A kernel that stores last does what follows by itself.
Status run_single(const RunnerState& s, PyObject* other, PyObject* target, const Epilogue& given,
                  int threads) {
  DenseView x = view_of(other, s.other_size, !s.other_is_right);
  DenseView y = view_of(target, s.out_size, !s.other_is_right);
  Epilogue terms = given;
  if (s.transposed) {
    x = x.transposed();
    y = y.transposed();
    terms = terms.transposed();
  }
  const bool crosses = s.fallback == nullptr || dense::all_finite(x, s.dtype, threads);
  const Product& product = *(crosses ? s.product : s.fallback);
  if (terms.empty()) return product.run(x, y, threads);
  if (const auto whole = product.with_epilogue(terms)) return whole->run(x, y, threads);
  const Status status = product.run(x, y, threads);
  if (status == Status::ok) finish(y, y, GemmTypes::all(s.dtype), terms, product.isa(), threads);
  return status;
}

// Multiplies each matrix of an operand with leading axes.
Status run_stacked(const RunnerState& s, PyObject* other, PyObject* target, const StackedTerms& terms,
                   int threads) {
  const std::size_t size = size_of(s.dtype);
  Stack x = stack_of(other, s.other_size), y = stack_of(target, s.out_size);
  const Stack result = y;
  if (s.transposed) {
    x = x.transposed();
    y = y.transposed();
  }
  bool crosses = true;
  for (std::int64_t b = 0; s.fallback != nullptr && crosses && b < x.count(); ++b) {
    crosses = dense::all_finite(x.at(b, size), s.dtype, threads);
  }
  const Product& product = *(crosses ? s.product : s.fallback);
  // The kernel's own sides: products that work on transposes have rows where the caller has columns.
  const bool rows = s.other_is_right == s.transposed;
  const StackOptions options{static_cast<std::size_t>(s.other_size), static_cast<std::size_t>(s.out_size),
                             s.fold && !rows, s.fold && rows, s.share_members};
  const Status status = run_stack(product, x, y, options, threads);
  if (status == Status::ok && !terms.terms.empty()) {
    finish_stack(result, s.dtype, terms, product.isa(), threads);
  }
  return status;
}

// What follows this one product.
StackedTerms ending_of(const RunnerState& s, const Addend& addend) {
  StackedTerms terms = s.ending;
  if (!addend.array) return terms;
  terms.addend = stack_of_result(s, addend.array.ptr(), static_cast<std::int64_t>(size_of(s.dtype)));
  terms.terms.addend = terms.addend.first;
  if (!addend.beta.is_none()) {
    const double beta = PyFloat_AsDouble(addend.beta.ptr());
    terms.terms.beta = s.dtype == DType::f32 ? static_cast<float>(beta) : beta;
  }
  return terms;
}

py::object run_native(RunnerState& s, PyObject* other, PyObject* out, const Addend& addend) {
  const StackedTerms ending = ending_of(s, addend);
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
    status = s.other_shape.size() > 2 ? run_stacked(s, other, target, ending, threads)
                                      : run_single(s, other, target, ending.terms, threads);
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

Stack stack_of_result(const RunnerState& s, PyObject* array, std::int64_t item_size) {
  return s.other_shape.size() > 2 ? stack_of(array, item_size)
                                  : Stack{view_of(array, item_size, !s.other_is_right), {}};
}

py::object multiply(RunnerState& s, PyObject* other, PyObject* out, const Addend& addend) {
  if (!s.guarded.empty() && s.fingerprint_now() != s.seen) {
    raise("StaleDataError",
          s.operation + ": the memory of " + s.fixed_name +
              " was changed after the array was made; make a new array, or use with_data()");
  }
  if (s.product != nullptr) return run_native(s, other, out, addend);
  const auto start = std::chrono::steady_clock::now();
  const py::handle target = out != nullptr ? py::handle(out) : py::none();
  py::object result = addend.array ? s.callback(py::handle(other), target, addend.array, addend.beta)
                                   : s.callback(py::handle(other), target);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  s.record(seconds);
  return result;
}

}  // namespace deepgemm::bindings
