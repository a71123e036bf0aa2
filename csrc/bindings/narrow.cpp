// Products with narrow weights as Python prepares them.
#include "core/narrow.h"

#include <utility>

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

// What values of sparse arrays stand for where they are codes.
struct BoundScales {
  CodeScales scales;
  py::array owner;
  std::int64_t count;
};

std::unique_ptr<BoundScales> code_scales(const py::array& scales, const std::string& of, float zero,
                                         bool nibbles, bool is_signed) {
  require_contiguous(scales, "scales");
  if (stored_dtype(scales.dtype()) != DType::f32) raise("DTypeError", "scales: expected float32");
  CodeScales made;
  made.scales = static_cast<const float*>(scales.data());
  made.of = of == "row" ? ScaleOf::row : of == "column" ? ScaleOf::column : ScaleOf::all;
  // Signed nibbles are read as unsigned ones with their highest bit turned over, 8 higher.
  made.zero = zero + (nibbles && is_signed ? 8.0f : 0.0f);
  made.nibbles = nibbles;
  made.flip = nibbles && is_signed ? 8 : 0;
  return std::make_unique<BoundScales>(BoundScales{made, scales, scales.size()});
}

// Compressed rows of values, or of blocks of them, and what the values stand for.
struct NarrowLines {
  BlockView view;
  CodeScales scales;
  std::vector<py::object> owners;
};

NarrowLines narrow_lines(const py::array& indptr, const py::array& indices, const py::array& values,
                         std::int64_t minor, std::pair<std::int64_t, std::int64_t> block,
                         const py::object& scales) {
  NarrowLines lines{{compressed_view(indptr, indices, nullptr, minor), block.first, block.second},
                    {},
                    {indptr, indices, values, scales}};
  BlockView& s = lines.view;
  if ((values.flags() & py::array::c_style) == 0) raise("FormatError", "values must be contiguous");
  s.blocks.values = values.data();
  s.blocks.dtype = stored_dtype(values.dtype());
  std::int64_t held = values.size();
  if (!scales.is_none()) {
    const auto& bound = scales.cast<const BoundScales&>();
    lines.scales = bound.scales;
    const std::int64_t rows = s.blocks.major * s.height, cols = minor * s.width;
    const std::int64_t wanted = bound.scales.of == ScaleOf::row      ? rows
                                : bound.scales.of == ScaleOf::column ? cols
                                                                     : 1;
    if (bound.count != wanted) raise("FormatError", "scales: expected " + std::to_string(wanted));
    if (bound.scales.nibbles) {
      held *= 2;
      s.blocks.dtype = DType::i8;
    }
  }
  if (s.height < 1 || s.width < 1 || s.blocks.nnz * s.height * s.width > held ||
      s.blocks.nnz > indices.size()) {
    raise("FormatError", "data is shorter than indptr says");
  }
  return lines;
}

std::unique_ptr<BoundProduct> narrow_rows(const py::object& isa, const py::array& indptr,
                                          const py::array& indices, const py::array& values,
                                          std::int64_t minor, std::pair<std::int64_t, std::int64_t> block,
                                          const py::dtype& other, const py::dtype& out,
                                          const py::object& scales) {
  NarrowLines lines = narrow_lines(indptr, indices, values, minor, block, scales);
  const DType theirs = stored_dtype(other), result = stored_dtype(out);
  const DType stored = lines.view.blocks.dtype;
  if ((stored != DType::f32 && (stored < DType::f16 || stored > DType::u8)) ||
      !narrow_result(theirs, result)) {
    raise("DTypeError", "no native product of these dtypes");
  }
  auto product = make_narrow_rows(lines.view, lines.scales, theirs, result, isa_or_best(isa));
  auto bound = bind_product(std::move(product), DType::f32, std::move(lines.owners), "narrow_rows");
  bound->other = theirs;
  bound->out = result;
  return bound;
}

py::array decode_values(const py::array& indptr, const py::array& indices, const py::array& values,
                        std::int64_t minor, std::pair<std::int64_t, std::int64_t> block,
                        const py::object& scales) {
  const NarrowLines lines = narrow_lines(indptr, indices, values, minor, block, scales);
  const DType stored = lines.view.blocks.dtype;
  if (scales.is_none() || lines.scales.nibbles || stored < DType::f8e4m3 || stored > DType::u8) {
    raise("DTypeError", "codes of one byte are decoded, with their scales");
  }
  py::array_t<float> made(std::vector<py::ssize_t>(values.shape(), values.shape() + values.ndim()));
  float* const to = made.mutable_data();
  const ReleaseGil released;
  decode(lines.view, lines.scales, to, parallel::limit());
  return made;
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
  py::class_<BoundScales>(m, "CodeScales", "What the values of sparse arrays stand for where they are codes.")
      .def(py::init(&code_scales), py::arg("scales"), py::arg("of"), py::arg("zero"), py::arg("nibbles"),
           py::arg("is_signed"));
  m.def("narrow_rows", &narrow_rows, py::arg("isa"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("minor"), py::arg("block"), py::arg("other"), py::arg("out"), py::arg("scales"));
  m.def("decode", &decode_values, py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("minor"),
        py::arg("block"), py::arg("scales"));
}

}  // namespace deepgemm::bindings
