// Runner, the base class of Plan, as a Python type: one call checks everything, runs the kernel and keeps the
// account.
//
// A raw CPython type: argument handling through pybind11 would cost as much as a small product.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "bindings/runner_state.h"
#include "bindings/terms.h"

namespace deepgemm::bindings {
namespace {

struct RunnerObject {
  PyObject_HEAD RunnerState* state;
};

RunnerState* state_of(PyObject* self) { return reinterpret_cast<RunnerObject*>(self)->state; }

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
    RunnerState* s = state_of(self);
    if (s == nullptr) throw std::runtime_error("this plan is not bound to operands");
    PyObject* out = nullptr;
    py::object c = py::none(), beta = py::none();
    if (kwargs != nullptr) {
      Py_ssize_t position = 0;
      PyObject *key = nullptr, *value = nullptr;
      while (PyDict_Next(kwargs, &position, &key, &value) != 0) {
        if (PyUnicode_CompareWithASCIIString(key, "out") == 0) {
          out = value == Py_None ? nullptr : value;
        } else if (PyUnicode_CompareWithASCIIString(key, "C") == 0) {
          c = py::reinterpret_borrow<py::object>(value);
        } else if (PyUnicode_CompareWithASCIIString(key, "beta") == 0) {
          beta = py::reinterpret_borrow<py::object>(value);
        } else {
          PyErr_Format(PyExc_TypeError, "a plan takes one operand, out=, C= and beta=, got the keyword %R",
                       key);
          throw py::error_already_set();
        }
      }
    }
    if (PyTuple_GET_SIZE(args) != 1) {
      PyErr_Format(PyExc_TypeError, "a plan takes one operand, out=, C= and beta=, got %zd operands",
                   PyTuple_GET_SIZE(args));
      throw py::error_already_set();
    }
    py::object other = py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(args, 0));
    if (!is_array(other.ptr())) other = py::module_::import("numpy").attr("asarray")(other);
    if (!is_plain_array(other.ptr()) &&
        py::isinstance(other, py::module_::import("numpy").attr("ma").attr("MaskedArray"))) {
      raise("DTypeError", s->operation + ": " + s->other_name +
                              " is a masked array; fill it first, for example with .filled(0)");
    }
    check_other(*s, other.ptr());
    if (out != nullptr) check_out(*s, out, other.ptr());
    return multiply(*s, other.ptr(), out, checked_addend(*s, c, beta, out));
  });
}

// The operator's short cut: NotImplemented sends the caller to the planner.
PyObject* attempt(PyObject* self, PyObject* other) {
  RunnerState* s = state_of(self);
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
    auto s = std::make_unique<RunnerState>();
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
    s->apart = get_or(options, "apart", s->guards);
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
    s->place = get_or<py::object>(options, "place", py::none());
    s->refusal = get_or<std::string>(options, "refusal", "");
    s->ending_owner = get_or<py::object>(options, "ending", py::none());
    const auto size = static_cast<std::int64_t>(size_of(s->dtype));
    s->ending = Terms(s->ending_owner).stacked(s->dtype, [&](PyObject* term) {
      return stack_of_result(*s, term, size);
    });
    RunnerObject* object = reinterpret_cast<RunnerObject*>(self);
    // Another thread may be inside the kernel of the old state.
    if (object->state != nullptr) throw std::runtime_error("Runner._bind: already bound");
    object->state = s.release();
    return py::none();
  });
}

PyObject* account(PyObject* self, void*) {
  return guarded_call([&]() -> py::object {
    const RunnerState* s = state_of(self);
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
  if (const RunnerState* s = state_of(self)) {
    Py_VISIT(s->callback.ptr());
    Py_VISIT(s->product_owner.ptr());
    Py_VISIT(s->fallback_owner.ptr());
    Py_VISIT(s->guards.ptr());
    Py_VISIT(s->apart.ptr());
    Py_VISIT(s->ending_owner.ptr());
    Py_VISIT(s->place.ptr());
  }
  return 0;
}

int clear(PyObject* self) {
  RunnerState* s = state_of(self);
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
