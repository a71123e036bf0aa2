#include "core/sell.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "core/cast.h"
#include "core/dense.h"
#include "core/kernel_args.h"
#include "core/kernel_table.h"
#include "core/parallel.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 4000;  // entries, about a nanosecond each
constexpr std::int64_t kBuildWorkPerTask = 1 << 14;
constexpr std::int64_t kRowWork = 4;   // to sort and place a row, in entries that are moved
constexpr std::size_t kOverread = 64;  // kernels read whole vectors up to the end

constexpr int kMostLanes = 16;

// What values are computed with.
DType chain_of(DType stored) { return size_of(stored) < sizeof(float) ? DType::f32 : stored; }

// Sorts the rows of one window by falling length; equal lengths stay in order, so that matrices with
// rows of one length keep their order altogether.
template <class I>
void sort_window(const I* indptr, std::int64_t begin, std::int64_t end, SellStructure& out) {
  // Counting sort over lengths clipped to a window's worth of bins; longer rows are put in order
  // afterwards, there are few.
  constexpr int kBins = 512;
  std::int32_t lengths[kSellWindow], count[kBins + 1] = {};
  const auto bin = [&](std::int64_t r) { return kBins - 1 - std::min(lengths[r - begin], kBins - 1); };
  for (std::int64_t r = begin; r < end; ++r) {
    lengths[r - begin] = static_cast<std::int32_t>(indptr[r + 1] - indptr[r]);
    ++count[bin(r) + 1];
  }
  for (int b = 0; b < kBins; ++b) count[b + 1] += count[b];
  const std::int32_t clipped = count[1];
  std::int32_t* row = out.row.data() + begin;
  for (std::int64_t r = begin; r < end; ++r) row[count[bin(r)]++] = static_cast<std::int32_t>(r);
  std::stable_sort(row, row + clipped,
                   [&](std::int32_t a, std::int32_t b) { return lengths[a - begin] > lengths[b - begin]; });
  for (std::int64_t i = 0; i < end - begin; ++i) out.length[begin + i] = lengths[row[i] - begin];
}

// Says how the columns of one slice are told, and for now how many entries and units of 16 bits it takes.
// Rows are sorted, so their ends tell the span. Returns whether rows stand in their own order.
template <class I>
bool measure_slice(const CompressedView& s, std::int64_t number, SellStructure& out) {
  constexpr std::int64_t kMostOffset = 0xffff;
  const I* indptr = static_cast<const I*>(s.indptr);
  const I* indices = static_cast<const I*>(s.indices);
  const std::int64_t first = number * out.lanes, last = std::min(first + out.lanes, out.rows);
  std::int64_t entries = 0, left = s.minor, right = 0, widest = 0;
  bool in_order = true;
  for (std::int64_t r = first; r < last; ++r) {
    in_order &= out.row[r] == r;
    widest += out.length[r] == out.length[first];
    entries += out.length[r];
    if (out.length[r] == 0 || s.minor <= kMostOffset + 1) continue;
    const std::int64_t p = indptr[out.row[r]];
    left = std::min<std::int64_t>(left, indices[p]);
    right = std::max<std::int64_t>(right, indices[p + out.length[r] - 1]);
  }
  if (s.minor <= kMostOffset + 1 || left > right) left = right = 0;
  const bool narrow = right - left <= kMostOffset;
  const std::int64_t stored = entries + (out.lanes - widest);
  out.slices[number] = {entries, narrow ? stored + (stored & 1) : 2 * stored, narrow ? left : -1};
  return in_order;
}

