// Products with quantised operands that are dequantised while they are packed, as Python prepares them.
#include "core/gemm.h"
#include "core/gemm_scaled.h"

#include "bindings/bound.h"
#include "core/parallel.h"

namespace deepgemm::bindings {
namespace {

// A float32 for each group and column, or for each group.
const float* floats_of(const py::array& array, std::int64_t groups, std::int64_t columns, const char* name) {
  const bool wide = array.ndim() == 2 && (array.shape(1) == columns || array.shape(1) == 1);
  if ((array.flags() & py::array::c_style) == 0 || stored_dtype(array.dtype()) != DType::f32 || !wide ||
      array.shape(0) != groups) {
    raise("FormatError", std::string(name) + ": expected a float32 for each group, and column if any");
  }
  return static_cast<const float*>(array.data());
}

GemmScaling scaling_of(const py::array& values, bool nibbles, bool is_signed, std::int64_t columns,
                       const py::array& scales, const py::object& zeros, std::int64_t group) {
  const DType dtype = stored_dtype(values.dtype());
  if (size_of(dtype) != 1 || (nibbles && dtype != DType::u8)) {
    raise("DTypeError", "no native kernel dequantises " + std::string(name_of(dtype)));
  }
  GemmScaling made;
  made.data = dense_view(values, dtype);
  if (made.data.cols != (nibbles ? (columns + 1) / 2 : columns) || group < 1) {
    raise("FormatError", "values do not have so many columns");
  }
  made.nibbles = nibbles;
  made.is_signed = is_signed;
  made.group = group;
  const std::int64_t groups = (made.data.rows + group - 1) / group;
  made.scales = floats_of(scales, groups, columns, "scales");
  made.scale_row = scales.shape(1);
  made.scale_col = scales.shape(1) == 1 ? 0 : 1;
  if (!zeros.is_none()) {
    const auto array = zeros.cast<py::array>();
    made.zeros = floats_of(array, groups, columns, "zeros");
    if (array.shape(1) != scales.shape(1)) raise("FormatError", "zeros: expected the shape of scales");
  }
  return made;
}

std::unique_ptr<BoundProduct> scaled_product(const py::object& isa, const py::array& values, bool nibbles,
                                             bool is_signed, std::int64_t columns, const py::array& scales,
                                             const py::object& zeros, std::int64_t group,
                                             const py::dtype& other, const py::dtype& out) {
  const GemmScaling right = scaling_of(values, nibbles, is_signed, columns, scales, zeros, group);
  const DType left = stored_dtype(other), result = stored_dtype(out);
  if (chain_of(left, DType::f32, result) != DType::f32)
    raise("DTypeError", "no native product of these dtypes");
  auto product =
      make_scaled_product(right, columns, left, stored_dtype(values.dtype()), result, isa_or_best(isa));
  auto bound = bind_product(std::move(product), DType::f32, {values, scales, zeros}, "dequantized_panels");
  bound->other = left;
  bound->out = result;
  return bound;
}

std::shared_ptr<PackedMatrix> pack_scaled(const py::object& isa, const py::array& values, bool nibbles,
                                          bool is_signed, std::int64_t columns, const py::array& scales,
                                          const py::object& zeros, std::int64_t group) {
  const GemmScaling right = scaling_of(values, nibbles, is_signed, columns, scales, zeros, group);
  const DType stored = stored_dtype(values.dtype());
  const Isa highest = isa_or_best(isa);
  auto packed = std::make_shared<PackedMatrix>();
  Status status;
  {
    const ReleaseGil released;
    status = prepack_scaled(right, columns, stored, highest, parallel::limit(), *packed);
  }
  if (status != Status::ok) throw std::bad_alloc();
  return packed;
}

}  // namespace

void add_scaled(py::module_& m) {
  m.def("scaled_product", &scaled_product, py::arg("isa"), py::arg("values"), py::arg("nibbles"),
        py::arg("is_signed"), py::arg("columns"), py::arg("scales"), py::arg("zeros"), py::arg("group"),
        py::arg("other"), py::arg("out"));
  m.def("pack_scaled", &pack_scaled, py::arg("isa"), py::arg("values"), py::arg("nibbles"),
        py::arg("is_signed"), py::arg("columns"), py::arg("scales"), py::arg("zeros"), py::arg("group"));
}

}  // namespace deepgemm::bindings
