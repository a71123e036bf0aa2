#include "core/spgemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/spgemm_args.h"
#include "core/spgemm_memory.h"

namespace deepgemm {
namespace {

// A task should outlast the handing over of a task between threads a few times, and its piece of the
// result should not need much memory before it is known how long it is. Units are multiply-adds.
constexpr std::int64_t kLeastTask = 4096, kMostTask = 1 << 17;
constexpr std::int64_t kTasksPerThread = 8;
// Opening and closing a row, in multiply-adds.
constexpr std::int64_t kRowWork = 4;
// Accumulators for so many columns stay in a second-level cache; beyond, a row that is kHashShare times
// shorter than the columns is hashed.
constexpr std::int64_t kCachedColumns = 1 << 17;
constexpr std::int64_t kHashShare = 256;
// Accumulators for all columns may take so many elements for each entry of the operands.
constexpr std::int64_t kFreeColumns = 1 << 22;
constexpr std::int64_t kColumnsPerEntry = 4;

template <class I>
class Operands {
 public:
  Operands(const CompressedView& a, const CompressedView& b)
      : a_indptr_(static_cast<const I*>(a.indptr)),
        a_indices_(static_cast<const I*>(a.indices)),
        b_indptr_(static_cast<const I*>(b.indptr)),
        b_indices_(static_cast<const I*>(b.indices)),
        b_rows_(b.major) {}

  std::int64_t work(std::int64_t row) const {
    std::int64_t sum = 0;
    for (std::int64_t p = a_indptr_[row]; p < a_indptr_[row + 1]; ++p) sum += length(a_indices_[p]);
    return sum;
  }
  std::int64_t longest(std::int64_t row) const {
    std::int64_t most = 0;
    for (std::int64_t p = a_indptr_[row]; p < a_indptr_[row + 1]; ++p) {
      most = std::max(most, length(a_indices_[p]));
    }
    return most;
  }
  // One more than the last column that has an entry.
  std::int64_t used_columns() const {
    std::int64_t most = 0;
    for (std::int64_t k = 0; k < b_rows_; ++k) {
      if (length(k) > 0)
        most = std::max<std::int64_t>(most, std::int64_t{b_indices_[b_indptr_[k + 1] - 1]} + 1);
    }
    return most;
  }

 private:
  std::int64_t length(std::int64_t k) const { return std::int64_t{b_indptr_[k + 1]} - b_indptr_[k]; }
  const I *a_indptr_, *a_indices_, *b_indptr_, *b_indices_;
  std::int64_t b_rows_;
};

template <class Body>
auto with_operands(const CompressedView& a, const CompressedView& b, const Body& body) {
  return a.index_type == IndexType::i32 ? body(Operands<std::int32_t>(a, b))
                                        : body(Operands<std::int64_t>(a, b));
}

// Calls body(first row, end row) for parts of about equal numbers of entries of A.
template <class Body>
void over_rows(const CompressedView& a, int threads, const Body& body) {
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, a.nnz + a.major, 1 << 14), std::max<std::int64_t>(a.major, 1));
  parallel::run(tasks > 1 ? threads : 1, tasks,
                [&](std::int64_t task, int) { body(a.major * task / tasks, a.major * (task + 1) / tasks); });
}

struct Piece {
  std::int64_t first_row = 0, end_row = 0, entries = 0;
  const void* columns = nullptr;
  const void* values = nullptr;
};

class Result final : public SparseResult {
 public:
  Result(const CompressedView& a, const CompressedView& b, const SpgemmOptions& options,
         const FoundKernel& found)
      : a_(a), b_(b), options_(options), found_(found), scratch_(std::max(options.threads, 1)) {}

  std::int64_t entries() const override { return entries_; }
  std::int64_t rows() const override { return a_.major; }
  Isa isa() const override { return found_.isa; }

  Status compute() {
    const std::size_t rows = static_cast<std::size_t>(a_.major);
    if (!work_.resize((rows + 1) * 8) || !row_entries_.resize(rows * 8)) return Status::no_memory;
    count_work();
    describe();
    const std::int64_t total = before(a_.major);
    const std::int64_t target =
        std::clamp(total / (options_.threads * kTasksPerThread), kLeastTask, kMostTask);
    const std::int64_t tasks = options_.threads == 1 ? (total + kMostTask - 1) / kMostTask : total / target;
    try {
      pieces_.resize(
          static_cast<std::size_t>(std::clamp<std::int64_t>(tasks, 1, std::max<std::int64_t>(a_.major, 1))));
    } catch (const std::bad_alloc&) {
      return Status::no_memory;
    }
    std::atomic<bool> failed{false};
    const std::int64_t count = static_cast<std::int64_t>(pieces_.size());
    parallel::run(options_.threads, count, [&](std::int64_t task, int thread) {
      Piece& piece = pieces_[static_cast<std::size_t>(task)];
      piece.first_row = first_row(task, count);
      piece.end_row = first_row(task + 1, count);
      if (!failed.load(std::memory_order_relaxed) && !fill(piece, scratch_[thread], thread)) failed = true;
    });
    if (failed) return Status::no_memory;
    for (const Piece& piece : pieces_) entries_ += piece.entries;
    return Status::ok;
  }

