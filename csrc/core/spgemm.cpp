#include "core/spgemm.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/spgemm_args.h"
#include "core/spgemm_memory.h"
#include "core/spgemm_split.h"
#include "core/spgemm_work.h"

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

// A row of more than a share of all work is cut by columns, into so many parts for each thread.
constexpr std::int64_t kPartsPerThread = 4;

// Part of the result: some rows, or some columns of one row. The rows of a part that is not the first of
// its row are none.
struct Piece {
  std::int64_t first_row = 0, end_row = 0, entries = 0;
  const void* columns = nullptr;
  const void* values = nullptr;
  const SplitRow* split = nullptr;
  int part = 0;
  int thread = 0;  // whose arenas hold it, and in which blocks
  std::size_t column_block = 0, value_block = 0;
};

// The best of a cut row.
struct Merged {
  AlignedBuffer columns, values;
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
    try {
      if (!cut()) return Status::no_memory;
    } catch (const std::bad_alloc&) {
      return Status::no_memory;
    }
    std::atomic<Status> failed{Status::ok};
    std::atomic<std::int64_t> held{0};
    const std::int64_t most = options_.most_bytes > 0 ? options_.most_bytes : INT64_MAX;
    parallel::run(options_.threads, static_cast<std::int64_t>(pieces_.size()),
                  [&](std::int64_t task, int thread) {
                    if (failed.load(std::memory_order_relaxed) != Status::ok) return;
                    Piece& piece = pieces_[static_cast<std::size_t>(task)];
                    const Status status = fill(piece, thread);
                    if (status != Status::ok) failed = status;
                    const std::int64_t bytes = piece.entries * entry_bytes();
                    if (held.fetch_add(bytes, std::memory_order_relaxed) > most - bytes) {
                      failed = Status::over_budget;
                    }
                  });
    if (failed != Status::ok) return failed;
    if (options_.select && !merge_parts()) return Status::no_memory;
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
      scratch_.done(pieces_[which].thread, pieces_[which].column_block, pieces_[which].value_block);
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

  std::int64_t entry_bytes() const {
    return static_cast<std::int64_t>(size_of(a_.index_type) + size_of(a_.dtype));
  }

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
             static_cast<const char*>(b_.indptr) + size_of(b_.index_type),
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

  std::int64_t row_of_a(std::int64_t row) const {
    return index_at(a_.indptr, a_.index_type, row + 1) - index_at(a_.indptr, a_.index_type, row);
  }

  // Entries that a row of so many multiply-adds may have.
  std::int64_t bound_of(std::int64_t steps) const {
    const std::int64_t most = std::min(steps, args_.columns);
    return options_.select ? std::min(most, options_.most) : most;
  }

  // Cuts the rows into pieces of about equal work; false when there is no memory. At most kPartsPerThread
  // rows for each thread are heavy enough to be cut themselves.
  bool cut() {
    const std::int64_t total = before(a_.major);
    const std::int64_t target =
        std::clamp(total / (options_.threads * kTasksPerThread), kLeastTask, kMostTask);
    const std::int64_t tasks = options_.threads == 1 ? (total + kMostTask - 1) / kMostTask : total / target;
    const std::int64_t heavy = std::max(2 * target, total / (kPartsPerThread * options_.threads));
    if (options_.threads == 1 || longest_ <= heavy) {
      cut_rows(0, a_.major, tasks);
      return true;
    }
    splits_.reserve(static_cast<std::size_t>(total / heavy + 1));
    std::int64_t begin = 0;
    for (std::int64_t row = 0; row < a_.major; ++row) {
      const std::int64_t steps = work()[row + 1] - work()[row];
      const std::int64_t entries = row_of_a(row);
      // Cutting looks for each part into each row of B that is met: not worth it where those are short.
      const std::int64_t parts = std::min({steps / target, kPartsPerThread * options_.threads,
                                           std::max<std::int64_t>(options_.threads, steps / entries)});
      if (steps <= heavy || parts < 2) continue;
      cut_rows(begin, row, std::max<std::int64_t>((before(row) - before(begin)) / target, 1));
      SplitRow split;
      if (!split.cut(a_, b_, row, static_cast<int>(parts), options_.threads)) return false;
      splits_.push_back(std::move(split));
      for (int part = 0; part < splits_.back().parts(); ++part) {
        Piece piece;
        piece.first_row = part == 0 ? row : row + 1;
        piece.end_row = row + 1;
        piece.split = &splits_.back();
        piece.part = part;
        pieces_.push_back(piece);
      }
      begin = row + 1;
    }
    cut_rows(begin, a_.major, std::max<std::int64_t>((total - before(begin)) / target, 1));
    return true;
  }

  void cut_rows(std::int64_t begin, std::int64_t end, std::int64_t tasks) {
    if (begin == end && !pieces_.empty()) return;
    tasks = std::clamp<std::int64_t>(tasks, 1, std::max<std::int64_t>(end - begin, 1));
    std::int64_t from = begin;
    for (std::int64_t task = 1; task <= tasks; ++task) {
      Piece piece;
      piece.first_row = from;
      piece.end_row = from = task == tasks ? end : first_row(begin, end, task, tasks);
      pieces_.push_back(piece);
    }
  }

