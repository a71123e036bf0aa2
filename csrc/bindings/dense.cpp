// Dense products that need no plan: stacks, whose leading axes broadcast, and what is over before a planner
// could have looked at it.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "bindings/bound.h"
#include "bindings/terms.h"
#include "core/dense.h"
#include "core/gemm_stack.h"
#include "core/gemm_thin_args.h"
#include "core/parallel.h"

#if !defined(_WIN32)
extern char** environ;
#endif

namespace deepgemm::bindings {
namespace {

constexpr std::size_t kMostAxes = 64;  // of NumPy's arrays
// A look at so many elements of an operand takes about a hundredth of the time of a product of so many
// multiply-adds; shorter ones are not looked at, by the planner neither.
constexpr std::int64_t kLookedAt = 256;
constexpr std::int64_t kLeastWorkLookedAt = std::int64_t{1} << 26;
// With fewer zeros than half no kernel that skips them is faster; a sample may miss some.
constexpr double kManyZeros = 0.4;
// Multiply-adds that take as long as a plan. Up to so many rows of narrow operands there is something to
// plan.
constexpr std::int64_t kMostUnplanned = std::int64_t{1} << 19;
constexpr std::int64_t kMostNarrowRows = 32;  // of gemm_narrow
// Below this many multiply-adds a kernel is over sooner than another thread could take the interpreter.
constexpr std::int64_t kLeastReleased = std::int64_t{1} << 14;

// How `left @ right` is laid out, by the rules of numpy.matmul.
struct Arranged {
  bool fits = false;
  std::size_t axes = 0;  // of the result
  py::ssize_t shape[kMostAxes];
  Stack left, right;
  std::int64_t work = 1;  // multiply-adds

  Arranged(PyObject* a, PyObject* b, DType a_dtype, DType b_dtype) {
    const auto &x = fields(a), &y = fields(b);
    if (x.nd < 1 || y.nd < 1 || (x.nd == 1 && y.nd == 1)) return;
    left.first = view_of_last(a, a_dtype, true);
    right.first = view_of_last(b, b_dtype, false);
    if (left.first.cols != right.first.rows) return;
    const int x_axes = std::max(x.nd - 2, 0), y_axes = std::max(y.nd - 2, 0),
              leading = std::max(x_axes, y_axes);
    for (int d = 0; d < leading; ++d) {
      const int at_x = d - (leading - x_axes), at_y = d - (leading - y_axes);
      const py::ssize_t in_x = at_x < 0 ? 1 : x.dimensions[at_x], in_y = at_y < 0 ? 1 : y.dimensions[at_y];
      if (in_x != in_y && in_x != 1 && in_y != 1) return;
      const py::ssize_t extent = in_x == 1 ? in_y : in_x;
      const auto stride = [&](const auto& f, int at, py::ssize_t own, DType dtype) -> std::int64_t {
        return own == 1 ? 0 : f.strides[at] / static_cast<py::ssize_t>(size_of(dtype));
      };
      left.axes.push_back({extent, stride(x, at_x, in_x, a_dtype)});
      right.axes.push_back({extent, stride(y, at_y, in_y, b_dtype)});
      shape[axes++] = extent;
      work *= extent;
    }
    work *= left.first.rows * left.first.cols * right.first.cols;
    if (x.nd > 1) shape[axes++] = left.first.rows;
    if (y.nd > 1) shape[axes++] = right.first.cols;
    fits = true;
  }

  // The members of the result, or of an array that was broadcast to its shape; a missing row or column axis
  // has one of them.
  Stack members(PyObject* out, DType dtype) const {
    const auto& f = fields(out);
    const auto stride = [&](std::size_t d) {
      return f.strides[d] / static_cast<py::ssize_t>(size_of(dtype));
    };
    Stack c;
    c.first = {f.data, left.first.rows, right.first.cols, right.first.cols, 1};
    std::size_t d = left.axes.size();
    for (std::size_t i = 0; i < d; ++i) c.axes.push_back({shape[i], stride(i)});
    const bool has_columns = axes - d == 2 || (axes > d && left_is_vector);
    if (axes > d && !left_is_vector) c.first.row_stride = stride(d++);
    if (has_columns) c.first.col_stride = stride(d);
    return c;
  }

