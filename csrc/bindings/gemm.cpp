// Dense products as Python prepares them.
#include "core/gemm_pairs.h"
#include "core/gemm_product.h"
#include "core/gemm_split.h"

#include <algorithm>
#include <optional>

#include "bindings/bound.h"
#include "core/parallel.h"

namespace deepgemm::bindings {

std::optional<DType> chain_of(DType left, DType right, DType out) {
  const auto integer = [](DType t) { return t == DType::i8 || t == DType::u8; };
  if (integer(left) && integer(right) && (out == DType::i32 || out == DType::i64)) return DType::i32;
  if (std::max(left, right) >= DType::i32) return std::nullopt;  // results only
  const auto computed = [](DType t) { return t <= DType::c128; };
  const DType chain = computed(left) ? left : computed(right) ? right : DType::f32;
  const bool mixed = left != chain || right != chain || out != chain;
  const bool rounded = out == DType::f32 || out == DType::f16 || out == DType::bf16;
  if (mixed && (chain != DType::f32 || !rounded || (computed(left) && computed(right) && left != right))) {
    return std::nullopt;
  }
  return chain;
}

namespace {

Side side_of(const std::string& name) {
  if (name == "left") return Side::left;
  if (name == "right") return Side::right;
  throw py::value_error("side is left or right");
}

DType required_chain(DType left, DType right, DType out) {
  const std::optional<DType> chain = chain_of(left, right, out);
  if (!chain) raise("DTypeError", "no native product of these dtypes");
  return *chain;
}

std::unique_ptr<BoundProduct> bind_gemm(std::unique_ptr<Product> product, const GemmTypes& types, DType other,
                                        std::vector<py::object> owners) {
  auto bound = bind_product(std::move(product), types.chain, std::move(owners), "gemm_packed");
  bound->other = other;
  bound->out = types.out;
  return bound;
}

std::unique_ptr<BoundProduct> gemm_product(const py::object& isa, const py::array& fixed,
                                           const std::string& side, bool swap_roles, const py::dtype& other,
                                           const py::dtype& out) {
  const DType mine = stored_dtype(fixed.dtype()), theirs = stored_dtype(other), result = stored_dtype(out);
  const DenseView view = dense_view(fixed, mine);
  const Side where = side_of(side);
  const DType chain = required_chain(mine, theirs, result);
  const GemmTypes types =
      where == Side::left ? GemmTypes{mine, theirs, result, chain} : GemmTypes{theirs, mine, result, chain};
  return bind_gemm(make_gemm_product(view, where, types, swap_roles, isa_or_best(isa)), types, theirs,
                   {fixed});
}

std::unique_ptr<BoundProduct> gemm_split_product(const py::object& isa, const py::array& fixed,
                                                 const std::string& side) {
  const DType dtype = stored_dtype(fixed.dtype());
  auto product = make_gemm_split_product(dense_view(fixed, dtype), side_of(side), dtype, isa_or_best(isa));
  return bind_product(std::move(product), dtype, {fixed}, "gemm_split");
}

std::shared_ptr<PackedMatrix> pack_right(const py::object& isa, const py::array& right,
                                         const py::dtype& chain) {
  const DType stored = stored_dtype(right.dtype()), computed = stored_dtype(chain);
  const DenseView view = dense_view(right, stored);
  const Isa highest = isa_or_best(isa);
  auto packed = std::make_shared<PackedMatrix>();
  Status status;
  {
    const ReleaseGil released;
    status = prepack_right(view, stored, computed, highest, parallel::limit(), *packed);
  }
  if (status != Status::ok) throw std::bad_alloc();
  return packed;
}

std::shared_ptr<PackedIntegers> pack_integers(const py::object& isa, const py::array& right) {
  const DType stored = stored_dtype(right.dtype());
  if (stored != DType::i8 && stored != DType::u8) raise("DTypeError", "expected int8 or uint8");
  const DenseView view = dense_view(right, stored);
  const Isa highest = isa_or_best(isa);
  auto packed = std::make_shared<PackedIntegers>();
  Status status;
  {
    const ReleaseGil released;
    status = prepack_integers(view, stored, highest, parallel::limit(), *packed);
  }
  if (status != Status::ok) throw std::bad_alloc();
  return packed;
}

std::unique_ptr<BoundProduct> packed_integers(std::shared_ptr<PackedIntegers> packed, const py::dtype& other,
                                              const py::dtype& out) {
  const DType left = stored_dtype(other), right = packed->stored(), result = stored_dtype(out);
  if (required_chain(left, right, result) != DType::i32)
    raise("DTypeError", "no native product of these dtypes");
  const GemmTypes types{left, right, result, DType::i32};
  return bind_gemm(make_packed_product(std::move(packed), types), types, left, {});
}

std::unique_ptr<BoundProduct> packed_product(std::shared_ptr<PackedMatrix> packed, bool swap_roles,
                                             const py::dtype& other, const py::dtype& out) {
  const DType chain = packed->dtype(), left = stored_dtype(other), result = stored_dtype(out);
  if (required_chain(left, chain, result) != chain) raise("DTypeError", "no native product of these dtypes");
  const GemmTypes types{left, chain, result, chain};
  return bind_gemm(make_packed_product(std::move(packed), types, swap_roles), types, left, {});
}

bool has_pairs(const py::object& isa, const py::dtype& dtype) {
  const DType stored = stored_dtype(dtype);
  return (stored == DType::bf16 || stored == DType::f16) && serves_pairs(stored, isa_or_best(isa));
}

GemmTypes pair_types(const py::object& isa, const py::array& array, const py::dtype& out) {
  const DType stored = stored_dtype(array.dtype()), result = stored_dtype(out);
  if (stored != DType::bf16 && stored != DType::f16) raise("DTypeError", "expected bfloat16 or float16");
  if (required_chain(stored, stored, result) != DType::f32)
    raise("DTypeError", "no native product of these dtypes");
  if (!has_pairs(isa, array.dtype())) raise("UnsupportedError", "this CPU has no instruction for such pairs");
  return {stored, stored, result, DType::f32};
}

std::unique_ptr<BoundProduct> pairs_product(const py::object& isa, const py::array& fixed,
                                            const std::string& side, const py::dtype& out) {
  const GemmTypes types = pair_types(isa, fixed, out);
  const DType stored = types.left;
  return bind_gemm(
      make_pairs_product(dense_view(fixed, stored), side_of(side), stored, types.out, isa_or_best(isa)),
      types, stored, {fixed});
}

std::unique_ptr<BoundProduct> packed_pairs(const py::object& isa, const py::array& right,
                                           const py::dtype& out) {
  const GemmTypes types = pair_types(isa, right, out);
  const DType stored = types.right;
  const Isa highest = isa_or_best(isa);
  const DenseView view = dense_view(right, stored);
  auto packed = std::make_shared<PackedMatrix>();
  Status status;
  {
    const ReleaseGil released;
    status = prepack_pairs(view, stored, highest, parallel::limit(), *packed);
  }
  if (status != Status::ok) throw std::bad_alloc();
  return bind_gemm(make_pairs_product(std::move(packed), types.out), types, stored, {});
}

}  // namespace

void add_gemm(py::module_& m) {
  py::class_<PackedMatrix, std::shared_ptr<PackedMatrix>>(m, "PackedRight",
                                                          "A dense right operand in panels.")
      .def_property_readonly("nbytes", &PackedMatrix::nbytes);
  m.def("gemm_product", &gemm_product, py::arg("isa"), py::arg("fixed"), py::arg("side"),
        py::arg("swap_roles"), py::arg("other"), py::arg("out"));
  m.def("gemm_split_product", &gemm_split_product, py::arg("isa"), py::arg("fixed"), py::arg("side"));
  m.def("pack_right", &pack_right, py::arg("isa"), py::arg("right"), py::arg("chain"));
  py::class_<PackedIntegers, std::shared_ptr<PackedIntegers>>(
      m, "PackedIntegers", "A dense right operand of 8-bit integers in panels of groups.")
      .def_property_readonly("nbytes", &PackedIntegers::nbytes);
  m.def("pack_integers", &pack_integers, py::arg("isa"), py::arg("right"));
  m.def("packed_integers", &packed_integers, py::arg("packed"), py::arg("other"), py::arg("out"));
  m.def("has_pairs", &has_pairs, py::arg("isa"), py::arg("dtype"));
  m.def("pairs_product", &pairs_product, py::arg("isa"), py::arg("fixed"), py::arg("side"), py::arg("out"));
  m.def("packed_pairs", &packed_pairs, py::arg("isa"), py::arg("right"), py::arg("out"));
  m.def("packed_product", &packed_product, py::arg("packed"), py::arg("swap_roles"), py::arg("other"),
        py::arg("out"));
}

}  // namespace deepgemm::bindings