  Status fill(Piece& piece, int thread) {
    SpgemmScratch& scratch = scratch_[thread];
    SpgemmWorkspace memory{};
    if (!lend(scratch, memory)) return Status::no_memory;
    SpgemmArgs args = args_;
    std::int64_t bound = kPieceSlack, first = piece.first_row, end = piece.end_row;
    std::int64_t part_work[2] = {0, 0}, part_entries = 0;
    if (piece.split != nullptr) {
      const SplitRow& split = *piece.split;
      part_work[1] = split.work(piece.part);
      bound += bound_of(part_work[1]);
      args.a_indptr = split.a_indptr();
      args.a_indices = split.a_indices();
      args.a_values = split.a_values();
      args.b_begin = split.b_begin(piece.part);
      args.b_end = split.b_end(piece.part);
      args.work = part_work;
      args.row_entries = &part_entries;
      first = 0;
      end = 1;
    } else {
      for (std::int64_t row = first; row < end; ++row) bound += bound_of(work()[row + 1] - work()[row]);
    }
    const std::size_t room = static_cast<std::size_t>(bound);
    memory.columns = scratch.columns.reserve(room * size_of(a_.index_type));
    memory.values = scratch.values.reserve(room * size_of(a_.dtype));
    if (memory.columns == nullptr || memory.values == nullptr) return Status::no_memory;
    found_.run(&args, first, end, thread, &memory);
    piece.entries = memory.entries;
    piece.columns = memory.columns;
    piece.values = memory.values;
    piece.thread = thread;
    piece.column_block = scratch.columns.block();
    piece.value_block = scratch.values.block();
    scratch.columns.keep(static_cast<std::size_t>(piece.entries) * size_of(a_.index_type));
    scratch.values.keep(static_cast<std::size_t>(piece.entries) * size_of(a_.dtype));
    return Status::ok;
  }

  // Each part of a cut row gave its own best; the best of those are those of the row.
  bool merge_parts() {
    merged_.resize(splits_.size());
    std::size_t which = 0;
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      const SplitRow* split = pieces_[p].split;
      if (split == nullptr || pieces_[p].part != 0) continue;
      if (!merge(&pieces_[p], split->parts(), merged_[which++])) return false;
      row_entries()[split->row()] = pieces_[p].entries;
    }
    return true;
  }

  bool merge(Piece* parts, int count, Merged& merged) const {
    std::vector<std::pair<double, std::int64_t>> best;
    for (int part = 0; part < count; ++part) {
      for (std::int64_t e = 0; e < parts[part].entries; ++e) {
        const double value = a_.dtype == DType::f32 ? double{static_cast<const float*>(parts[part].values)[e]}
                                                    : static_cast<const double*>(parts[part].values)[e];
        best.emplace_back(value, index_at(parts[part].columns, a_.index_type, e));
      }
      parts[part].entries = 0;
    }
    // Parts ascend by column and each is ranked, so what is equal stays by column if it keeps its order.
    std::stable_sort(best.begin(), best.end(), [](const auto& x, const auto& y) {
      return std::isnan(y.first) ? !std::isnan(x.first) : x.first > y.first;
    });
    const std::size_t kept = std::min(best.size(), static_cast<std::size_t>(options_.most));
    if (!merged.columns.resize(kept * size_of(a_.index_type)) ||
        !merged.values.resize(kept * size_of(a_.dtype))) {
      return false;
    }
    for (std::size_t e = 0; e < kept; ++e) {
      if (a_.dtype == DType::f32) {
        static_cast<float*>(merged.values.data())[e] = static_cast<float>(best[e].first);
      } else {
        static_cast<double*>(merged.values.data())[e] = best[e].first;
      }
      if (a_.index_type == IndexType::i32) {
        static_cast<std::int32_t*>(merged.columns.data())[e] = static_cast<std::int32_t>(best[e].second);
      } else {
        static_cast<std::int64_t*>(merged.columns.data())[e] = best[e].second;
      }
    }
    parts[0].entries = static_cast<std::int64_t>(kept);
    parts[0].columns = merged.columns.data();
    parts[0].values = merged.values.data();
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
      const std::size_t met = static_cast<std::size_t>(std::min(longest_, args_.columns)) + 1;
      memory.met = grown<std::int64_t>(scratch.met, met);
      if (memory.best == nullptr || memory.met == nullptr) return false;
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

  // First row of a task of those that cover rows [begin, end) in order, by work.
  std::int64_t first_row(std::int64_t begin, std::int64_t end, std::int64_t task, std::int64_t tasks) const {
    const double share = static_cast<double>(task) / static_cast<double>(tasks);
    const double all = static_cast<double>(before(end) - before(begin));
    const std::int64_t target = before(begin) + static_cast<std::int64_t>(share * all);
    std::int64_t low = begin, high = end;
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
  std::vector<SplitRow> splits_;  // reserved: pieces point into it
  std::vector<Merged> merged_;
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

void bound_spgemm_rows(const CompressedView& a, const CompressedView& b, int threads, std::int64_t* most) {
  with_operands(a, b, [&](const auto& operands) {
    over_rows(a, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) most[row] = std::min(operands.work(row), b.minor);
    });
  });
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
