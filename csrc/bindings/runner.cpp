// Runner, the base class of Plan: one call checks everything, runs the kernel and keeps the account.
//
// A raw CPython type: argument handling through pybind11 would cost as much as a small product.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "bindings/bound.h"
#include "core/dense.h"
#include "core/fingerprint.h"
#include "core/parallel.h"
#include "core/stack.h"

namespace deepgemm::bindings {
namespace {

struct Guard {
  const void* data;
  std::int64_t items, item_size;
};

struct State {
  py::object product_owner, fallback_owner, callback;
  const Product* product = nullptr;
  const Product* fallback = nullptr;
  bool other_is_right = true;
  bool transposed = false;
  bool fold = false, share_members = false;  // see core/stack.h; of operands with more than two axes
  DType dtype = DType::f32;
  std::int64_t other_size = 0, out_size = 0;
  int threads = 0;  // 0: as many as the current limit allows

  py::dtype other_dtype, out_dtype;
  std::vector<py::ssize_t> other_shape, out_shape;

  py::tuple guards;
  std::vector<Guard> guarded;
  bool full_check = false;
  std::uint64_t seen = 0;  // the fingerprint when the plan was made

  std::string operation, fixed_name, other_name;

  // The seconds of what could run instead and those expected of this one; and what may be lost against the
  // former, and taken at all, before the planner is asked again (planner/account.py).
  double best = 0.0, expected = 0.0;
  double price = std::numeric_limits<double>::infinity(), look = std::numeric_limits<double>::infinity();
  double fastest = std::numeric_limits<double>::infinity();
  std::int64_t calls = 0;
  std::int64_t members = 1;  // products that one call counts as: those of a stack, unless it is folded

  void record(double seconds) {
    calls += members;
    fastest = std::min(fastest, seconds / static_cast<double>(members));
  }

  // Counted by the fastest call, because what disturbs the others is no fault of the kernel. Where that is
  // faster than expected, what could run instead gets the same benefit.
  double lost() const {
    if (calls == 0) return 0.0;
    const double hope = fastest < expected ? fastest / expected : 1.0;
    return static_cast<double>(calls) * std::max(0.0, fastest - best * hope);
  }

  bool due() const {
    constexpr std::int64_t kLeastCalls = 3;  // the fastest of so many is rarely disturbed
    return calls >= kLeastCalls && (lost() > price || static_cast<double>(calls) * fastest > look);
  }

