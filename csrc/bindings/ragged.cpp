// Products of ragged arrays for Python.
#include <algorithm>
#include <string>
#include <vector>

#include "bindings/bound.h"
#include "core/attention.h"
#include "core/cpu.h"
#include "core/grouped.h"
#include "core/parallel.h"
#include "core/product_members.h"

namespace deepgemm::bindings {
namespace {

// Where the matrix of each segment stands. Python hands over tuples, by what they begin with:
//   ("stack", array of three axes), ("list", list of matrices),
//   ("rows", matrix, offsets, lengths or None): a stretch of rows each; ("columns", ...): their transposes,
//   ("blocks", vector, offsets, rows, cols): a block of any shape each; ("turned", ...): their transposes.
class Matrices {
 public:
  Matrices(const py::tuple& parts, const char* name) : name_(name), kind_(parts[0].cast<std::string>()) {
    if (kind_ == "list") {
      for (const py::handle& item : parts[1]) {
        const auto array = item.cast<py::array>();
        if (array.ndim() != 2) refuse("must be matrices");
        dtype_ = stored_dtype(array.dtype());
        views_.push_back(dense_view(array, dtype_));
      }
      return;
    }
    const auto array = parts[1].cast<py::array>();
    dtype_ = stored_dtype(array.dtype());
    const std::int64_t size = static_cast<std::int64_t>(size_of(dtype_));
    const int axes = kind_ == "stack" ? 3 : is_blocks() ? 1 : 2;
    if (array.ndim() != axes || !has_element_strides(array.ptr(), size)) refuse("has another layout");
    if (kind_ == "stack") {
      const Stack stack = stack_of(array.ptr(), size);
      for (std::int64_t i = 0; i < stack.count(); ++i) views_.push_back(stack.at(i, size_of(dtype_)));
    } else if (is_blocks()) {
      add_blocks(array, parts);
    } else {
      add_rows(array, parts);
    }
  }

  std::int64_t count() const { return static_cast<std::int64_t>(views_.size()); }
  const DenseView& at(std::int64_t i) const { return views_[static_cast<std::size_t>(i)]; }
  DType dtype() const { return dtype_; }

 private:
  bool is_blocks() const { return kind_ == "blocks" || kind_ == "turned"; }
  [[noreturn]] void refuse(const char* why) const {
    raise("FormatError", std::string("ragged_product: ") + name_ + " " + why);
  }

  struct Numbers {
    py::array array;
    IndexType type;
    std::int64_t operator[](std::int64_t i) const { return index_at(array.data(), type, i); }
  };
  static Numbers numbers(const py::handle& object, const char* name) {
    const auto array = py::reinterpret_borrow<py::object>(object).cast<py::array>();
    require_contiguous(array, name);
    return {array, index_type_of(array, name)};
  }

  void add_rows(const py::array& array, const py::tuple& parts) {
    const Numbers offsets = numbers(parts[2], "offsets");
    const bool gaps = !parts[3].is_none();
    const Numbers lengths = gaps ? numbers(parts[3], "lengths") : offsets;
    const std::int64_t segments = offsets.array.size() - 1;
    if (segments < 0 || (gaps && lengths.array.size() != segments)) refuse("has lengths that do not fit");
    const DenseView whole = dense_view(array, dtype_);
    views_.reserve(static_cast<std::size_t>(segments));
    for (std::int64_t i = 0; i < segments; ++i) {
      const std::int64_t begin = offsets[i], length = gaps ? lengths[i] : offsets[i + 1] - begin;
      if (begin < 0 || length < 0 || begin > whole.rows - length) refuse("has rows outside of its values");
      DenseView view = whole;
      view.data = static_cast<char*>(whole.data) +
                  begin * whole.row_stride * static_cast<std::int64_t>(size_of(dtype_));
      view.rows = length;
      views_.push_back(kind_ == "columns" ? view.transposed() : view);
    }
  }

  void add_blocks(const py::array& array, const py::tuple& parts) {
    const Numbers offsets = numbers(parts[2], "offsets"), rows = numbers(parts[3], "rows"),
                  cols = numbers(parts[4], "cols");
    require_contiguous(array, name_);
    const std::int64_t segments = rows.array.size();
    if (cols.array.size() != segments || offsets.array.size() != segments + 1) refuse("has unequal parts");
    views_.reserve(static_cast<std::size_t>(segments));
    char* data = static_cast<char*>(const_cast<void*>(array.data()));
    for (std::int64_t i = 0; i < segments; ++i) {
      const std::int64_t begin = offsets[i], m = rows[i], n = cols[i];
      if (begin < 0 || m < 0 || n < 0 || (n > 0 && m > (array.size() - begin) / n)) {
        refuse("has blocks outside of its values");
      }
      const DenseView block{data + begin * static_cast<std::int64_t>(size_of(dtype_)), m, n, n, 1};
      views_.push_back(kind_ == "turned" ? block.transposed() : block);
    }
  }