 private:
  DenseView view_of_last(PyObject* array, DType dtype, bool is_left) {
    const auto& f = fields(array);
    const std::int64_t size = static_cast<std::int64_t>(size_of(dtype));
    if (f.nd == 1) {
      left_is_vector |= is_left;
      return view_of(array, size, is_left);
    }
    const int row = f.nd - 2, col = f.nd - 1;
    return {f.data, f.dimensions[row], f.dimensions[col], f.strides[row] / size, f.strides[col] / size};
  }

  bool left_is_vector = false;
};

// The dtypes that belong to ml_dtypes, and the numbers that NumPy gave them when they were registered.
struct Registered {
  const char* name;
  DType dtype;
  int number = -1;
};
Registered registered[] = {
    {"bfloat16", DType::bf16}, {"float8_e4m3fn", DType::f8e4m3}, {"float8_e5m2", DType::f8e5m2}};

// The dtype of an array that products read or make, by its number: asking for its name takes microseconds.
bool plain_dtype(PyObject* array, DType& dtype) {
  using Numbers = py::detail::npy_api;
  const auto* descr = reinterpret_cast<const py::detail::PyArrayDescr_Proxy*>(fields(array).descr);
  if (descr->byteorder != '=' && descr->byteorder != '|') return false;
  constexpr int kHalf = 23;  // NPY_HALF
  constexpr std::pair<int, DType> kNumbers[] = {{Numbers::NPY_FLOAT_, DType::f32},
                                                {Numbers::NPY_DOUBLE_, DType::f64},
                                                {kHalf, DType::f16},
                                                {Numbers::NPY_BYTE_, DType::i8},
                                                {Numbers::NPY_UBYTE_, DType::u8},
                                                {Numbers::NPY_CFLOAT_, DType::c64},
                                                {Numbers::NPY_CDOUBLE_, DType::c128},
                                                {Numbers::NPY_INT_, DType::i32},
                                                {Numbers::NPY_INT64_, DType::i64}};
  for (const auto& [number, known] : kNumbers) {
    if (descr->type_num == number) {
      dtype = known;
      return true;
    }
  }
  for (const auto& [name, known, number] : registered) {
    if (descr->type_num == number) {
      dtype = known;
      return true;
    }
  }
  return false;
}

// The dtypes of a product of two arrays for which the caller asks nothing, where it has one kernel only: of
// one floating dtype, of 8-bit integers, whose inner length decides between 32 and 64 bits, or of two dtypes
// whose chain is float32.
std::optional<GemmTypes> plain_types(DType left, DType right, std::int64_t inner) {
  const auto integer = [](DType t) { return t == DType::i8 || t == DType::u8; };
  if (integer(left) && integer(right)) {
    const auto magnitude = [](DType t) -> std::int64_t { return t == DType::i8 ? 128 : 255; };
    const bool fits =
        inner <= std::numeric_limits<std::int32_t>::max() / (magnitude(left) * magnitude(right));
    return GemmTypes{left, right, fits ? DType::i32 : DType::i64, DType::i32};
  }
  const auto half = [](DType t) { return t == DType::f16 || t == DType::bf16; };
  const auto computed = [](DType t) { return t <= DType::c128; };
  if (left == right && computed(left)) return GemmTypes::all(left);
  if (left == right && half(left)) return GemmTypes{left, right, left, DType::f32};
  const auto mixes = [&](DType t) { return t == DType::f32 || (!computed(t) && t < DType::i32); };
  if (!mixes(left) || !mixes(right)) return std::nullopt;
  DType out = DType::f32;
  if (half(left) && integer(right)) out = left;
  if (half(right) && integer(left)) out = right;
  return GemmTypes{left, right, out, DType::f32};
}

bool has_many_zeros(const DenseView& view, DType dtype) {
  return dense::sample_zeros(view, dtype, kLookedAt) > kManyZeros;
}

// Whether a planner could take another kernel for a product of two matrices than the one that serves all of
// this kind.
bool has_choice(const Arranged& arranged, const GemmTypes& types) {
  const std::int64_t m = arranged.left.first.rows, n = arranged.right.first.cols;
  if (types.chain == DType::i32) return false;
  if (types.left == types.chain && types.right == types.chain) {
    return arranged.work >= kLeastWorkLookedAt && (has_many_zeros(arranged.left.first, types.left) ||
                                                   has_many_zeros(arranged.right.first, types.right));
  }
  const DType longer = m <= n ? types.right : types.left;
  if (std::min(m, n) <= kThinRows && types.chain == DType::f32 && longer != DType::f32) return false;
  if (types.left == types.right && m > kMostNarrowRows) return false;
  return arranged.work > kMostUnplanned;
}

// Whether the environment asks for something that the planner has to see: all that it may ask for but where
// files are, and the number of threads, which has been read. Looked up at each call, as config.settings does.
bool environment_asks() {
#if defined(_WIN32)
  char** variable = _environ;
#else
  char** variable = environ;
#endif
  constexpr char kPrefix[] = "DEEPGEMM_";
  constexpr std::size_t kLength = sizeof kPrefix - 1;
  for (; variable != nullptr && *variable != nullptr; ++variable) {
    if (**variable != 'D' || std::strncmp(*variable, kPrefix, kLength) != 0) continue;
    const char* name = *variable + kLength;
    const auto is = [&](const char* known) { return std::strncmp(name, known, std::strlen(known)) == 0; };
    if (!is("NUM_THREADS=") && !is("CACHE_DIR=") && !is("DATA_DIR=")) return true;
  }
  return false;
}

Status multiply(const Arranged& arranged, PyObject* result, const GemmTypes& types, Isa isa, int threads,
                const Terms& terms = {}) {
  const Stack c = arranged.members(result, types.out);
  const StackedTerms after =
      terms.stacked(types.chain, [&](PyObject* term) { return arranged.members(term, types.chain); });
  const auto run = [&](int most) {
    return gemm_stack(arranged.left, arranged.right, c, types, isa, most, after);
  };
  if (arranged.work < kLeastReleased) return run(1);
  const ReleaseGil released;
  return run(threads);
}

DenseView rows_of(PyObject* array, DType dtype) {
  return view_of(array, static_cast<std::int64_t>(size_of(dtype)), true);
}

void finish_dense(const py::object& isa, const py::array& from, const py::array& out,
                  const py::object& epilogue, int threads) {
  const DType chain = stored_dtype(from.dtype()), stored = stored_dtype(out.dtype());
  const bool rounded = chain == DType::f32 && (stored == DType::f16 || stored == DType::bf16);
  if ((chain != DType::f32 && chain != DType::f64) || (stored != chain && !rounded)) {
    raise("DTypeError", "no native epilogue of these dtypes");
  }
  const Epilogue after = Terms(epilogue).placed(chain, [&](PyObject* term) { return rows_of(term, chain); });
  const DenseView x = rows_of(from.ptr(), chain), y = rows_of(out.ptr(), stored);
  const Isa highest = isa_or_best(isa);
  const ReleaseGil released;
  finish(x, y, {chain, chain, stored, chain}, after, highest, threads > 0 ? threads : parallel::limit());
}

bool apart(PyObject* a, PyObject* b) {
  const auto x = extent(a), y = extent(b);
  return x[0] >= y[1] || y[0] >= x[1];
}

// Whether an array can take the result without a further question.
bool takes(PyObject* out, const Arranged& arranged, DType dtype, PyObject* left, PyObject* right) {
  DType own;
  if (!is_plain_array(out) || !is_writeable(out) || !plain_dtype(out, own) || own != dtype) return false;
  const auto& f = fields(out);
  if (f.nd != static_cast<int>(arranged.axes) || !has_element_strides(out, size_of(dtype))) return false;
  for (int d = 0; d < f.nd; ++d) {
    if (f.dimensions[d] != arranged.shape[d] || f.strides[d] == 0) return false;
  }
  return apart(out, left) && apart(out, right);
}

py::dtype dtype_of_result(const GemmTypes& types, PyObject* left, PyObject* right) {
  if (types.out == DType::i32) return py::dtype::of<std::int32_t>();
  if (types.out == DType::i64) return py::dtype::of<std::int64_t>();
  if (types.out == DType::f32) return py::dtype::of<float>();
  PyObject* const same = types.out == types.left ? left : right;
  return py::reinterpret_borrow<py::dtype>(reinterpret_cast<PyObject*>(fields(same).descr));
}

// (left, right, out or None). NotImplemented sends the caller to the way that checks, converts and plans.
PyObject* multiply_plain(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 3 || !is_plain_array(args[0]) || !is_plain_array(args[1])) Py_RETURN_NOTIMPLEMENTED;
  PyObject *left = args[0], *right = args[1];
  DType a_dtype, b_dtype;
  if (!plain_dtype(left, a_dtype) || !plain_dtype(right, b_dtype)) Py_RETURN_NOTIMPLEMENTED;
  if (!has_element_strides(left, static_cast<std::int64_t>(size_of(a_dtype))) ||
      !has_element_strides(right, static_cast<std::int64_t>(size_of(b_dtype)))) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  try {
    const Arranged arranged(left, right, a_dtype, b_dtype);
    if (!arranged.fits) Py_RETURN_NOTIMPLEMENTED;
    const std::optional<GemmTypes> types = plain_types(a_dtype, b_dtype, arranged.left.first.cols);
    if (!types) Py_RETURN_NOTIMPLEMENTED;
    const bool stacked = !arranged.left.axes.empty();
    if ((!stacked && has_choice(arranged, *types)) || environment_asks()) Py_RETURN_NOTIMPLEMENTED;
    static const Isa isa = best_isa();
    const bool given = args[2] != Py_None;
    if (given && !takes(args[2], arranged, types->out, left, right)) Py_RETURN_NOTIMPLEMENTED;
    py::object result = given
                            ? py::reinterpret_borrow<py::object>(args[2])
                            : new_array(dtype_of_result(*types, left, right), arranged.shape, arranged.axes);
    if (multiply(arranged, result.ptr(), *types, isa, parallel::limit()) != Status::ok) {
      return PyErr_Format(PyExc_MemoryError, "matmul: no memory left for the workspace");
    }
    return result.release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  return nullptr;
}

bool serves_dense(const py::dtype& left, const py::dtype& right, const py::dtype& out) {
  const auto a = find_stored_dtype(left), b = find_stored_dtype(right), c = find_stored_dtype(out);
  return a && b && c && chain_of(*a, *b, *c);
}

void multiply_dense(const py::object& isa, const py::array& left, const py::array& right,
                    const py::array& out, int threads, const py::object& epilogue) {
  const DType a = stored_dtype(left.dtype()), b = stored_dtype(right.dtype()), c = stored_dtype(out.dtype());
  const std::optional<DType> chain = chain_of(a, b, c);
  if (!chain) raise("DTypeError", "no native product of these dtypes");
  for (const auto& [array, dtype] : {std::pair{left, a}, {right, b}, {out, c}}) {
    if (!has_element_strides(array.ptr(), static_cast<std::int64_t>(size_of(dtype)))) {
      raise("FormatError", "expected aligned arrays");
    }
  }
  const Arranged arranged(left.ptr(), right.ptr(), a, b);
  if (!arranged.fits ||
      !std::equal(arranged.shape, arranged.shape + arranged.axes, out.shape(), out.shape() + out.ndim())) {
    raise("ShapeError", "the shapes of operands and result do not fit");
  }
  const int limit = parallel::limit();
  if (multiply(arranged, out.ptr(), {a, b, c, *chain}, isa_or_best(isa),
               threads > 0 ? std::min(threads, limit) : limit, Terms(epilogue)) != Status::ok) {
    throw std::bad_alloc();
  }
}

PyMethodDef kPlain = {"multiply_plain",
                      reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(multiply_plain)),
                      METH_FASTCALL, "A product that needs no plan, or NotImplemented."};

}  // namespace

void add_dense(py::module_& module) {
  const py::module_ extended = py::module_::import("ml_dtypes");
  for (Registered& known : registered) known.number = py::dtype::from_args(extended.attr(known.name)).num();
  // A raw function: argument handling through pybind11 would cost as much as a small product.
  module.attr("multiply_plain") = py::reinterpret_steal<py::object>(PyCFunction_New(&kPlain, nullptr));
  module.def("multiply_dense", &multiply_dense, py::arg("isa"), py::arg("left"), py::arg("right"),
             py::arg("out"), py::arg("threads"), py::arg("epilogue") = py::none());
  module.def("finish_dense", &finish_dense, py::arg("isa"), py::arg("product"), py::arg("out"),
             py::arg("epilogue"), py::arg("threads"));
  module.def("serves_dense", &serves_dense, py::arg("left"), py::arg("right"), py::arg("out"));
}

}  // namespace deepgemm::bindings
