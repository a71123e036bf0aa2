// Products of two sparse operands, as Python sees them.
#include <limits>
#include <optional>
#include <string>

#include <pybind11/stl.h>

#include "bindings/bound.h"
#include "core/cpu.h"
#include "core/join_rows.h"
#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/spgemm.h"
#include "core/spgemm_dense.h"

namespace deepgemm::bindings {
namespace {

Isa requested_isa(const std::optional<std::string>& name) {
  if (!name) return best_isa();
  Isa isa;
  if (!cpu::parse(*name, isa) || !is_usable(isa))
    raise("UnsupportedError", "ISA " + *name + " cannot run here");
  return isa;
}

// (indptr, indices, data) of compressed rows.
CompressedView rows_view(const py::tuple& parts, std::int64_t columns) {
  if (parts.size() < 3) throw py::value_error("expected (indptr, indices, data)");
  const auto indptr = parts[0].cast<py::array>(), indices = parts[1].cast<py::array>(),
             data = parts[2].cast<py::array>();
  require_contiguous(indptr, "indptr");
  require_contiguous(indices, "indices");
  require_contiguous(data, "data");
  if (indptr.size() < 1) raise("FormatError", "indptr is empty");
  const IndexType type = index_type_of(indptr, "indptr");
  if (index_type_of(indices, "indices") != type)
    raise("DTypeError", "indptr and indices must have one dtype");
  const std::int64_t rows = indptr.size() - 1, nnz = index_at(indptr.data(), type, rows);
  if (nnz > data.size() || nnz > indices.size()) raise("FormatError", "data is shorter than indptr says");
  return {indptr.data(), indices.data(), data.data(), rows, columns, nnz, type, dtype_of(data, "data")};
}

// The same, or (begins, indices, data, ends) of rows that need not be adjacent.
SparseRows right_rows(const py::tuple& parts, std::int64_t columns) {
  if (parts.size() == 3) return {rows_view(parts, columns)};
  const auto begins = parts[0].cast<py::array>(), indices = parts[1].cast<py::array>(),
             data = parts[2].cast<py::array>(), ends = parts[3].cast<py::array>();
  for (const py::array* part : {&begins, &indices, &data, &ends}) require_contiguous(*part, "right");
  const IndexType type = index_type_of(indices, "indices");
  if (index_type_of(begins, "begins") != type || index_type_of(ends, "ends") != type) {
    raise("DTypeError", "begins, indices and ends must have one dtype");
  }
  if (begins.size() != ends.size() || data.size() != indices.size()) {
    raise("FormatError", "begins and ends, or indices and data, differ in length");
  }
  const CompressedView rows{begins.data(), indices.data(), data.data(), begins.size(),
                            columns,       indices.size(), type,        dtype_of(data, "data")};
  return {rows, ends.data()};
}

struct Pair {
  Pair(const py::tuple& left, const py::tuple& right, std::int64_t columns)
      : a(rows_view(left, 0)), b(right_rows(right, columns)) {
    a.minor = b.major;
    if (a.dtype != b.dtype || a.index_type != b.index_type) {
      raise("DTypeError", "csr_csr: both operands must have one dtype and one index dtype");
    }
  }
  CompressedView a;
  SparseRows b;
};

// Arrays for a result.
struct Rows {
  Rows(std::int64_t count, std::int64_t entries, bool is_wide, const py::dtype& dtype)
      : wide(is_wide),
        indptr(index_dtype(), Shape{count + 1}),
        indices(index_dtype(), Shape{entries}),
        data(dtype, Shape{entries}) {}
  SparseParts parts() {
    return {indptr.mutable_data(), indices.mutable_data(), data.mutable_data(),
            wide ? IndexType::i64 : IndexType::i32};
  }

  using Shape = std::vector<py::ssize_t>;
  py::dtype index_dtype() const {
    return wide ? py::dtype::of<std::int64_t>() : py::dtype::of<std::int32_t>();
  }
  bool wide;
  py::array indptr, indices, data;
};

constexpr std::int64_t kLeastRoom = 1 << 20;  // entries

std::optional<Rows> try_rows(std::int64_t count, std::int64_t entries, bool wide, const py::dtype& dtype) {
  try {
    return Rows(count, entries, wide, dtype);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_MemoryError)) throw;
    return std::nullopt;
  }
}

