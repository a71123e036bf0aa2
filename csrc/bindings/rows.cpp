// What surrounds products: rows picked and stacked, entries weighted, sums along rows and columns.
#include <pybind11/stl.h>

#include <limits>

#include "bindings/bound.h"
#include "core/gather.h"
#include "core/parallel.h"
#include "core/reduce.h"
#include "core/scale.h"

namespace deepgemm::bindings {
namespace {

// A view whose values are of any dtype.
CompressedView untyped_view(const py::array& indptr, const py::array& indices, const py::array& values,
                            std::int64_t minor) {
  require_contiguous(values, "data");
  CompressedView view = compressed_view(indptr, indices, nullptr, minor);
  if (view.nnz > values.size() || view.nnz > indices.size()) {
    raise("FormatError", "data is shorter than indptr says");
  }
  view.values = values.data();
  return view;
}

py::array vector_of(const py::dtype& dtype, std::int64_t size) {
  return py::array(dtype, std::vector<py::ssize_t>{size});
}

// (data, indices, indptr) of a result, not yet filled; 64-bit indices if `wide`.
struct Made {
  Made(const py::dtype& dtype, bool wide, std::int64_t rows, std::int64_t entries)
      : index_type(wide ? IndexType::i64 : IndexType::i32),
        data(vector_of(dtype, entries)),
        indices(vector_of(py::dtype(wide ? "int64" : "int32"), entries)),
        indptr(vector_of(py::dtype(wide ? "int64" : "int32"), rows + 1)) {}
  py::tuple parts() const { return py::make_tuple(data, indices, indptr); }

