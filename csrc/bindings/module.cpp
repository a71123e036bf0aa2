// deepgemm._core: the C++ core as Python sees it. Checks that concern users are made in Python; what
// is checked here keeps a wrong call from inside the package from touching memory it must not.
#include <pybind11/stl.h>

#include <limits>

#include "bindings/bound.h"
#include "core/cpu.h"
#include "core/csr_product.h"
#include "core/dense.h"
#include "core/dot.h"
#include "core/fingerprint.h"
#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/split_product.h"
#include "core/structure.h"

#if defined(_WIN32)
#define DG_EXPORT extern "C" __declspec(dllexport)
#else
#define DG_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// For threadpoolctl, which finds these by name in the loaded library.
DG_EXPORT int deepgemm_get_num_threads() { return deepgemm::parallel::process_limit(); }
DG_EXPORT void deepgemm_set_num_threads(int threads) { deepgemm::parallel::set_process_limit(threads); }

namespace deepgemm::bindings {

Isa isa_or_best(const py::object& name) {
  if (name.is_none()) return best_isa();
  Isa isa;
  if (!cpu::parse(name.cast<std::string>(), isa) || !is_usable(isa)) {
    raise("UnsupportedError", "ISA " + py::repr(name).cast<std::string>() + " cannot run here");
  }
  return isa;
}

CompressedView compressed_view(const py::array& indptr, const py::array& indices, const py::array* values,
                               std::int64_t minor) {
  require_contiguous(indptr, "indptr");
  require_contiguous(indices, "indices");
  if (indptr.size() < 1) raise("FormatError", "indptr is empty");
  CompressedView view;
  view.indptr = indptr.data();
  view.indices = indices.data();
  view.index_type = index_type_of(indptr, "indptr");
  if (index_type_of(indices, "indices") != view.index_type) {
    raise("DTypeError", "indptr and indices must have one dtype");
  }
  view.major = indptr.size() - 1;
  view.minor = minor;
  view.nnz = index_at(view.indptr, view.index_type, view.major);
  if (values != nullptr) {
    require_contiguous(*values, "data");
    view.values = values->data();
    view.dtype = dtype_of(*values, "data");
    if (view.nnz > values->size() || view.nnz > indices.size())
      raise("FormatError", "data is shorter than indptr says");
  }
  return view;
}

std::unique_ptr<BoundProduct> bind_product(std::unique_ptr<Product> product, DType dtype,
                                           std::vector<py::object> owners, const std::string& what) {
  if (product == nullptr) raise("UnsupportedError", what + ": no kernel of this dtype is compiled");
  auto bound = std::make_unique<BoundProduct>();
  bound->product = std::move(product);
  bound->dtype = bound->other = bound->out = dtype;
  bound->owners = std::move(owners);
  return bound;
}

namespace {

std::unique_ptr<BoundProduct> csr_product(const std::string& algorithm, const py::object& isa,
                                          const py::array& indptr, const py::array& indices,
                                          const py::array& values, std::int64_t minor, bool sparse_is_left) {
  const KernelId id = algorithm == "csr_rowwise"   ? KernelId::csr_rowwise
                      : algorithm == "csr_vector"  ? KernelId::csr_vector
                      : algorithm == "csr_scatter" ? KernelId::csr_scatter
                                                   : throw py::value_error("unknown algorithm " + algorithm);
  const CompressedView view = compressed_view(indptr, indices, &values, minor);
  return bind_product(make_csr_product(id, view, sparse_is_left, isa_or_best(isa)), view.dtype,
                      {indptr, indices, values}, algorithm);
}

std::unique_ptr<BoundProduct> split_product(const py::object& isa, const py::array& indptr,
                                            const py::array& indices, const py::array& values,
                                            std::int64_t minor, bool sparse_is_left) {
  const CompressedView view = compressed_view(indptr, indices, &values, minor);
  return bind_product(make_split_product(view, sparse_is_left, isa_or_best(isa)), view.dtype,
                      {indptr, indices, values}, "csr_split");
}

std::unique_ptr<BoundSell> bind_sell(std::unique_ptr<Sell> sell, const CompressedView& source,
                                     std::vector<py::object> owners) {
  if (sell == nullptr) throw std::bad_alloc();
  auto bound = std::make_unique<BoundSell>();
  bound->sell = std::move(sell);
  bound->source = source;
  bound->owners = std::move(owners);
  return bound;
}

std::unique_ptr<BoundSell> sell_build(const py::array& indptr, const py::array& indices,
                                      const py::array& values, std::int64_t minor) {
  const CompressedView view = compressed_view(indptr, indices, &values, minor);
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (is_complex(view.dtype) || view.major > kMost || view.minor > kMost) {
    raise("UnsupportedError", "sell: real values and fewer than 2**31 rows and columns only");
  }
  std::unique_ptr<Sell> sell;
  {
    const ReleaseGil released;
    sell = build_sell(view, parallel::limit());
  }
  return bind_sell(std::move(sell), view, {indptr, indices});
}

std::unique_ptr<BoundSell> sell_refill(const BoundSell& old, const py::array& values) {
  require_contiguous(values, "data");
  CompressedView view = old.source;
  view.values = values.data();
  view.dtype = dtype_of(values, "data");
  if (view.dtype != old.sell->dtype || values.size() < view.nnz)
    raise("FormatError", "sell: other values do not fit");
  std::unique_ptr<Sell> sell;
  {
    const ReleaseGil released;
    sell = refill_sell(*old.sell, view, parallel::limit());
  }
  return bind_sell(std::move(sell), view, old.owners);
}

const char* defect_name(Defect defect) {
  switch (defect) {
    case Defect::none:
      return "";
    case Defect::indptr_start:
      return "indptr_start";
    case Defect::indptr_decreasing:
      return "indptr_decreasing";
    case Defect::indptr_end:
      return "indptr_end";
    case Defect::index_negative:
      return "index_negative";
    case Defect::index_range:
      return "index_range";
  }
  return "";
}

Inspection inspect(const py::array& indptr, const py::array& indices, std::int64_t minor) {
  CompressedView view = compressed_view(indptr, indices, nullptr, minor);
  const ReleaseGil released;
  return inspect_compressed(view, indices.size(), parallel::limit());
}

std::uint64_t fingerprint_arrays(const py::args& arrays) {
  std::uint64_t state = 0;
  for (const py::handle item : arrays) {
    const auto array = py::reinterpret_borrow<py::array>(item);
    require_contiguous(array, "array");
    state = fingerprint(array.data(), array.size(), array.itemsize(), state);
  }
  return state;
}

bool finite(const py::array& array) {
  const DType dtype = dtype_of(array, "array");
  const DenseView view = dense_view(array, dtype);
  const ReleaseGil released;
  return dense::all_finite(view, dtype, parallel::limit());
}

double zero_share(const py::array& array, std::int64_t samples) {
  const DType dtype = dtype_of(array, "array");
  return dense::sample_zeros(dense_view(array, dtype), dtype, samples);
}

// (data, indices, indptr) of the elements that are not zero, rows compressed; 32-bit indices where they fit.
py::tuple dense_to_csr(const py::array& array) {
  const DType dtype = dtype_of(array, "array");
  const DenseView view = dense_view(array, dtype);
  if (view.cols > std::numeric_limits<std::int32_t>::max())
    raise("UnsupportedError", "dense_to_csr: 2**31 columns or more");
  py::array_t<std::int64_t> start(view.rows + 1);
  std::int64_t* row_start = start.mutable_data();
  {
    const ReleaseGil released;
    row_start[0] = 0;
    dense::count_nonzeros(view, dtype, row_start, parallel::limit());
    for (std::int64_t r = 0; r < view.rows; ++r) row_start[r + 1] += row_start[r];
  }
  py::array_t<std::int32_t> indices(row_start[view.rows]);
  py::array values(array.dtype(), std::vector<py::ssize_t>{row_start[view.rows]});
  {
    std::int32_t* columns = indices.mutable_data();
    void* data = values.mutable_data();
    const ReleaseGil released;
    dense::gather_nonzeros(view, dtype, row_start, columns, data, parallel::limit());
  }
  if (row_start[view.rows] <= std::numeric_limits<std::int32_t>::max()) {
    return py::make_tuple(values, indices, start.attr("astype")("int32"));
  }
  return py::make_tuple(values, indices.attr("astype")("int64"), start);
}

// The product of two vectors, as a 0-d array of their dtype.
py::array dot_product(const py::object& isa, const py::array& left, const py::array& right) {
  const DType dtype = dtype_of(left, "left");
  const DenseView a = dense_view(left, dtype), b = dense_view(right, dtype);
  if (dtype_of(right, "right") != dtype || left.ndim() != 1 || right.ndim() != 1 || a.rows != b.rows) {
    raise("FormatError", "dot: expected two vectors of one dtype and length");
  }
  py::array out(left.dtype(), std::vector<py::ssize_t>{});
  const Isa highest = isa_or_best(isa);
  void* result = out.mutable_data();
  {
    const ReleaseGil released;
    dot(a.data, a.row_stride, b.data, b.row_stride, a.rows, dtype, highest, result);
  }
  return out;
}

py::dict cpu_info() {
  const cpu::Info& info = cpu::info();
  py::list found, compiled, usable;
  for (const Isa isa : info.isas) found.append(cpu::name_of(isa));
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::sve, Isa::neon, Isa::rvv, Isa::scalar}) {
    if (is_compiled(isa)) compiled.append(cpu::name_of(isa));
    if (is_usable(isa)) usable.append(cpu::name_of(isa));
  }
  py::dict out;
  out["name"] = info.name;
  out["isas"] = found;
  out["compiled"] = compiled;
  out["usable"] = usable;
  out["features"] = info.features;
  out["l1d"] = info.l1d;
  out["l2"] = info.l2;
  out["l3"] = info.l3;
  return out;
}

