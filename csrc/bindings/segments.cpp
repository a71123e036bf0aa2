// Operations within segments for Python.
#include <algorithm>

#include "bindings/bound.h"
#include "core/cpu.h"
#include "core/parallel.h"
#include "core/segments.h"

namespace deepgemm::bindings {
namespace {

struct Operation {
  const char* name;
  KernelId id;
  bool reduces;
};

constexpr Operation kOperations[] = {
    {"sum", KernelId::segment_sum, true},
    {"max", KernelId::segment_max, true},
    {"min", KernelId::segment_min, true},
    {"argmax", KernelId::segment_argmax, true},
    {"argmin", KernelId::segment_argmin, true},
    {"softmax", KernelId::segment_softmax, false},
    {"log_softmax", KernelId::segment_log_softmax, false},
    {"layer_norm", KernelId::segment_layer_norm, false},
    {"cumsum", KernelId::segment_cumsum, false},
};

const Operation& operation_of(const std::string& name) {
  for (const Operation& operation : kOperations) {
    if (name == operation.name) return operation;
  }
  throw py::value_error("unknown operation " + name);
}

void require_c_order(const py::array& array, const char* name) {
  if ((array.flags() & py::array::c_style) == 0)
    raise("FormatError", std::string(name) + " must be contiguous");
}

// Rows of `values` in segments, checked so far that offsets which were validated once cannot reach outside.
SegmentArgs segment_args(const py::array& offsets, const py::object& lengths, const py::array& values) {
  require_contiguous(offsets, "offsets");
  require_c_order(values, "values");
  const IndexType type = index_type_of(offsets, "offsets");
  SegmentArgs args{};
  args.offsets = offsets.data();
  args.wide = type == IndexType::i64;
  args.values = values.data();
  if (offsets.size() < 1 || values.ndim() < 1) raise("FormatError", "offsets or values are empty");
  const std::int64_t segments = offsets.size() - 1;
  if (!lengths.is_none()) {
    const auto array = lengths.cast<py::array>();
    require_contiguous(array, "lengths");
    if (index_type_of(array, "lengths") != type || array.size() != segments) {
      raise("FormatError", "lengths do not fit offsets");
    }
    args.lengths = array.data();
  }
  if (index_at(args.offsets, type, segments) > values.shape(0)) {
    raise("FormatError", "offsets reach beyond values");
  }
  args.columns = values.ndim() == 1 ? 0 : 1;
  for (py::ssize_t axis = 1; axis < values.ndim(); ++axis) args.columns *= values.shape(axis);
  return args;
}

// Returns the ISA that ran.
std::string segments_into(const std::string& name, const py::object& isa, const py::array& offsets,
                          const py::object& lengths, const py::array& values, py::array out, double epsilon) {
  const Operation& operation = operation_of(name);
  SegmentArgs args = segment_args(offsets, lengths, values);
  const DType dtype = dtype_of(values, "values");
  const bool places = operation.id == KernelId::segment_argmax || operation.id == KernelId::segment_argmin;
  const std::int64_t segments = offsets.size() - 1, row = values.ndim() == 1 ? 1 : args.columns;
  require_c_order(out, "out");
  if (out.size() != (operation.reduces ? segments * row : values.size()) || is_complex(dtype) ||
      (places ? index_type_of(out, "out") != IndexType::i64 : dtype_of(out, "out") != dtype)) {
    raise("FormatError", "segments: out does not fit values");
  }
  args.out = out.mutable_data();
  args.epsilon = epsilon;
  const Isa highest = isa_or_best(isa);
  if (segments == 0 || row == 0) return cpu::name_of(highest);
  Isa ran;
  {
    const ReleaseGil released;
    ran = run_segments(operation.id, args, segments, dtype, highest, parallel::limit());
  }
  return cpu::name_of(ran);
}

KeyType key_type(const py::array& keys) {
  if (keys.dtype().kind() == 'i') {
    index_type_of(keys, "keys");
    return KeyType::i64;
  }
  return dtype_of(keys, "keys") == DType::f32 ? KeyType::f32 : KeyType::f64;
}

void segment_order_into(const py::array& offsets, const py::object& lengths, const py::array& keys,
                        std::int64_t most, bool descending, py::array places) {
  SegmentArgs args = segment_args(offsets, lengths, keys);
  const KeyType type = key_type(keys);
  args.columns = std::max<std::int64_t>(keys.ndim() == 1 ? 1 : args.columns, 0);
  if (keys.dtype().itemsize() != (type == KeyType::f32 ? 4 : 8)) raise("DTypeError", "keys must be int64");
  const std::int64_t segments = offsets.size() - 1;
  const IndexType index = args.wide ? IndexType::i64 : IndexType::i32;
  std::int64_t rows = 0;
  for (std::int64_t s = 0; s < segments; ++s) {
    const std::int64_t length = args.lengths != nullptr
                                    ? index_at(args.lengths, index, s)
                                    : index_at(args.offsets, index, s + 1) - index_at(args.offsets, index, s);
    rows += std::min(length, most);
  }
  require_c_order(places, "places");
  if (index_type_of(places, "places") != IndexType::i64 || places.size() != rows * args.columns || most < 0) {
    raise("FormatError", "places do not fit keys");
  }
  std::int64_t* out = static_cast<std::int64_t*>(places.mutable_data());
  if (args.columns == 0) return;
  Status status;
  {
    const ReleaseGil released;
    status = segment_order(args, segments, type, most, descending, parallel::limit(), out);
  }
  if (status != Status::ok) throw std::bad_alloc();
}

}  // namespace

void add_segments(py::module_& m) {
  m.def("segments", &segments_into, py::arg("operation"), py::arg("isa"), py::arg("offsets"),
        py::arg("lengths"), py::arg("values"), py::arg("out"), py::arg("epsilon") = 0.0);
  m.def("segment_order", &segment_order_into, py::arg("offsets"), py::arg("lengths"), py::arg("keys"),
        py::arg("most"), py::arg("descending"), py::arg("places"));
}

}  // namespace deepgemm::bindings
