// Products with narrow weights as Python prepares them.
#include "core/narrow.h"

#include "bindings/bound.h"
#include "core/cast.h"
#include "core/narrow_rows.h"
#include "core/parallel.h"

namespace deepgemm::bindings {
namespace {

struct BoundNarrow {
  std::shared_ptr<const NarrowMatrix> matrix;
  std::vector<py::object> owners;  // of what is not packed
};

// Scales and zero points: float32, in C order, one row a group.
const float* floats_of(const py::object& array, std::int64_t rows, std::int64_t cols, const char* name) {
  if (array.is_none()) return nullptr;
  const auto values = array.cast<py::array>();
  const bool in_order = (values.flags() & py::array::c_style) != 0;
  if (!in_order || stored_dtype(values.dtype()) != DType::f32 || values.ndim() != 2 ||
      values.shape(0) != rows || values.shape(1) != cols) {
    raise("FormatError", std::string(name) + ": expected a float32 for each group and column");
  }
  return static_cast<const float*>(values.data());
}

std::unique_ptr<BoundNarrow> narrow_matrix(const py::object& isa, const py::array& values, bool nibbles,
                                           bool is_signed, std::int64_t columns, const py::object& scales,
                                           const py::object& zeros, std::int64_t group, bool pack) {
  const DType dtype = stored_dtype(values.dtype());
  const bool half = dtype == DType::f16 || dtype == DType::bf16,
             whole = dtype == DType::i8 || dtype == DType::u8;
  if (!half && !whole) raise("DTypeError", "no native kernel widens " + std::string(name_of(dtype)));
  NarrowSource source{dense_view(values, dtype), dtype, nibbles, is_signed, columns, nullptr, nullptr, group};
  if (source.data.cols != (nibbles ? (columns + 1) / 2 : columns) || (nibbles && dtype != DType::u8)) {
    raise("FormatError", "values do not have so many columns");
  }
  if (group < 1 || scales.is_none() == whole)
    raise("FormatError", "integers have scales for groups, and only they");
  source.scales = floats_of(scales, source.groups(), columns, "scales");
  source.zeros = floats_of(zeros, source.groups(), columns, "zeros");
  const Isa highest = isa_or_best(isa);
  auto made = std::make_shared<NarrowMatrix>();
  Status status;
  {
    const ReleaseGil released;
    status = make_narrow(source, pack, highest, parallel::limit(), *made);
  }
  if (status != Status::ok) throw std::bad_alloc();
  auto bound = std::make_unique<BoundNarrow>();
  bound->matrix = std::move(made);
  if (!pack) bound->owners = {values};
  return bound;
}

std::unique_ptr<BoundProduct> narrow_product(const py::object& matrix, const py::dtype& other,
                                             const py::dtype& out) {
  const auto& bound = matrix.cast<const BoundNarrow&>();
  const DType left = stored_dtype(other), result = stored_dtype(out);
  const bool read = left == DType::f32 || (left >= DType::f16 && left <= DType::u8);
  const bool rounded = result == DType::f32 || result == DType::f16 || result == DType::bf16;
  if (!read || !rounded) raise("DTypeError", "no native product of these dtypes");
  auto product =
      bind_product(make_narrow_product(bound.matrix, left, result), DType::f32, {matrix}, "narrow_panels");
  product->other = left;
  product->out = result;
  return product;
}

std::unique_ptr<BoundProduct> narrow_rows(const py::object& isa, const py::array& indptr,
                                          const py::array& indices, const py::array& values,
                                          std::int64_t minor, const py::dtype& other, const py::dtype& out) {
  const CompressedView view = stored_view(indptr, indices, values, minor);
  const DType theirs = stored_dtype(other), result = stored_dtype(out);
  if ((view.dtype != DType::f32 && (view.dtype < DType::f16 || view.dtype > DType::u8)) ||
      !narrow_result(theirs, result)) {
    raise("DTypeError", "no native product of these dtypes");
  }
  auto product = bind_product(make_narrow_rows(view, theirs, result, isa_or_best(isa)), DType::f32,
                              {indptr, indices, values}, "csr_narrow");
  product->other = theirs;
  product->out = result;
  return product;
}

void cast_array(const py::array& from, py::array to) {
  const DType stored = stored_dtype(from.dtype()), target = stored_dtype(to.dtype());
  const auto narrow = [](DType t) { return t >= DType::f16 && t <= DType::u8; };
  const bool widens = target == DType::f32 && narrow(stored);
  if (!widens && (stored != DType::f32 || (target != DType::f16 && target != DType::bf16))) {
    raise("DTypeError", "casts are to float32, or from there to float16 or bfloat16");
  }
  const DenseView source = dense_view(from, stored), goal = dense_view(to, target);
  const bool contiguous =
      ((widens ? to.flags() : from.flags()) & (py::array::c_style | py::array::f_style)) != 0;
  if (source.rows != goal.rows || source.cols != goal.cols || !contiguous || !is_writeable(to.ptr())) {
    raise("FormatError", "arrays of one shape are cast, the float32 one contiguous");
  }
  const ReleaseGil released;
  cast(source, stored, goal, target, best_isa(), parallel::limit());
}

}  // namespace

void add_narrow(py::module_& m) {
  py::class_<BoundNarrow>(m, "Narrow", "A right operand that stays in its narrow storage.")
      .def_property_readonly("nbytes", [](const BoundNarrow& self) { return self.matrix->nbytes(); });
  m.def("narrow_matrix", &narrow_matrix, py::arg("isa"), py::arg("values"), py::arg("nibbles"),
        py::arg("is_signed"), py::arg("columns"), py::arg("scales"), py::arg("zeros"), py::arg("group"),
        py::arg("pack"));
  m.def("narrow_product", &narrow_product, py::arg("matrix"), py::arg("other"), py::arg("out"));
  m.def("cast", &cast_array, py::arg("source"), py::arg("to"),
        "Widen an array to a contiguous float32 one, or round one of those.");
  m.def("narrow_rows", &narrow_rows, py::arg("isa"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("minor"), py::arg("other"), py::arg("out"));
}

}  // namespace deepgemm::bindings