// Sorts rows, says how columns are told, and where each slice starts.
template <class I>
void arrange(const CompressedView& s, SellStructure& out, int threads) {
  const std::int64_t windows = (s.major + kSellWindow - 1) / kSellWindow;
  const std::int64_t tasks = std::min(parallel::task_count(threads, kRowWork * s.major, kBuildWorkPerTask),
                                      std::max<std::int64_t>(windows, 1));
  std::atomic<bool> in_order{true};
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    bool mine = true;
    for (std::int64_t w = windows * task / tasks; w < windows * (task + 1) / tasks; ++w) {
      const std::int64_t begin = w * kSellWindow, end = std::min(begin + kSellWindow, s.major);
      sort_window(static_cast<const I*>(s.indptr), begin, end, out);
      for (std::int64_t slice = begin / out.lanes; slice * out.lanes < end; ++slice)
        mine &= measure_slice<I>(s, slice, out);
    }
    if (!mine) in_order.store(false, std::memory_order_relaxed);
  });
  out.in_order = in_order.load(std::memory_order_relaxed);
  std::int64_t entry = 0, offset = 0;
  for (SellSlice& slice : out.slices) {
    entry += std::exchange(slice.entry, entry);
    offset += std::exchange(slice.offset, offset);
  }
}

// Calls put(from, to) for every entry of a slice: its place in CSR and its place in the slice.
template <class I, class Put>
void for_each_entry(const I* indptr, const SellStructure& sell, std::int64_t slice, const Put& put) {
  const std::int64_t first = slice * sell.lanes;
  const std::int32_t* length = sell.length.data() + first;
  std::int64_t start[kMostLanes];
  int active = static_cast<int>(std::min<std::int64_t>(sell.lanes, sell.rows - first));
  for (int r = 0; r < active; ++r) start[r] = indptr[sell.row[static_cast<std::size_t>(first + r)]];
  std::int64_t to = 0;
  for (std::int32_t t = 0; active > 0; ++t) {
    while (active > 0 && length[active - 1] <= t) --active;
    for (int r = 0; r < active; ++r) put(start[r] + t, to++);
  }
}

template <class Body>
void for_each_slice(const SellStructure& sell, int threads, const Body& body) {
  const std::int64_t slices = sell.slice_count();
  const std::int64_t tasks = std::min(parallel::task_count(threads, sell.nnz + sell.rows, kBuildWorkPerTask),
                                      std::max<std::int64_t>(slices, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    for (std::int64_t slice = slices * task / tasks; slice < slices * (task + 1) / tasks; ++slice)
      body(slice);
  });
}

template <class T, class I>
void fill_values(const CompressedView& s, const SellStructure& sell, T* values, int threads) {
  const T* from = static_cast<const T*>(s.values);
  for_each_slice(sell, threads, [&](std::int64_t slice) {
    T* to = values + sell.slices[static_cast<std::size_t>(slice)].entry;
    for_each_entry(static_cast<const I*>(s.indptr), sell, slice,
                   [&](std::int64_t p, std::int64_t q) { to[q] = from[p]; });
  });
}

// Both at once, because most of the time goes into finding the entries.
template <class T, class I>
void fill_all(const CompressedView& s, const SellStructure& sell, T* values, int threads) {
  const I* indptr = static_cast<const I*>(s.indptr);
  const I* indices = static_cast<const I*>(s.indices);
  const T* from = static_cast<const T*>(s.values);
  std::uint16_t* offsets = static_cast<std::uint16_t*>(sell.offsets.data());
  for_each_slice(sell, threads, [&](std::int64_t number) {
    const SellSlice& slice = sell.slices[static_cast<std::size_t>(number)];
    const SellSlice& next = sell.slices[static_cast<std::size_t>(number) + 1];
    T* to = values + slice.entry;
    const std::int64_t entries = next.entry - slice.entry;
    if (slice.base >= 0) {
      std::uint16_t* narrow = offsets + slice.offset;
      for_each_entry(indptr, sell, number, [&](std::int64_t p, std::int64_t q) {
        to[q] = from[p];
        narrow[q] = static_cast<std::uint16_t>(indices[p] - slice.base);
      });
      std::fill(narrow + entries, offsets + next.offset, std::uint16_t{0});
    } else {
      std::int32_t* wide = reinterpret_cast<std::int32_t*>(offsets + slice.offset);
      for_each_entry(indptr, sell, number, [&](std::int64_t p, std::int64_t q) {
        to[q] = from[p];
        wide[q] = static_cast<std::int32_t>(indices[p]);
      });
      std::fill(wide + entries, reinterpret_cast<std::int32_t*>(offsets + next.offset), 0);
    }
  });
}

