// Embedding bags for Python.
#include <algorithm>
#include <string>
#include <vector>

#include "bindings/bound.h"
#include "core/bag_updates.h"
#include "core/bags.h"
#include "core/cpu.h"
#include "core/id_order.h"
#include "core/parallel.h"

namespace deepgemm::bindings {
namespace {

std::int64_t index_pair(const py::array& offsets, const py::object& lengths, const void*& where,
                        const void*& counts, bool& wide) {
  require_contiguous(offsets, "offsets");
  const IndexType type = index_type_of(offsets, "offsets");
  if (offsets.size() < 1) raise("FormatError", "offsets are empty");
  where = offsets.data();
  wide = type == IndexType::i64;
  counts = nullptr;
  const std::int64_t bags = offsets.size() - 1;
  if (!lengths.is_none()) {
    const auto array = lengths.cast<py::array>();
    require_contiguous(array, "lengths");
    if (index_type_of(array, "lengths") != type || array.size() != bags) {
      raise("FormatError", "lengths do not fit offsets");
    }
    counts = array.data();
  }
  return bags;
}

void read_ids(const py::array& ids, const py::object& weights, DType chain, BagArgs& args) {
  require_contiguous(ids, "ids");
  args.ids = ids.data();
  args.wide_ids = index_type_of(ids, "ids") == IndexType::i64;
  args.id_count = ids.size();
  args.weights = nullptr;
  if (weights.is_none()) return;
  const auto array = weights.cast<py::array>();
  require_contiguous(array, "weights");
  if (dtype_of(array, "weights") != chain || array.size() != ids.size()) {
    raise("FormatError", "weights do not fit ids");
  }
  args.weights = array.data();
}

OutOfRange out_of_range_of(const std::string& name) {
  if (name == "raise") return OutOfRange::refuse;
  if (name == "zero") return OutOfRange::zero;
  if (name == "clip") return OutOfRange::clip;
  throw py::value_error("unknown out_of_range " + name);
}

DType row_dtype(const std::string& name, const py::array& rows) {
  if (name == "int4" || name == "uint4") return DType::u4;
  if (name == "int2" || name == "uint2") return DType::u2;
  return stored_dtype(rows.dtype());
}

int bits_of(DType dtype) {
  if (dtype == DType::u4) return 4;
  if (dtype == DType::u2) return 2;
  return 8 * static_cast<int>(size_of(dtype));
}

// One number for each row of the table, or one for all.
const void* per_row(const py::object& numbers, const char* name, std::int64_t rows, std::int64_t& step) {
  const auto array = numbers.cast<py::array>();
  require_contiguous(array, name);
  if (array.size() != rows && array.size() != 1) raise("FormatError", std::string(name) + " do not fit rows");
  step = array.size() == 1 ? 0 : 1;
  return array.data();
}

// (rows, name of their dtype, columns, scales, shifts, zero points)
BagTable table_of(const py::tuple& parts, DType& dtype, std::int64_t& columns) {
  const auto rows = parts[0].cast<py::array>();
  const auto name = parts[1].cast<std::string>();
  dtype = row_dtype(name, rows);
  columns = parts[2].cast<std::int64_t>();
  const int bits = bits_of(dtype);
  const bool packed = bits < 8;
  if (rows.ndim() != 2 || (columns * bits + 7) / 8 > rows.shape(1) * rows.itemsize() ||
      (rows.size() > 0 && rows.shape(1) > 1 && rows.strides(1) != rows.itemsize())) {
    raise("FormatError", "rows do not fit columns");
  }
  BagTable table{};
  table.rows = static_cast<const unsigned char*>(rows.data());
  table.row_bytes = rows.strides(0);
  table.count = rows.shape(0);
  const bool is_signed = name[0] == 'i';
  if (packed && is_signed) {
    table.flipped = bits == 4 ? 0x88 : 0xaa;
    table.raised = 1 << (bits - 1);
  }
  if (parts[3].is_none() == (dtype == DType::i8 || dtype == DType::u8 || packed)) {
    raise("FormatError", "scales are for quantised rows");
  }
  if (parts[3].is_none()) return table;
  table.scale_type = stored_dtype(parts[3].cast<py::array>().dtype());
  if (table.scale_type != DType::f32 && table.scale_type != DType::f16 && table.scale_type != DType::bf16) {
    raise("DTypeError", "scales are of a dtype that no kernel reads");
  }
  table.scales = per_row(parts[3], "scales", table.count, table.scale_step);
  std::int64_t step = table.scale_step;
  if (!parts[4].is_none()) {
    if (stored_dtype(parts[4].cast<py::array>().dtype()) != table.scale_type) {
      raise("DTypeError", "shifts and scales are of different dtypes");
    }
    table.shifts = per_row(parts[4], "shifts", table.count, step);
  }
  if (step == table.scale_step && !parts[5].is_none()) {
    const DType type = stored_dtype(parts[5].cast<py::array>().dtype());
    if (type != DType::i8 && type != DType::u8) raise("DTypeError", "zero points are no bytes");
    table.zero_points_signed = type == DType::i8;
    table.zero_points = per_row(parts[5], "zero points", table.count, step);
  }
  if (step != table.scale_step) raise("FormatError", "scales, shifts and zero points differ in length");
  return table;
}

// (table, ids, offsets, lengths, weights, padding)
BagFeature feature_of(const py::tuple& parts, OutOfRange out_of_range, bool mean) {
  BagFeature feature{};
  BagArgs& args = feature.args;
  args.table = table_of(parts[0].cast<py::tuple>(), feature.dtype, args.columns);
  feature.row_size = (args.columns * bits_of(feature.dtype) + 7) / 8;
  const DType chain = feature.dtype == DType::f64 ? DType::f64 : DType::f32;
  read_ids(parts[1].cast<py::array>(), parts[4].cast<py::object>(), chain, args);
  feature.bags = index_pair(parts[2].cast<py::array>(), parts[3].cast<py::object>(), args.offsets,
                            args.lengths, args.wide);
  args.padding = parts[5].cast<std::int64_t>();
  args.out_of_range =
      args.table.count == 0 && out_of_range == OutOfRange::clip ? OutOfRange::refuse : out_of_range;
  args.mean = mean;
  return feature;
}

// Returns (feature, position) of the first id that is no row, where those are refused; else the ISA that ran.
py::object bags_into(const std::string& mode, const py::object& isa, const py::list& parts,
                     const std::string& out_of_range, py::array out) {
  if (mode != "sum" && mode != "mean" && mode != "max") throw py::value_error("unknown mode " + mode);
  std::vector<BagFeature> features;
  const DType out_type = stored_dtype(out.dtype());
  std::int64_t column = 0;
  for (const py::handle part : parts) {
    BagFeature feature = feature_of(part.cast<py::tuple>(), out_of_range_of(out_of_range), mode == "mean");
    const bool wide = feature.dtype == DType::f64;
    if (wide != (out_type == DType::f64) || (out_type != DType::f64 && out_type != DType::f32 &&
                                             out_type != DType::f16 && out_type != DType::bf16)) {
      raise("DTypeError", "out has a dtype that no kernel writes");
    }
    feature.args.out_type = out_type;
    if (out.ndim() != 2 || feature.bags != out.shape(0)) raise("FormatError", "out does not fit the bags");
    feature.args.out_bytes = out.strides(0);
    feature.args.out = static_cast<unsigned char*>(out.mutable_data()) + column * out.itemsize();
    column += feature.args.columns;
    features.push_back(feature);
  }
  if (out.ndim() != 2 || column != out.shape(1) || (out.flags() & py::array::c_style) == 0) {
    raise("FormatError", "out does not fit the tables");
  }
  const Isa highest = isa_or_best(isa);
  const KernelId id = mode == "max" ? KernelId::bag_max : KernelId::bag_sum;
  for (const BagFeature& feature : features) {
    if (find_kernel(id, feature.dtype, IndexType::i32, highest).run == nullptr) {
      raise("DTypeError", "rows have a dtype that no kernel reads");
    }
  }
  BagOutcome outcome;
  {
    const ReleaseGil released;
    outcome = run_bags(id, features, highest, parallel::limit());
  }
  if (outcome.feature >= 0) return py::make_tuple(outcome.feature, outcome.position);
  return py::cast(cpu::name_of(features.empty() ? highest : outcome.isa));
}

py::array_t<std::int64_t> array_of(const std::vector<std::int64_t>& numbers) {
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(numbers.size()), numbers.data());
}

// (rows, offsets, places, bags) of the rows that bags name, or the position of the first id that is none.
py::object order_of_ids(const py::array& ids, const py::array& offsets, const py::object& lengths,
                        std::int64_t rows, std::int64_t padding, const std::string& out_of_range) {
  BagArgs args{};
  read_ids(ids, py::none(), DType::f32, args);
  const std::int64_t bags = index_pair(offsets, lengths, args.offsets, args.lengths, args.wide);
  args.table.count = rows;
  args.padding = padding;
  args.out_of_range = rows > 0 ? out_of_range_of(out_of_range) : OutOfRange::refuse;
  IdOrder order;
  bool done;
  {
    const ReleaseGil released;
    done = order_ids(args, bags, order);
  }
  if (!done) throw std::bad_alloc();
  if (order.fault >= 0) return py::cast(order.fault);
  return py::make_tuple(array_of(order.rows), array_of(order.offsets), array_of(order.places),
                        array_of(order.bags));
}

Optimiser optimiser_of(const std::string& name) {
  if (name == "sgd") return Optimiser::sgd;
  if (name == "adagrad") return Optimiser::adagrad;
  if (name == "rowwise_adagrad") return Optimiser::rowwise_adagrad;
  throw py::value_error("unknown optimiser " + name);
}

// A matrix that is written: of that many columns, with rows that are contiguous.
unsigned char* written(py::array& array, const char* name, std::int64_t columns) {
  if (array.ndim() != 2 || array.shape(1) != columns || !is_writeable(array.ptr()) ||
      !has_element_strides(array.ptr(), array.itemsize()) ||
      (array.size() > 0 && columns > 1 && array.strides(1) != array.itemsize())) {
    raise("FormatError", std::string(name) + " cannot be stepped");
  }
  return static_cast<unsigned char*>(array.mutable_data());
}

// Steps the rows that order_of_ids() found. `gradient` has a row for each bag. Returns the ISA that ran.
std::string step_rows(const std::string& optimiser, const py::object& isa, py::array table,
                      const py::object& state, const py::array& rows, const py::array& gradient,
                      const py::array& bags, const py::array& offsets, const py::object& weights, double rate,
                      double epsilon) {
  BagUpdateArgs args{};
  args.optimiser = optimiser_of(optimiser);
  args.rate = rate;
  args.epsilon = epsilon;
  const DType dtype = stored_dtype(table.dtype());
  if (dtype != DType::f32 && dtype != DType::f64 && dtype != DType::f16 && dtype != DType::bf16) {
    raise("DTypeError", "table has a dtype that no kernel writes");
  }
  const DType chain = dtype == DType::f64 ? DType::f64 : DType::f32;
  if (dtype_of(gradient, "gradient") != chain || gradient.ndim() != 2 ||
      (gradient.flags() & py::array::c_style) == 0) {
    raise("FormatError", "gradient does not fit the table");
  }
  const std::int64_t columns = gradient.shape(1);
  args.table = written(table, "table", columns);
  args.table_bytes = table.strides(0);
  BagArgs& sums = args.gradients;
  sums.table.rows = static_cast<const unsigned char*>(gradient.data());
  sums.table.row_bytes = gradient.strides(0);
  sums.table.count = gradient.shape(0);
  read_ids(bags, weights, chain, sums);
  const std::int64_t count = index_pair(offsets, py::none(), sums.offsets, sums.lengths, sums.wide);
  sums.padding = -1;
  sums.out_of_range = OutOfRange::zero;
  sums.columns = columns;
  sums.out_type = chain;
  require_contiguous(rows, "rows");
  if (index_type_of(rows, "rows") != IndexType::i64 || rows.size() != count) {
    raise("FormatError", "rows do not fit offsets");
  }
  args.rows = static_cast<const std::int64_t*>(rows.data());
  for (std::int64_t i = 0; i < count; ++i) {
    if (args.rows[i] < 0 || args.rows[i] >= table.shape(0) || (i > 0 && args.rows[i] <= args.rows[i - 1])) {
      raise("FormatError", "rows are not ascending rows of the table");
    }
  }
  if (args.optimiser != Optimiser::sgd) {
    auto sums_of_squares = state.cast<py::array>();
    const bool one = args.optimiser == Optimiser::rowwise_adagrad;
    args.state = written(sums_of_squares, "state", one ? 1 : columns);
    args.state_bytes = sums_of_squares.strides(0);
    if (dtype_of(sums_of_squares, "state") != chain || sums_of_squares.shape(0) != table.shape(0)) {
      raise("FormatError", "state does not fit the table");
    }
  }
  const Isa highest = isa_or_best(isa);
  Isa ran = highest;
  Status status = Status::ok;
  if (columns > 0) {
    const ReleaseGil released;
    status = update_bags(args, count, dtype, highest, parallel::limit(), ran);
  }
  if (status != Status::ok) throw std::bad_alloc();
  return cpu::name_of(ran);
}

}  // namespace

void add_bags(py::module_& m) {
  m.def("bags", &bags_into, py::arg("mode"), py::arg("isa"), py::arg("parts"), py::arg("out_of_range"),
        py::arg("out"));
  m.def("order_ids", &order_of_ids, py::arg("ids"), py::arg("offsets"), py::arg("lengths"), py::arg("rows"),
        py::arg("padding"), py::arg("out_of_range"));
  m.def("step_rows", &step_rows, py::arg("optimiser"), py::arg("isa"), py::arg("table"), py::arg("state"),
        py::arg("rows"), py::arg("gradient"), py::arg("bags"), py::arg("offsets"), py::arg("weights"),
        py::arg("rate"), py::arg("epsilon"));
}

}  // namespace deepgemm::bindings