  IndexType index_type;
  py::array data, indices, indptr;
};

const std::int64_t* int64_data(const py::array& array, const char* name) {
  require_contiguous(array, name);
  if (index_type_of(array, name) != IndexType::i64) {
    raise("DTypeError", std::string(name) + " must be int64");
  }
  return static_cast<const std::int64_t*>(array.data());
}

// `what` names a pick in the refusal of one that is out of range: "CSR: row".
py::tuple gather(const std::string& what, const py::array& indptr, const py::array& indices,
                 const py::array& values, const py::array& picks, std::int64_t most_int32) {
  const Rows from{untyped_view(indptr, indices, values, 0), static_cast<std::size_t>(values.itemsize())};
  const std::int64_t* rows = int64_data(picks, "picks");
  const std::int64_t count = picks.size();
  py::array_t<std::int64_t> start(count + 1);
  std::int64_t* starts = start.mutable_data();
  std::int64_t bad;
  {
    const ReleaseGil released;
    bad = gather_starts(from, rows, count, parallel::limit(), starts);
  }
  if (bad >= 0) {
    throw py::index_error(what + " " + std::to_string(rows[bad]) + " at position " + std::to_string(bad) +
                          " is out of range for " + std::to_string(from.view.major));
  }
  const bool wide = from.view.index_type == IndexType::i64 || starts[count] > most_int32;
  Made made(values.dtype(), wide, count, starts[count]);
  {
    void *to_indptr = made.indptr.mutable_data(), *to_indices = made.indices.mutable_data(),
         *to_values = made.data.mutable_data();
    const ReleaseGil released;
    gather_rows(from, rows, count, starts, made.index_type, parallel::limit(), to_indptr, to_indices,
                to_values);
  }
  return made.parts();
}

py::tuple stack(const std::vector<py::tuple>& blocks, std::int64_t most_int32) {
  std::vector<Rows> parts;
  std::int64_t rows = 0, entries = 0;
  bool wide = false;
  py::dtype dtype = blocks.at(0)[0].cast<py::array>().dtype();
  for (const py::tuple& block : blocks) {
    const auto values = block[0].cast<py::array>();
    if (!values.dtype().is(dtype) && !values.dtype().equal(dtype))
      raise("DTypeError", "stack: several dtypes");
    parts.push_back({untyped_view(block[2].cast<py::array>(), block[1].cast<py::array>(), values, 0),
                     static_cast<std::size_t>(values.itemsize())});
    rows += parts.back().view.major;
    entries += parts.back().view.nnz;
    wide |= parts.back().view.index_type == IndexType::i64;
  }
  Made made(dtype, wide || entries > most_int32, rows, entries);
  {
    void *to_indptr = made.indptr.mutable_data(), *to_indices = made.indices.mutable_data(),
         *to_values = made.data.mutable_data();
    const ReleaseGil released;
    stack_rows(parts.data(), static_cast<std::int64_t>(parts.size()), made.index_type, parallel::limit(),
               to_indptr, to_indices, to_values);
  }
  return made.parts();
}

// The entries times, or divided by, the weight of their line or of their index, as an array of `dtype`.
py::array scaled(const py::array& indptr, const py::array& indices, const py::array& values,
                 const py::array& weights, bool by_index, bool divide, std::int64_t minor,
                 const py::dtype& dtype) {
  CompressedView view = compressed_view(indptr, indices, &values, minor);
  require_contiguous(weights, "weights");
  if (weights.size() != (by_index ? view.minor : view.major)) {
    raise("FormatError", "scale: expected one weight for each line, or for each index");
  }
  py::array out = vector_of(dtype, view.nnz);
  const DType weight_dtype = dtype_of(weights, "weights"), out_dtype = dtype_of(out, "dtype");
  bool known;
  {
    void* to = out.mutable_data();
    const ReleaseGil released;
    known =
        scale(view, by_index ? WeightOf::index : WeightOf::line, divide ? Scaling::divide : Scaling::multiply,
              weights.data(), weight_dtype, out_dtype, parallel::limit(), to);
  }
  if (!known) raise("DTypeError", "scale: these dtypes are not compiled");
  return out;
}

Number number_of(const py::dtype& dtype) {
  const char kind = dtype.kind();
  const bool native = dtype.byteorder() == '=' || dtype.byteorder() == '|';
  if (native && (kind == 'i' || kind == 'u') && dtype.itemsize() == 8) return Number::i64;
  if (native && kind == 'i' && dtype.itemsize() == 4) return Number::i32;
  if (native && kind == 'f' && dtype.itemsize() == 4) return Number::f32;
  if (native && kind == 'f' && dtype.itemsize() == 8) return Number::f64;
  if (native && kind == 'c' && dtype.itemsize() == 8) return Number::c64;
  if (native && kind == 'c' && dtype.itemsize() == 16) return Number::c128;
  raise("DTypeError", "reduce: dtype " + py::str(dtype).cast<std::string>() + " is not compiled");
}

Reduction reduction_of(const std::string& name) {
  if (name == "sum") return Reduction::sum;
  if (name == "magnitudes") return Reduction::sum_of_magnitudes;
  if (name == "squares") return Reduction::sum_of_squares;
  if (name == "deviations") return Reduction::sum_of_deviations;
  if (name == "largest") return Reduction::largest;
  throw py::value_error("unknown reduction " + name);
}

// One result for each line or each index, or one of all entries; see core/reduce.h. Deviations across lines
// give a pair: the sums, and how many entries each has.
py::object reduced(const std::string& reduction, const py::array& indptr, const py::array& indices,
                   const py::array& values, std::int64_t minor, bool across, bool in_lanes,
                   const py::dtype& dtype, const py::object& center, bool all) {
  const CompressedView view = untyped_view(indptr, indices, values, minor);
  ReduceJob job;
  job.reduction = reduction_of(reduction);
  job.direction = across ? Direction::across : Direction::along;
  job.order = in_lanes ? Order::lanes : Order::chain;
  job.stored = number_of(values.dtype());
  job.accumulator = number_of(dtype);
  const std::int64_t results = all ? 1 : across ? view.minor : view.major;
  py::array_t<std::int64_t> counts(across && !center.is_none() ? results : 0);
  if (job.reduction == Reduction::sum_of_deviations) {
    const auto array = center.cast<py::array>();
    if (number_of(array.dtype()) != Number::f64 || (array.size() != 1 && array.size() != results)) {
      raise("FormatError", "reduce: center must be float64, one or as many as there are results");
    }
    require_contiguous(array, "center");
    job.center = static_cast<const double*>(array.data());
    job.one_center = array.size() == 1;
    if (across) job.counts = counts.mutable_data();
  }
  py::array out = all ? py::array(dtype, std::vector<py::ssize_t>{}) : vector_of(dtype, results);
  bool known;
  Status status;
  {
    void* to = out.mutable_data();
    const ReleaseGil released;
    status = all ? reduce_all(view.values, view.nnz, job, parallel::limit(), to, known)
                 : reduce(view, job, parallel::limit(), to, known);
  }
  if (status != Status::ok) throw std::bad_alloc();
  if (!known) raise("DTypeError", "reduce: these dtypes are not compiled");
  if (job.counts != nullptr) return py::make_tuple(out, counts);
  return out;
}

}  // namespace

void add_rows(py::module_& m) {
  constexpr std::int64_t kMostInt32 = std::numeric_limits<std::int32_t>::max();
  m.def("gather_rows", &gather, py::arg("what"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("picks"), py::arg("most_int32") = kMostInt32);
  m.def("stack_rows", &stack, py::arg("blocks"), py::arg("most_int32") = kMostInt32);
  m.def("scale", &scaled, py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("weights"),
        py::arg("by_index"), py::arg("divide"), py::arg("minor"), py::arg("dtype"));
  m.def("reduce", &reduced, py::arg("reduction"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("minor"), py::arg("across"), py::arg("in_lanes"), py::arg("dtype"),
        py::arg("center") = py::none(), py::arg("all") = false);
}

}  // namespace deepgemm::bindings