  const char* name_;
  std::string kind_;
  DType dtype_ = DType::f32;
  std::vector<DenseView> views_;
};

GemmTypes types_of(DType left, DType right, DType out, const py::dtype& chain) {
  const DType computed = stored_dtype(chain);
  const auto integer = [](DType t) { return t == DType::i8 || t == DType::u8; };
  if (computed == DType::i32 || computed == DType::i64) {
    if (!integer(left) || !integer(right) || (out != DType::i32 && out != DType::i64)) {
      raise("DTypeError", "ragged_product: no native product of these dtypes");
    }
    return {left, right, out, DType::i32};
  }
  const auto stored = [&](DType t) { return t == computed || (computed == DType::f32 && t > DType::c128); };
  const bool rounded = computed == DType::f32 && (out == DType::f16 || out == DType::bf16);
  if (!stored(left) || !stored(right) || left >= DType::i32 || right >= DType::i32 ||
      (out != computed && !rounded)) {
    raise("DTypeError", "ragged_product: no native product of these dtypes");
  }
  return {left, right, out, computed};
}

// out[i] = left[i] @ right[i] for each segment. Returns the ISA that ran.
std::string ragged_product(const py::object& isa, const py::tuple& left, const py::tuple& right,
                           const py::tuple& out, const py::dtype& chain, int threads) {
  const Matrices a(left, "left"), b(right, "right"), c(out, "out");
  const Isa highest = isa_or_best(isa);
  const std::int64_t count = c.count();
  if (a.count() != count || b.count() != count) {
    raise("FormatError", "ragged_product: operands have unequal numbers of segments");
  }
  if (count == 0) return cpu::name_of(highest);
  const GemmTypes types = types_of(a.dtype(), b.dtype(), c.dtype(), chain);
  std::vector<GroupMember> members;
  members.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    members.push_back({a.at(i), b.at(i), c.at(i)});
    const auto& [left_view, right_view, result] = members.back();
    if (left_view.cols != right_view.rows || left_view.rows != result.rows ||
        right_view.cols != result.cols) {
      raise("ShapeError", "ragged_product: shapes of segment " + std::to_string(i) + " do not fit");
    }
  }
  Status status;
  {
    const ReleaseGil released;
    status = multiply_members(members.data(), count, types, highest,
                              threads > 0 ? std::min(threads, parallel::limit()) : parallel::limit());
  }
  if (status != Status::ok) throw std::bad_alloc();
  return cpu::name_of(gemm_isa(types.chain, highest));
}

// out[i] = left[i] times what products[i] holds, for each segment; (product, whether it is made for the
// transposes, work). Shapes are the caller's to check, as for any product.
void ragged_products(const py::list& products, const py::tuple& left, const py::tuple& out, int threads) {
  const Matrices a(left, "left"), c(out, "out");
  const auto count = static_cast<std::int64_t>(products.size());
  if (a.count() != count || c.count() != count) {
    raise("FormatError", "ragged_products: operands have unequal numbers of segments");
  }
  std::vector<ProductMember> members;
  members.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto parts = py::reinterpret_borrow<py::tuple>(products[static_cast<std::size_t>(i)]);
    const auto& bound = parts[0].cast<const BoundProduct&>();
    if (bound.other != a.dtype() || bound.out != c.dtype() || a.at(i).rows != c.at(i).rows) {
      raise("FormatError", "ragged_products: segment " + std::to_string(i) + " does not fit its product");
    }
    if (c.at(i).rows == 0 || c.at(i).cols == 0) continue;
    const bool turned = parts[1].cast<bool>();
    members.push_back({bound.product.get(), turned ? a.at(i).transposed() : a.at(i),
                       turned ? c.at(i).transposed() : c.at(i), parts[2].cast<std::int64_t>()});
  }
  Status status;
  {
    const ReleaseGil released;
    status = run_members(members, std::clamp(threads, 1, parallel::limit()));
  }
  if (status != Status::ok) throw std::bad_alloc();
}

