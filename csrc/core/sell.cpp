#include "core/sell.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>

#include "core/dense.h"
#include "core/kernel_args.h"
#include "core/kernel_table.h"
#include "core/parallel.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 4000;  // entries, about a nanosecond each
constexpr std::int64_t kBuildWorkPerTask = 1 << 14;
constexpr std::size_t kOverread = 64;  // kernels read whole vectors up to the end

std::int64_t slice_count(const SellStructure& s) { return (s.rows + s.lanes - 1) / s.lanes; }

// Sorts the rows of one window by falling length; equal lengths stay in order, so that matrices with
// rows of one length keep their order altogether.
void sort_window(const CompressedView& s, std::int64_t begin, std::int64_t end, SellStructure& out) {
  std::int32_t* row = out.row.data();
  std::int32_t* length = out.length.data();
  for (std::int64_t r = begin; r < end; ++r) {
    row[r] = static_cast<std::int32_t>(r);
    length[r] = static_cast<std::int32_t>(index_at(s.indptr, s.index_type, r + 1) -
                                          index_at(s.indptr, s.index_type, r));
  }
  // Counting sort over lengths clipped to a window's worth of bins; longer rows are put in order
  // afterwards, there are few.
  constexpr int kBins = 512;
  std::int32_t count[kBins + 1] = {};
  std::int32_t sorted[kSellWindow];
  const auto bin = [&](std::int64_t r) { return kBins - 1 - std::min(length[r], kBins - 1); };
  for (std::int64_t r = begin; r < end; ++r) ++count[bin(r) + 1];
  for (int b = 0; b < kBins; ++b) count[b + 1] += count[b];
  const std::int32_t clipped = count[1];
  for (std::int64_t r = begin; r < end; ++r) sorted[count[bin(r)]++] = static_cast<std::int32_t>(r);
  std::stable_sort(sorted, sorted + clipped,
                   [&](std::int32_t a, std::int32_t b) { return length[a] > length[b]; });
  std::copy(sorted, sorted + (end - begin), row + begin);
  for (std::int64_t r = begin; r < end; ++r) {
    length[r] = static_cast<std::int32_t>(index_at(s.indptr, s.index_type, row[r] + 1) -
                                          index_at(s.indptr, s.index_type, row[r]));
  }
}

// Calls put(from, to) for every entry of a slice: its place in CSR and its place in the layout.
template <class Put>
void for_each_entry(const CompressedView& s, const SellStructure& sell, std::int64_t slice, const Put& put) {
  const std::int64_t first = slice * sell.lanes;
  const int rows = static_cast<int>(std::min<std::int64_t>(sell.lanes, sell.rows - first));
  std::int64_t start[16];
  for (int r = 0; r < rows; ++r) start[r] = index_at(s.indptr, s.index_type, sell.row[first + r]);
  std::int64_t to = sell.slice_start[slice];
  int active = rows;
  for (std::int32_t t = 0; active > 0; ++t) {
    while (active > 0 && sell.length[first + active - 1] <= t) --active;
    for (int r = 0; r < active; ++r) put(start[r] + t, to++);
  }
}

template <class Body>
void for_each_slice(const SellStructure& sell, int threads, const Body& body) {
  const std::int64_t slices = slice_count(sell);
  const std::int64_t tasks = std::min(parallel::task_count(threads, sell.nnz + sell.rows, kBuildWorkPerTask),
                                      std::max<std::int64_t>(slices, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    for (std::int64_t slice = slices * task / tasks; slice < slices * (task + 1) / tasks; ++slice)
      body(slice);
  });
}

template <class T>
void fill_values(const CompressedView& s, const SellStructure& sell, char* target, int threads) {
  const T* from = static_cast<const T*>(s.values);
  T* to = reinterpret_cast<T*>(target);
  for_each_slice(sell, threads, [&](std::int64_t slice) {
    for_each_entry(s, sell, slice, [&](std::int64_t p, std::int64_t q) { to[q] = from[p]; });
  });
}

std::unique_ptr<Sell> with_values(const CompressedView& s, std::shared_ptr<const SellStructure> structure,
                                  int threads) {
  const std::size_t bytes = static_cast<std::size_t>(s.nnz) * size_of(s.dtype);
  std::shared_ptr<char[]> values(new (std::nothrow) char[bytes + kOverread]);
  if (values == nullptr) return nullptr;
  std::memset(values.get() + bytes, 0, kOverread);
  if (s.dtype == DType::f32) {
    fill_values<float>(s, *structure, values.get(), threads);
  } else {
    fill_values<double>(s, *structure, values.get(), threads);
  }
  auto sell = std::make_unique<Sell>();
  sell->structure = std::move(structure);
  sell->values = std::move(values);
  sell->dtype = s.dtype;
  return sell;
}