  void deliver(void* indptr, void* indices, void* values, IndexType type, int threads) override {
    std::vector<std::int64_t> start(pieces_.size());
    std::int64_t offset = 0;
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      start[p] = offset;
      offset += pieces_[p].entries;
    }
    const auto body = [&](std::int64_t p, int) {
      const std::size_t which = static_cast<std::size_t>(p);
      if (type == IndexType::i32) {
        place<std::int32_t>(pieces_[which], start[which], indptr, indices, values);
      } else {
        place<std::int64_t>(pieces_[which], start[which], indptr, indices, values);
      }
    };
    const std::int64_t count = static_cast<std::int64_t>(pieces_.size());
    parallel::run(parallel::task_count(threads, entries_ + a_.major, 1 << 14) > 1 ? threads : 1, count, body);
    if (type == IndexType::i32) {
      static_cast<std::int32_t*>(indptr)[a_.major] = static_cast<std::int32_t>(entries_);
    } else {
      static_cast<std::int64_t*>(indptr)[a_.major] = entries_;
    }
  }

 private:
  std::int64_t* work() const { return static_cast<std::int64_t*>(work_.data()); }
  std::int64_t* row_entries() const { return static_cast<std::int64_t*>(row_entries_.data()); }
  std::int64_t before(std::int64_t row) const { return work()[row] + kRowWork * row; }

  void count_work() {
    std::int64_t* sums = work();
    with_operands(a_, b_, [&](const auto& operands) {
      over_rows(a_, options_.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) sums[row + 1] = operands.work(row);
      });
    });
    sums[0] = 0;
    for (std::int64_t row = 0; row < a_.major; ++row) {
      longest_ = std::max(longest_, sums[row + 1]);
      sums[row + 1] += sums[row];
    }
  }

  // Fills in what the kernels are told, and which rows they hash.
  void describe() {
    std::int64_t columns = b_.minor, hash_below = 0;
    if (columns > kCachedColumns) {
      columns = with_operands(a_, b_, [](const auto& operands) { return operands.used_columns(); });
    }
    if (columns > std::max(kFreeColumns, kColumnsPerEntry * (a_.nnz + b_.nnz))) {
      hash_below = std::numeric_limits<std::int64_t>::max();
    } else if (columns > kCachedColumns) {
      hash_below = columns / kHashShare;
    }
    longest_hashed_ = std::min({longest_, hash_below, columns});
    args_ = {a_.indptr,
             a_.indices,
             a_.values,
             b_.indptr,
             b_.indices,
             b_.values,
             columns,
             hash_below,
             work(),
             row_entries(),
             options_.most,
             options_.threshold,
             options_.has_threshold};
  }

  std::int64_t row_bound(std::int64_t row) const {
    const std::int64_t most = std::min(work()[row + 1] - work()[row], args_.columns);
    return options_.select ? std::min(most, options_.most) : most;
  }

  bool fill(Piece& piece, SpgemmScratch& scratch, int thread) const {
    SpgemmWorkspace memory{};
    if (!lend(scratch, memory)) return false;
    std::int64_t bound = kPieceSlack;
    for (std::int64_t row = piece.first_row; row < piece.end_row; ++row) bound += row_bound(row);
    const std::size_t room = static_cast<std::size_t>(bound);
    memory.columns = scratch.columns.reserve(room * size_of(a_.index_type));
    memory.values = scratch.values.reserve(room * size_of(a_.dtype));
    if (memory.columns == nullptr || memory.values == nullptr) return false;
    found_.run(&args_, piece.first_row, piece.end_row, thread, &memory);
    piece.entries = memory.entries;
    piece.columns = memory.columns;
    piece.values = memory.values;
    scratch.columns.keep(static_cast<std::size_t>(piece.entries) * size_of(a_.index_type));
    scratch.values.keep(static_cast<std::size_t>(piece.entries) * size_of(a_.dtype));
    return true;
  }

  bool lend(SpgemmScratch& scratch, SpgemmWorkspace& memory) const {
    const std::size_t value = size_of(a_.dtype);
    if (longest_ > 0 && args_.hash_below <= longest_) {
      const std::size_t lines = lines_of(args_.columns), groups = lines_of(static_cast<std::int64_t>(lines));
      const std::size_t bytes = lines * kMarkedLine * (value + 1) + groups * kMarkedLine;
      char* clean = static_cast<char*>(scratch.accumulators.at_least(bytes));
      if (clean == nullptr) return false;
      memory.sums = clean;
      memory.marks = reinterpret_cast<std::uint8_t*>(clean + lines * kMarkedLine * value);
      memory.groups = memory.marks + lines * kMarkedLine;
    }
    if (longest_hashed_ > 0) {
      std::size_t slots = 16;
      while (slots < 2 * static_cast<std::size_t>(longest_hashed_)) slots *= 2;
      memory.table = scratch.table.at_least(slots * (value <= 8 ? 16 : 24));
      memory.order = grown<std::uint64_t>(scratch.order, 4 * static_cast<std::size_t>(longest_hashed_));
      if (memory.table == nullptr || memory.order == nullptr) return false;
    }
    if (options_.select) {
      const std::int64_t kept = std::min({options_.most, longest_, args_.columns});
      memory.best = grown<Ranked<double>>(scratch.best, static_cast<std::size_t>(kept));
      if (memory.best == nullptr) return false;
    }
    return true;
  }

  static std::size_t lines_of(std::int64_t columns) {
    return static_cast<std::size_t>((columns + kMarkedLine - 1) / kMarkedLine);
  }

  template <class T>
  static T* grown(AlignedBuffer& buffer, std::size_t count) {
    if (buffer.data() == nullptr || buffer.bytes() < count * sizeof(T)) buffer.resize(count * sizeof(T));
    return static_cast<T*>(buffer.data());
  }

  // First row of a task: tasks cover all rows in order, by work.
  std::int64_t first_row(std::int64_t task, std::int64_t tasks) const {
    if (task <= 0) return 0;
    if (task >= tasks) return a_.major;
    const double share = static_cast<double>(task) / static_cast<double>(tasks);
    const std::int64_t target = static_cast<std::int64_t>(share * static_cast<double>(before(a_.major)));
    std::int64_t low = 0, high = a_.major;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (before(middle) < target) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  template <class I>
  void place(const Piece& piece, std::int64_t start, void* indptr, void* indices, void* values) const {
    I* row_start = static_cast<I*>(indptr);
    std::int64_t offset = start;
    for (std::int64_t row = piece.first_row; row < piece.end_row; ++row) {
      row_start[row] = static_cast<I>(offset);
      offset += row_entries()[row];
    }
    if (piece.entries == 0) return;
    I* columns = static_cast<I*>(indices) + start;
    if (size_of(a_.index_type) == sizeof(I)) {
      std::memcpy(columns, piece.columns, static_cast<std::size_t>(piece.entries) * sizeof(I));
    } else {
      for (std::int64_t e = 0; e < piece.entries; ++e) {
        columns[e] = static_cast<I>(index_at(piece.columns, a_.index_type, e));
      }
    }
    const std::size_t size = size_of(a_.dtype);
    std::memcpy(static_cast<char*>(values) + static_cast<std::size_t>(start) * size, piece.values,
                static_cast<std::size_t>(piece.entries) * size);
  }

  CompressedView a_, b_;
  SpgemmOptions options_;
  FoundKernel found_;
  SpgemmArgs args_{};
  std::int64_t longest_ = 0;         // multiply-adds of the longest row
  std::int64_t longest_hashed_ = 0;  // entries of the longest row that is hashed, at most
  std::int64_t entries_ = 0;
  BorrowedScratch scratch_;
  AlignedBuffer work_, row_entries_;
  std::vector<Piece> pieces_;
};

}  // namespace

Status bound_spgemm(const CompressedView& a, const CompressedView& b, int threads, SpgemmBounds& bounds) {
  std::atomic<std::int64_t> work{0}, least{0}, most{0};
  with_operands(a, b, [&](const auto& operands) {
    over_rows(a, threads, [&](std::int64_t begin, std::int64_t end) {
      SpgemmBounds part;
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t steps = operands.work(row);
        part.work += steps;
        part.least += operands.longest(row);
        part.most += std::min(steps, b.minor);
      }
      work += part.work;
      least += part.least;
      most += part.most;
    });
  });
  bounds = {work, least, most};
  return Status::ok;
}

Status multiply_sparse(const CompressedView& a, const CompressedView& b, const SpgemmOptions& options,
                       std::unique_ptr<SparseResult>& result) {
  const KernelId id = options.select ? KernelId::csr_csr_top : KernelId::csr_csr;
  const FoundKernel found = find_kernel(id, a.dtype, a.index_type, options.highest);
  if (found.run == nullptr) return Status::ok;
  auto made = std::make_unique<Result>(a, b, options, found);
  const Status status = made->compute();
  if (status == Status::ok) result = std::move(made);
  return status;
}

}  // namespace deepgemm