// Calls body(values, type of indices) with typed arguments.
template <class Body>
void typed(const CompressedView& s, void* values, const Body& body) {
  const auto indexed = [&](auto* target) {
    if (s.index_type == IndexType::i32) {
      body(target, std::int32_t{});
    } else {
      body(target, std::int64_t{});
    }
  };
  switch (size_of(s.dtype)) {  // values are moved as their bits
    case 8:
      return indexed(static_cast<std::uint64_t*>(values));
    case 4:
      return indexed(static_cast<std::uint32_t*>(values));
    case 2:
      return indexed(static_cast<std::uint16_t*>(values));
    default:
      return indexed(static_cast<std::uint8_t*>(values));
  }
}

// A layout of this structure whose values are yet to come; null when there is no memory for them.
std::unique_ptr<Sell> without_values(const CompressedView& s,
                                     std::shared_ptr<const SellStructure> structure) {
  auto sell = std::make_unique<Sell>();
  const std::size_t bytes = static_cast<std::size_t>(s.nnz) * size_of(s.dtype);
  if (!sell->values.resize(bytes + kOverread)) return nullptr;
  std::memset(static_cast<char*>(sell->values.data()) + bytes, 0, kOverread);
  sell->structure = std::move(structure);
  sell->dtype = s.dtype;
  return sell;
}

class SellProduct final : public Product {
 public:
  SellProduct(std::shared_ptr<const Sell> sell, DType other, DType out, const FoundKernel& found)
      : sell_(std::move(sell)), other_(other), out_(out), found_(found) {
    for (std::int64_t slice = 0; slice < sell_->structure->slice_count(); ++slice) {
      heaviest_ = std::max(heaviest_, work_before(2 * slice + 2) - work_before(2 * slice));
    }
  }

  const char* kernel() const override {
    return size_of(sell_->dtype) < sizeof(float) ? "sell_vector_narrow" : "sell_vector";
  }
  Isa isa() const override { return found_.isa; }