// (indptr, indices, data) of the product; None as soon as its entries take more than `most_bytes` (0 is no
// limit). Indices are widened where the entries need it: `most_int32` is a number of entries that int32 still
// counts, lowered by tests.
py::object csr_csr(const std::optional<std::string>& isa, const py::tuple& left, const py::tuple& right,
                   std::int64_t columns, int threads, const std::optional<std::int64_t>& top,
                   const std::optional<double>& threshold, std::int64_t most_int32, std::int64_t most_bytes) {
  const Pair pair(left, right, columns);
  SpgemmOptions options;
  options.highest = requested_isa(isa);
  options.threads = threads > 0 ? std::min(threads, parallel::limit()) : parallel::limit();
  options.select = top.has_value();
  options.most = top.value_or(0);
  options.has_threshold = threshold.has_value();
  options.threshold = threshold.value_or(0.0);
  options.most_bytes = most_bytes;
  std::unique_ptr<SparseProduct> product;
  Status status;
  {
    const ReleaseGil released;
    status = prepare_sparse(pair.a, pair.b, options, product);
  }
  if (status != Status::ok) throw std::bad_alloc();
  if (product == nullptr) raise("UnsupportedError", "csr_csr: no kernel of this dtype is compiled");

  const bool wide = pair.a.index_type == IndexType::i64;
  const py::dtype dtype = left[2].cast<py::array>().dtype();
  std::optional<Rows> rows;
  // Arrays for all that may come are virtual memory: what is not written takes none. Where even that cannot
  // be had, or the indices may have to be widened, the size is found first.
  // Small results are copied from caches: arrays cut down are mapped and faulted anew in each call (a third
  // of the time of a product of 130,000 entries).
  const bool fits = wide || product->room() <= most_int32;
  if (fits && product->room() >= kLeastRoom) rows = try_rows(product->rows(), product->room(), wide, dtype);
  {
    const SparseParts parts = rows ? rows->parts() : SparseParts{};
    const ReleaseGil released;
    status = product->compute(parts);
  }
  if (status == Status::over_budget) return py::none();
  if (status != Status::ok) throw std::bad_alloc();
  if (rows) {
    rows->indices.resize({product->entries()}, false);
    rows->data.resize({product->entries()}, false);
  } else {
    rows.emplace(product->rows(), product->entries(), wide || product->entries() > most_int32, dtype);
    const SparseParts parts = rows->parts();
    const ReleaseGil released;
    product->deliver(parts);
    product.reset();
  }
  return py::make_tuple(rows->indptr, rows->indices, rows->data);
}

// The product in rows of a dense array; the ISA that ran.
std::string csr_csr_dense(const std::optional<std::string>& isa, const py::tuple& left,
                          const py::tuple& right, py::array out, int threads) {
  const Pair pair(left, right, out.ndim() == 2 ? out.shape(1) : 0);
  const std::int64_t size = static_cast<std::int64_t>(size_of(pair.a.dtype));
  if (out.ndim() != 2 || out.shape(0) != pair.a.major || dtype_of(out, "out") != pair.a.dtype ||
      !has_element_strides(out.ptr(), size) || !out.writeable()) {
    raise("FormatError", "csr_csr_dense: out must be a writeable array of the result's shape and dtype");
  }
  const DenseView view = view_of(out.ptr(), size, false);
  if (view.rows > 0 && view.cols > 1 && view.col_stride != 1) {
    raise("FormatError", "csr_csr_dense: the columns of out must be adjacent");
  }
  const Isa highest = requested_isa(isa);
  const int use = threads > 0 ? std::min(threads, parallel::limit()) : parallel::limit();
  Isa found = Isa::scalar;
  bool ran;
  {
    const ReleaseGil released;
    ran = multiply_sparse_dense(pair.a, pair.b, view, highest, use, found);
  }
  if (!ran) raise("UnsupportedError", "csr_csr_dense: no kernel of this dtype is compiled");
  return cpu::name_of(found);
}

// The most entries that each row of the product can have.
py::array row_bounds(const py::tuple& left, const py::tuple& right, std::int64_t columns) {
  const Pair pair(left, right, columns);
  py::array_t<std::int64_t> most(pair.a.major);
  std::int64_t* rows = most.mutable_data();
  {
    const ReleaseGil released;
    bound_spgemm_rows(pair.a, pair.b, parallel::limit(), rows);
  }
  return std::move(most);
}

// (indptr, indices, data) of two matrices side by side.
py::tuple joined(const py::tuple& left, const py::tuple& right) {
  const CompressedView a = rows_view(left, 0), b = rows_view(right, 0);
  if (a.major != b.major || a.dtype != b.dtype || a.index_type != b.index_type) {
    raise("FormatError", "join_rows: both sides must have as many rows, one dtype and one index dtype");
  }
  Rows rows(a.major, a.nnz + b.nnz, a.index_type == IndexType::i64, left[2].cast<py::array>().dtype());
  {
    const SparseParts parts = rows.parts();
    const ReleaseGil released;
    join_rows(a, b, parallel::limit(), parts.indptr, parts.indices, parts.values);
  }
  return py::make_tuple(rows.indptr, rows.indices, rows.data);
}

// (multiply-adds, least entries, most entries) of the product.
py::tuple bounds(const py::tuple& left, const py::tuple& right, std::int64_t columns) {
  const Pair pair(left, right, columns);
  SpgemmBounds found;
  {
    const ReleaseGil released;
    bound_spgemm(pair.a, pair.b, parallel::limit(), found);
  }
  return py::make_tuple(found.work, found.least, found.most);
}

}  // namespace

void add_spgemm(py::module_& m) {
  m.def("csr_csr", &csr_csr, py::arg("isa"), py::arg("left"), py::arg("right"), py::arg("columns"),
        py::arg("threads") = 0, py::arg("top") = py::none(), py::arg("threshold") = py::none(),
        py::arg("most_int32") = std::numeric_limits<std::int32_t>::max(), py::arg("most_bytes") = 0);
  m.def("csr_csr_dense", &csr_csr_dense, py::arg("isa"), py::arg("left"), py::arg("right"), py::arg("out"),
        py::arg("threads") = 0);
  m.def("join_rows", &joined, py::arg("left"), py::arg("right"));
  m.def("csr_csr_row_bounds", &row_bounds, py::arg("left"), py::arg("right"), py::arg("columns"));
  m.def("csr_csr_bounds", &bounds, py::arg("left"), py::arg("right"), py::arg("columns"));
}

}  // namespace deepgemm::bindings