class SellProduct final : public Product {
 public:
  SellProduct(std::shared_ptr<const Sell> sell, const FoundKernel& found)
      : sell_(std::move(sell)), found_(found) {}

  const char* kernel() const override { return "sell_vector"; }
  Isa isa() const override { return found_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    const SellStructure& s = *sell_->structure;
    const dense::ContiguousVector vector(x, size_of(sell_->dtype), threads);
    if (vector.data() == nullptr) return Status::no_memory;
    const SellArgs args{
        s.slice_start.data(), s.length.data(), s.row.data(), s.indices.data(), sell_->values.get(),
        vector.data(),        y.data,          y.row_stride, s.rows,           s.in_order};
    const std::int64_t slices = slice_count(s);
    const std::int64_t tasks = std::min(parallel::task_count(threads, s.nnz + s.rows, kWorkPerTask), slices);
    parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
      found_.run(&args, first_slice(task, tasks), first_slice(task + 1, tasks), thread, nullptr);
    });
    return Status::ok;
  }

 private:
  std::int64_t first_slice(std::int64_t task, std::int64_t tasks) const {
    const SellStructure& s = *sell_->structure;
    if (task >= tasks) return slice_count(s);
    const std::int64_t target = static_cast<std::int64_t>(
        static_cast<double>(s.nnz) * static_cast<double>(task) / static_cast<double>(tasks));
    // Slices without entries cost next to nothing; they go with whichever task they stand beside.
    return task == 0 ? 0
                     : std::lower_bound(s.slice_start.begin(), s.slice_start.end() - 1, target) -
                           s.slice_start.begin();
  }

  std::shared_ptr<const Sell> sell_;
  FoundKernel found_;
};

}  // namespace

std::unique_ptr<Sell> build_sell(const CompressedView& s, int threads) try {
  auto sell = std::make_shared<SellStructure>();
  sell->rows = s.major;
  sell->cols = s.minor;
  sell->nnz = s.nnz;
  sell->lanes = static_cast<int>(64 / size_of(s.dtype));
  sell->length.resize(static_cast<std::size_t>(s.major));
  sell->row.resize(static_cast<std::size_t>(s.major));
  sell->indices.resize(static_cast<std::size_t>(s.nnz) +
                       kOverread / 4);  // the excess stays 0: a valid column
  const std::int64_t slices = slice_count(*sell), windows = (s.major + kSellWindow - 1) / kSellWindow;
  sell->slice_start.resize(static_cast<std::size_t>(slices) + 1);

  const std::int64_t tasks =
      std::min(parallel::task_count(threads, s.major, kBuildWorkPerTask), std::max<std::int64_t>(windows, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    for (std::int64_t w = windows * task / tasks; w < windows * (task + 1) / tasks; ++w) {
      sort_window(s, w * kSellWindow, std::min((w + 1) * kSellWindow, s.major), *sell);
    }
  });
  std::int64_t start = 0;
  for (std::int64_t slice = 0; slice < slices; ++slice) {
    sell->slice_start[static_cast<std::size_t>(slice)] = start;
    for (std::int64_t r = slice * sell->lanes; r < std::min((slice + 1) * sell->lanes, s.major); ++r) {
      start += sell->length[static_cast<std::size_t>(r)];
      sell->in_order &= sell->row[static_cast<std::size_t>(r)] == r;
    }
  }
  sell->slice_start[static_cast<std::size_t>(slices)] = start;
  std::int32_t* indices = sell->indices.data();
  for_each_slice(*sell, threads, [&](std::int64_t slice) {
    for_each_entry(s, *sell, slice, [&](std::int64_t p, std::int64_t q) {
      indices[q] = static_cast<std::int32_t>(index_at(s.indices, s.index_type, p));
    });
  });
  return with_values(s, std::move(sell), threads);
} catch (const std::bad_alloc&) {
  return nullptr;
}

std::unique_ptr<Sell> refill_sell(const Sell& old, const CompressedView& s, int threads) try {
  return with_values(s, old.structure, threads);
} catch (const std::bad_alloc&) {
  return nullptr;
}

std::unique_ptr<Product> make_sell_product(std::shared_ptr<const Sell> sell, Isa highest) {
  const FoundKernel found = find_kernel(KernelId::sell_vector, sell->dtype, IndexType::i32, highest);
  if (found.run == nullptr) return nullptr;
  return std::make_unique<SellProduct>(std::move(sell), found);
}

}  // namespace deepgemm