  // Vectors of other dtypes than the chain's are widened before, and rounded behind the product.
  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    const DType chain = chain_of(sell_->dtype);
    const auto floats = [&](DType dtype, const DenseView& v) {
      return dtype == chain ? std::size_t{0}
                            : (static_cast<std::size_t>(v.rows) * sizeof(float) + 63) / 64 * 64;
    };
    const std::size_t x_bytes = floats(other_, x), y_bytes = floats(out_, y);
    if (x_bytes + y_bytes == 0) return multiply(x, y, threads);
    const Workspace memory(x_bytes + y_bytes);
    char* const buffer = static_cast<char*>(memory.data());
    if (buffer == nullptr) return Status::no_memory;
    const DenseView wide{buffer, x.rows, 1, 1, 1}, sums{buffer + x_bytes, y.rows, 1, 1, 1};
    if (x_bytes > 0) cast(x, other_, wide, chain, isa(), threads);
    const Status status = multiply(x_bytes > 0 ? wide : x, y_bytes > 0 ? sums : y, threads);
    if (y_bytes > 0 && status == Status::ok) cast(sums, chain, y, out_, isa(), threads);
    return status;
  }

 private:
  Status multiply(const DenseView& x, const DenseView& y, int threads) const {
    const SellStructure& s = *sell_->structure;
    const dense::ContiguousVector vector(x, size_of(chain_of(sell_->dtype)), threads);
    if (vector.data() == nullptr) return Status::no_memory;
    // Where one slice is well over a thread's share, as with few rows, threads take halves of slices, which
    // wait longer for their chains (a slice of 1.04 shares: 18 us whole, 25 in halves).
    const std::int64_t all = 2 * s.slice_count(), work = work_before(all);
    const bool halves = threads > 1 && 4 * heaviest_ * threads > 5 * work;
    const std::int64_t step = halves ? 1 : 2;
    const SellArgs args{s.slices.data(),
                        s.length.data(),
                        s.row.data(),
                        static_cast<const std::uint16_t*>(s.offsets.data()),
                        sell_->values.data(),
                        vector.data(),
                        y.data,
                        y.row_stride,
                        s.rows,
                        s.in_order,
                        halves};
    const std::int64_t tasks = std::min(parallel::task_count(threads, work, kWorkPerTask), all / step);
    parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
      found_.run(&args, first_half(task, tasks, step) / step, first_half(task + 1, tasks, step) / step,
                 thread, nullptr);
    });
    return Status::ok;
  }

  // Work of the halves of slices before `half`: entries, and two more for each row.
  std::int64_t work_before(std::int64_t half) const {
    const SellStructure& s = *sell_->structure;
    std::int64_t work = s.slices[static_cast<std::size_t>(half / 2)].entry + s.lanes * half;
    if (half % 2 != 0) {
      const auto first = s.length.begin() + half / 2 * s.lanes;
      work = std::accumulate(first, first + s.lanes / 2, work);
    }
    return work;
  }

  // First half of a task, a multiple of `step`; tasks cover all, in order, by work.
  std::int64_t first_half(std::int64_t task, std::int64_t tasks, std::int64_t step) const {
    const std::int64_t all = 2 * sell_->structure->slice_count();
    const double share = static_cast<double>(task) / static_cast<double>(tasks);
    const double target = share * static_cast<double>(work_before(all));
    std::int64_t low = 0, high = all / step;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (static_cast<double>(work_before(middle * step)) < target) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low * step;
  }

  std::shared_ptr<const Sell> sell_;
  DType other_, out_;
  FoundKernel found_;
  std::int64_t heaviest_ = 0;  // work of the slice that has most
};

}  // namespace

std::unique_ptr<Sell> build_sell(const CompressedView& s, int threads) try {
  auto structure = std::make_shared<SellStructure>();
  SellStructure& made = *structure;
  made.rows = s.major;
  made.cols = s.minor;
  made.nnz = s.nnz;
  made.lanes = static_cast<int>(64 / size_of(chain_of(s.dtype)));
  const std::int64_t slices = (s.major + made.lanes - 1) / made.lanes;
  made.length.resize(static_cast<std::size_t>(slices * made.lanes));
  made.row.resize(static_cast<std::size_t>(s.major));
  made.slices.resize(static_cast<std::size_t>(slices) + 1);

  if (s.index_type == IndexType::i32) {
    arrange<std::int32_t>(s, made, threads);
  } else {
    arrange<std::int64_t>(s, made, threads);
  }
  if (!made.offsets.resize(static_cast<std::size_t>(made.slices.back().offset) * 2)) return nullptr;
  auto sell = without_values(s, structure);
  if (sell == nullptr) return nullptr;
  typed(s, sell->values.data(),
        [&]<class T, class I>(T* values, I) { fill_all<T, I>(s, made, values, threads); });
  return sell;
} catch (const std::bad_alloc&) {
  return nullptr;
}

std::unique_ptr<Sell> refill_sell(const Sell& old, const CompressedView& s, int threads) try {
  auto sell = without_values(s, old.structure);
  if (sell == nullptr) return nullptr;
  typed(s, sell->values.data(),
        [&]<class T, class I>(T* values, I) { fill_values<T, I>(s, *old.structure, values, threads); });
  return sell;
} catch (const std::bad_alloc&) {
  return nullptr;
}

std::unique_ptr<Product> make_sell_product(std::shared_ptr<const Sell> sell, DType other, DType out,
                                           Isa highest) {
  const FoundKernel found = find_kernel(KernelId::sell_vector, sell->dtype, IndexType::i32, highest);
  if (found.run == nullptr) return nullptr;
  return std::make_unique<SellProduct>(std::move(sell), other, out, found);
}

}  // namespace deepgemm