void add_structure(py::module_& m) {
  py::class_<Inspection>(m, "Inspection", "What one pass over compressed indices found.")
      .def_property_readonly("status", [](const Inspection& i) { return defect_name(i.defect); })
      .def_readonly("position", &Inspection::position)
      .def_readonly("value", &Inspection::value)
      .def_readonly("sorted", &Inspection::sorted)
      .def_readonly("canonical", &Inspection::canonical)
      .def_readonly("nnz", &Inspection::nnz)
      .def_readonly("max_row", &Inspection::max_row)
      .def_readonly("empty_rows", &Inspection::empty_rows)
      .def_readonly("bandwidth", &Inspection::bandwidth)
      .def_readonly("row_sq_sum", &Inspection::row_sq_sum)
      .def_readonly("near", &Inspection::near)
      .def_readonly("window_fill", &Inspection::window_fill)
      .def_property_readonly("quantiles",
                             [](const Inspection& i) { return py::tuple(py::cast(i.quantiles)); });
  m.def("inspect_compressed", &inspect, py::arg("indptr"), py::arg("indices"), py::arg("minor"));
  m.def("fingerprint", &fingerprint_arrays);
  m.def("all_finite", &finite, py::arg("array"));
  m.def("zero_share", &zero_share, py::arg("array"), py::arg("samples"));
  m.def("dense_to_csr", &dense_to_csr, py::arg("array"));
}