  std::uint64_t fingerprint_now() const {
    std::uint64_t state = 0;
    for (const Guard& g : guarded) {
      state = full_check ? full_fingerprint(g.data, g.items, g.item_size, state)
                         : fingerprint(g.data, g.items, g.item_size, state);
    }
    return state;
  }
};

struct RunnerObject {
  PyObject_HEAD State* state;
};

State* state_of(PyObject* self) { return reinterpret_cast<RunnerObject*>(self)->state; }

bool same_shape(PyObject* array, const std::vector<py::ssize_t>& shape) {
  const auto& f = fields(array);
  return f.nd == static_cast<int>(shape.size()) && std::equal(shape.begin(), shape.end(), f.dimensions);
}

bool same_dtype(PyObject* array, const py::dtype& dtype) {
  const PyObject* descr = fields(array).descr;
  return descr == dtype.ptr() ||
         py::detail::npy_api::get().PyArray_EquivTypes_(fields(array).descr, dtype.ptr());
}

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

void check_other(const State& s, PyObject* other) {
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

void check_out(const State& s, PyObject* out, PyObject* other) {
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
  for (const py::handle guard : s.guards) {
    if (overlap(out, guard.ptr())) {
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

py::object new_array(const py::dtype& dtype, const std::vector<py::ssize_t>& shape) {
  return bindings::new_array(dtype, shape.data(), shape.size());
}

// Multiplies a matrix or a vector.
Status run_single(const State& s, PyObject* other, PyObject* target, int threads) {
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
Status run_stacked(const State& s, PyObject* other, PyObject* target, int threads) {
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

py::object run_native(State& s, PyObject* other, PyObject* out) {
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

py::object multiply(State& s, PyObject* other, PyObject* out) {
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

// Runs `body` and turns C++ exceptions into Python ones.
template <class Body>
PyObject* guarded_call(const Body& body) {
  try {
    return body().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* call(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded_call([&]() -> py::object {
    State* s = state_of(self);
    if (s == nullptr) throw std::runtime_error("this plan is not bound to operands");
    PyObject* out = nullptr;
    if (kwargs != nullptr) {
      Py_ssize_t position = 0;
      PyObject *key = nullptr, *value = nullptr;
      while (PyDict_Next(kwargs, &position, &key, &value) != 0) {
        if (PyUnicode_CompareWithASCIIString(key, "out") != 0) {
          PyErr_Format(PyExc_TypeError, "a plan takes one operand and out=, got the keyword %R", key);
          throw py::error_already_set();
        }
        out = value == Py_None ? nullptr : value;
      }
    }
    if (PyTuple_GET_SIZE(args) != 1) {
      PyErr_Format(PyExc_TypeError, "a plan takes one operand and out=, got %zd operands",
                   PyTuple_GET_SIZE(args));
      throw py::error_already_set();
    }
    py::object other = py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(args, 0));
    if (!is_array(other.ptr())) other = py::module_::import("numpy").attr("asarray")(other);
    check_other(*s, other.ptr());
    if (out != nullptr) check_out(*s, out, other.ptr());
    return multiply(*s, other.ptr(), out);
  });
}

// The operator's short cut: NotImplemented sends the caller to the planner.
PyObject* attempt(PyObject* self, PyObject* other) {
  State* s = state_of(self);
  if (s == nullptr || !is_plain_array(other) || !same_shape(other, s->other_shape) ||
      !same_dtype(other, s->other_dtype) || s->due()) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  return guarded_call([&] { return multiply(*s, other, nullptr); });
}

template <class T>
T get(const py::dict& options, const char* key) {
  if (!options.contains(key)) throw py::type_error(std::string("Runner._bind: missing ") + key);
  return options[key].cast<T>();
}

template <class T>
T get_or(const py::dict& options, const char* key, T usual) {
  return options.contains(key) ? options[key].cast<T>() : std::move(usual);
}

PyObject* bind(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded_call([&]() -> py::object {
    if (PyTuple_GET_SIZE(args) != 0 || kwargs == nullptr)
      throw py::type_error("Runner._bind takes keywords only");
    const py::dict options = py::reinterpret_borrow<py::dict>(kwargs);
    auto s = std::make_unique<State>();
    s->product_owner = get<py::object>(options, "product");
    s->fallback_owner = get_or<py::object>(options, "fallback", py::none());
    s->callback = get_or<py::object>(options, "callback", py::none());
    if (!s->product_owner.is_none()) {
      const auto& bound = s->product_owner.cast<const BoundProduct&>();
      s->product = bound.product.get();
      s->dtype = bound.dtype;
      s->other_size = static_cast<std::int64_t>(size_of(bound.other));
      s->out_size = static_cast<std::int64_t>(size_of(bound.out));
    } else if (s->callback.is_none()) {
      throw py::type_error("Runner._bind: either product or callback");
    }
    if (!s->fallback_owner.is_none())
      s->fallback = s->fallback_owner.cast<const BoundProduct&>().product.get();
    s->other_is_right = get<std::string>(options, "other_side") == "right";
    s->transposed = get_or(options, "transposed", false);
    s->fold = get_or(options, "fold", false);
    s->share_members = get_or(options, "share_members", false);
    s->members = std::max<std::int64_t>(get_or<std::int64_t>(options, "members", 1), 1);
    s->threads = get_or(options, "threads", 0);
    s->other_shape = get<std::vector<py::ssize_t>>(options, "other_shape");
    s->out_shape = get<std::vector<py::ssize_t>>(options, "out_shape");
    s->other_dtype = py::dtype::from_args(get<py::object>(options, "other_dtype"));
    s->out_dtype = py::dtype::from_args(get<py::object>(options, "out_dtype"));
    s->guards = get_or(options, "guards", py::tuple());
    for (const py::handle guard : s->guards) {
      const auto array = py::reinterpret_borrow<py::array>(guard);
      // Guards are the contiguous parts of a sparse operand; a strided dense operand is not guarded.
      s->guarded.push_back({array.data(), array.size(), array.itemsize()});
    }
    s->full_check = get_or(options, "full_check", false);
    s->seen = s->fingerprint_now();
    const auto names = get<std::array<std::string, 3>>(options, "names");
    s->operation = names[0];
    s->fixed_name = names[1];
    s->other_name = names[2];
    const std::array<double, 4> for_good{s->best, s->expected, s->price, s->look};
    const auto terms = get_or(options, "terms", for_good);
    s->best = terms[0];
    s->expected = terms[1];
    s->price = terms[2];
    s->look = terms[3];
    RunnerObject* object = reinterpret_cast<RunnerObject*>(self);
    // Another thread may be inside the kernel of the old state.
    if (object->state != nullptr) throw std::runtime_error("Runner._bind: already bound");
    object->state = s.release();
    return py::none();
  });
}

PyObject* account(PyObject* self, void*) {
  return guarded_call([&]() -> py::object {
    const State* s = state_of(self);
    if (s == nullptr) throw std::runtime_error("this plan is not bound to operands");
    return py::make_tuple(s->calls, s->lost(), s->fastest, s->due());
  });
}

PyObject* create(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) reinterpret_cast<RunnerObject*>(self)->state = nullptr;
  return self;
}

int accept_any(PyObject*, PyObject*, PyObject*) { return 0; }

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (const State* s = state_of(self)) {
    Py_VISIT(s->callback.ptr());
    Py_VISIT(s->product_owner.ptr());
    Py_VISIT(s->fallback_owner.ptr());
    Py_VISIT(s->guards.ptr());
  }
  return 0;
}

int clear(PyObject* self) {
  State* s = state_of(self);
  reinterpret_cast<RunnerObject*>(self)->state = nullptr;
  delete s;
  return 0;
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef kMethods[] = {
    {"_bind", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(bind)), METH_VARARGS | METH_KEYWORDS,
     "Attach operands, kernel and checks."},
    {"_try", attempt, METH_O, "The product, or NotImplemented where the operand needs a plan of its own."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef kAttributes[] = {
    {"_account", account, nullptr, "(calls, lost seconds, fastest seconds, due)", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot kSlots[] = {{Py_tp_new, reinterpret_cast<void*>(create)},
                        {Py_tp_init, reinterpret_cast<void*>(accept_any)},
                        {Py_tp_call, reinterpret_cast<void*>(call)},
                        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                        {Py_tp_clear, reinterpret_cast<void*>(clear)},
                        {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
                        {Py_tp_methods, kMethods},
                        {Py_tp_getset, kAttributes},
                        {Py_tp_doc, const_cast<char*>("A product that is ready to run; the base of Plan.")},
                        {0, nullptr}};

PyType_Spec kSpec = {"deepgemm._core.Runner", sizeof(RunnerObject), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, kSlots};

}  // namespace

void add_runner(py::module_& module) {
  PyObject* type = PyType_FromSpec(&kSpec);
  if (type == nullptr) throw py::error_already_set();
  module.attr("Runner") = py::reinterpret_steal<py::object>(type);
}

}  // namespace deepgemm::bindings