// (values of three axes, offsets, lengths or None), checked so far that nothing can reach outside.
AttentionRows attention_rows(const py::tuple& parts, DType dtype, const char* name, std::int64_t segments) {
  const auto values = parts[0].cast<py::array>(), offsets = parts[1].cast<py::array>();
  if (values.ndim() != 3 || (values.flags() & py::array::c_style) == 0 ||
      stored_dtype(values.dtype()) != dtype) {
    raise("FormatError", std::string("attention: ") + name + " has another layout");
  }
  require_contiguous(offsets, "offsets");
  AttentionRows rows{values.data(),   offsets.data(), nullptr, index_type_of(offsets, "offsets"),
                     values.shape(1), values.shape(2)};
  if (!parts[2].is_none()) {
    const auto lengths = parts[2].cast<py::array>();
    require_contiguous(lengths, "lengths");
    if (lengths.size() != segments || index_type_of(lengths, "lengths") != rows.type) {
      raise("FormatError", "attention: lengths do not fit offsets");
    }
    rows.lengths = lengths.data();
  }
  if (offsets.size() != segments + 1) raise("FormatError", "attention: unequal numbers of segments");
  for (std::int64_t s = 0; s < segments; ++s) {
    if (rows.begin(s) < 0 || rows.length(s) < 0 || rows.begin(s) > values.shape(0) - rows.length(s)) {
      raise("FormatError", std::string("attention: ") + name + " has rows outside of its values");
    }
  }
  return rows;
}

std::string attention(const py::object& isa, const py::tuple& q, const py::tuple& k, const py::tuple& v,
                      py::array out, const py::array& out_offsets, double scale, std::int64_t before,
                      std::int64_t after, int threads) {
  require_contiguous(out_offsets, "out_offsets");
  const std::int64_t segments = out_offsets.size() - 1;
  const DType dtype = stored_dtype(out.dtype());
  if (segments < 0 || index_type_of(out_offsets, "out_offsets") != IndexType::i64 ||
      (dtype != DType::f32 && dtype != DType::f64 && dtype != DType::f16 && dtype != DType::bf16)) {
    raise("FormatError", "attention: out does not fit");
  }
  AttentionArgs args{};
  args.q = attention_rows(q, dtype, "q", segments);
  args.k = attention_rows(k, dtype, "k", segments);
  args.v = attention_rows(v, dtype, "v", segments);
  args.out_offsets = static_cast<const std::int64_t*>(out_offsets.data());
  bool fits = args.q.width == args.k.width && args.k.heads == args.v.heads && args.k.heads > 0 &&
              args.q.heads % args.k.heads == 0 && before >= 0 && after >= 0 && out.ndim() == 3 &&
              (out.flags() & py::array::c_style) != 0 && out.shape(1) == args.q.heads &&
              out.shape(2) == args.v.width;
  for (std::int64_t s = 0; fits && s < segments; ++s) {
    fits = args.k.length(s) == args.v.length(s) && args.out_offsets[s] >= 0 &&
           args.out_offsets[s] <= out.shape(0) - args.q.length(s);
  }
  if (!fits) raise("FormatError", "attention: shapes do not fit");
  args.out = out.mutable_data();
  args.scale = scale;
  args.before = before;
  args.after = after;
  const Isa highest = isa_or_best(isa);
  Status status;
  {
    const ReleaseGil released;
    status = attend(args, segments, dtype, highest,
                    threads > 0 ? std::min(threads, parallel::limit()) : parallel::limit());
  }
  if (status != Status::ok) throw std::bad_alloc();
  return cpu::name_of(find_kernel(KernelId::attention, dtype, IndexType::i32, highest).isa);
}

}  // namespace

void add_ragged(py::module_& m) {
  m.def("ragged_product", &ragged_product, py::arg("isa"), py::arg("left"), py::arg("right"), py::arg("out"),
        py::arg("chain"), py::arg("threads") = 0);
  m.def("ragged_products", &ragged_products, py::arg("products"), py::arg("left"), py::arg("out"),
        py::arg("threads"));
  m.def("attention", &attention, py::arg("isa"), py::arg("q"), py::arg("k"), py::arg("v"), py::arg("out"),
        py::arg("out_offsets"), py::arg("scale"), py::arg("before"), py::arg("after"),
        py::arg("threads") = 0);
}

}  // namespace deepgemm::bindings