void add_products(py::module_& m) {
  py::class_<BoundProduct>(m, "Product", "One kernel of one ISA with its fixed operand.")
      .def_property_readonly("kernel", [](const BoundProduct& p) { return p.product->kernel(); })
      .def_property_readonly("isa", [](const BoundProduct& p) { return cpu::name_of(p.product->isa()); })
      .def_property_readonly(
          "dtypes", [](const BoundProduct& p) { return py::make_tuple(name_of(p.other), name_of(p.out)); },
          "Dtypes of the other operand and of the result.");
  py::class_<BoundSell>(m, "Sell", "Rows in lanes, sorted by length inside windows; a layout.")
      .def_property_readonly("nbytes", [](const BoundSell& s) { return s.sell->bytes(); })
      .def("refill", &sell_refill, py::arg("values"));
  m.def("csr_product", &csr_product, py::arg("algorithm"), py::arg("isa"), py::arg("indptr"),
        py::arg("indices"), py::arg("values"), py::arg("minor"), py::arg("sparse_is_left"));
  m.def("split_product", &split_product, py::arg("isa"), py::arg("indptr"), py::arg("indices"),
        py::arg("values"), py::arg("minor"), py::arg("sparse_is_left"));
  m.def("sell_build", &sell_build, py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("minor"));
  m.def(
      "sell_product",
      [](const py::object& isa, const py::object& sell) {
        const auto& bound = sell.cast<const BoundSell&>();
        return bind_product(make_sell_product(bound.sell, isa_or_best(isa)), bound.sell->dtype, {sell},
                            "sell_vector");
      },
      py::arg("isa"), py::arg("sell"));
  m.def("dot", &dot_product, py::arg("isa"), py::arg("left"), py::arg("right"));
}

void add_threads(py::module_& m) {
  m.def("limit", &parallel::limit, "Threads that a product started by this thread may use.");
  m.def("process_limit", &parallel::process_limit);
  m.def("set_process_limit", &parallel::set_process_limit, py::arg("threads"));
  m.def("set_thread_limit", &parallel::set_thread_limit, py::arg("threads"),
        "Set this thread's own limit (0: none) and return the previous one.");
}

}  // namespace
}  // namespace deepgemm::bindings

PYBIND11_MODULE(_core, m) {
  using namespace deepgemm::bindings;
  m.doc() = "The C++ core of deepgemm.";
  add_structure(m);
  add_products(m);
  add_threads(m);
  add_sampled(m);
  add_segments(m);
  add_bags(m);
  add_ragged(m);
  add_bsr(m);
  add_transpose(m);
  add_tiled(m);
  add_stacks(m);
  add_runner(m);
  add_spgemm(m);
  add_rows(m);
  add_narrow(m);
  add_gemm(m);
  add_dense(m);
  m.def("cpu_info", &cpu_info);
  m.def("best_isa", [] { return deepgemm::cpu::name_of(deepgemm::best_isa()); });
}
