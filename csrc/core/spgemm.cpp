#include "core/spgemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/spgemm_args.h"
#include "core/spgemm_memory.h"
#include "core/spgemm_merge.h"
#include "core/spgemm_pieces.h"
#include "core/spgemm_work.h"

namespace deepgemm {
namespace {

// Accumulators for so many columns stay in a second-level cache; beyond, a row that is kHashShare times
// shorter than the columns is hashed, unless its columns lie together.
constexpr std::int64_t kCachedColumns = 1 << 17;
constexpr std::int64_t kHashShare = 256;
// Accumulators for all columns may take so many elements for each entry of the operands.
constexpr std::int64_t kFreeColumns = 1 << 22;
constexpr std::int64_t kColumnsPerEntry = 4;

class Product final : public SparseProduct {
 public:
  Product(const CompressedView& a, const SparseRows& b, const SpgemmOptions& options,
          const FoundKernel& found)
      : a_(a), b_(b), options_(options), found_(found), scratch_(std::max(options.threads, 1)) {}

  Status prepare() {
    if (!pieces_.cut(a_, b_, options_.threads) ||
        !row_entries_.resize(static_cast<std::size_t>(a_.major) * sizeof(std::int64_t))) {
      return Status::no_memory;
    }
    describe();
    for (std::int64_t row = 0; row < a_.major; ++row) room_ += bound_of(pieces_.work(row));
    return Status::ok;
  }

  std::int64_t rows() const override { return a_.major; }
  std::int64_t room() const override { return room_ + kPieceSlack; }
  std::int64_t entries() const override { return offset_; }
  Isa isa() const override { return found_.isa; }

  // Pieces are put in place as soon as those before them are done, so that they are copied while they are
  // cached and their memory is used again. Cut rows of a selection are merged first, so they wait.
  Status compute(const SparseParts& result) override {
    const bool merges = options_.select && pieces_.has_splits();
    if (!merges) result_ = result;
    std::atomic<Status> failed{Status::ok};
    try {
      waiting_.resize(static_cast<std::size_t>(options_.threads));
    } catch (const std::bad_alloc&) {
      return Status::no_memory;
    }
    parallel::run(options_.threads, pieces_.count(), [&](std::int64_t task, int thread) {
      if (failed.load(std::memory_order_relaxed) != Status::ok) return;
      Status status = fill(task, thread);
      if (status == Status::ok) status = put_in_order(task, thread);
      if (status != Status::ok) failed = status;
    });
    if (failed != Status::ok) return failed;
    if (merges) {
      if (!merged_.merge(pieces_, options_.most, a_.dtype, a_.index_type)) return Status::no_memory;
      offset_ = 0;
      for (std::int64_t p = 0; p < pieces_.count(); ++p) {
        pieces_[p].start = offset_;
        offset_ += pieces_[p].entries;
        if (pieces_[p].split != nullptr && pieces_[p].part == 0) {
          row_entries()[pieces_[p].first_row] = pieces_[p].entries;
        }
      }
    }
    if (result.indptr != nullptr) deliver(result);
    return Status::ok;
  }

  void deliver(const SparseParts& result) override {
    result_ = result;
    const std::int64_t count = pieces_.count();
    const int threads =
        parallel::task_count(options_.threads, offset_ + a_.major, 1 << 14) > 1 ? options_.threads : 1;
    parallel::run(threads, count, [&](std::int64_t p, int) {
      SpgemmPiece& piece = pieces_[p];
      if (piece.columns == nullptr) return;
      place(piece);
      scratch_.done(piece.thread, piece.column_block, piece.value_block);
    });
    write_index(result.indptr, result.type, a_.major, offset_);
  }

 private:
  std::int64_t* row_entries() const { return static_cast<std::int64_t*>(row_entries_.data()); }

  static void write_index(void* array, IndexType type, std::int64_t position, std::int64_t value) {
    if (type == IndexType::i32) {
      static_cast<std::int32_t*>(array)[position] = static_cast<std::int32_t>(value);
    } else {
      static_cast<std::int64_t*>(array)[position] = value;
    }
  }

  // Fills in what the kernels are told, and which rows they hash.
  void describe() {
    std::int64_t columns = b_.minor, hash_below = 0;
    if (columns > kCachedColumns) {
      columns = with_operands(a_, b_, [](const auto& operands) { return operands.used_columns(); });
    }
    if (columns > std::max(kFreeColumns, kColumnsPerEntry * (a_.nnz + b_.nnz))) {
      hash_below = INT64_MAX;
    } else if (columns > kCachedColumns) {
      hash_below = columns / kHashShare;
    }
    longest_hashed_ = std::min({pieces_.longest(), hash_below, columns});
    args_ = {a_.indptr,          a_.indices,
             a_.values,          b_.indptr,
             b_.row_ends(),      b_.indices,
             b_.values,          columns,
             hash_below,         pieces_.work(),
             row_entries(),      options_.most,
             options_.threshold, options_.has_threshold};
  }

  // Entries that a row of so many multiply-adds may have.
  std::int64_t bound_of(std::int64_t steps) const {
    const std::int64_t most = std::min(steps, args_.columns);
    return options_.select ? std::min(most, options_.most) : most;
  }

  // ---- computing a piece ---------------------------------------------------------------------------

  Status fill(std::int64_t task, int thread) {
    SpgemmPiece& piece = pieces_[task];
    SpgemmScratch& scratch = scratch_[thread];
    SpgemmWorkspace memory{};
    if (!lend(scratch, memory)) return Status::no_memory;
    SpgemmArgs args = args_;
    std::int64_t bound = kPieceSlack, first = piece.first_row, end = piece.end_row;
    std::int64_t part_work[2] = {0, 0};
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
      args.row_entries = &piece.entries;
      first = 0;
      end = 1;
    } else {
      for (std::int64_t row = first; row < end; ++row) bound += bound_of(pieces_.work(row));
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

  bool lend(SpgemmScratch& scratch, SpgemmWorkspace& memory) const {
    const std::size_t value = size_of(a_.dtype);
    const std::int64_t longest = pieces_.longest();
    if (longest > 0 && args_.hash_below < INT64_MAX) {
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
      const std::int64_t met = std::min(longest, args_.columns), kept = std::min(options_.most, met);
      memory.best = grown<Ranked<double>>(scratch.best, static_cast<std::size_t>(kept));
      memory.met = grown<std::int64_t>(scratch.met, static_cast<std::size_t>(met) + 1);
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

  // ---- putting it in place -------------------------------------------------------------------------

  // Tells where pieces begin as far as all before them are done, and places those of this thread.
  Status put_in_order(std::int64_t task, int thread) {
    std::vector<std::int64_t>& mine = waiting_[static_cast<std::size_t>(thread)];
    std::int64_t ready;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      pieces_[task].done = true;
      for (; next_ < pieces_.count() && pieces_[next_].done; ++next_) {
        pieces_[next_].start = offset_;
        offset_ += pieces_[next_].entries;
      }
      held_ += pieces_[task].entries * static_cast<std::int64_t>(size_of(a_.index_type) + size_of(a_.dtype));
      if (options_.most_bytes > 0 && held_ > options_.most_bytes) return Status::over_budget;
      ready = next_;
    }
    if (result_.indptr == nullptr) return Status::ok;
    try {
      mine.push_back(task);
    } catch (const std::bad_alloc&) {
      return Status::no_memory;
    }
    std::size_t placed = 0;
    for (; placed < mine.size() && mine[placed] < ready; ++placed) place(pieces_[mine[placed]]);
    mine.erase(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(placed));
    if (mine.empty()) {
      scratch_[thread].columns.rewind();
      scratch_[thread].values.rewind();
    }
    return Status::ok;
  }

  void place(SpgemmPiece& piece) {
    std::int64_t offset = piece.start;
    for (std::int64_t row = piece.first_row; row < piece.end_row; ++row) {
      write_index(result_.indptr, result_.type, row, offset);
      offset += row_entries()[row];
    }
    const std::size_t entries = static_cast<std::size_t>(piece.entries), size = size_of(a_.dtype);
    const std::size_t start = static_cast<std::size_t>(piece.start);
    char* columns = static_cast<char*>(result_.indices) + start * size_of(result_.type);
    if (result_.type == a_.index_type) {
      std::memcpy(columns, piece.columns, entries * size_of(result_.type));
    } else {
      for (std::int64_t e = 0; e < piece.entries; ++e) {
        reinterpret_cast<std::int64_t*>(columns)[e] = index_at(piece.columns, a_.index_type, e);
      }
    }
    std::memcpy(static_cast<char*>(result_.values) + start * size, piece.values, entries * size);
    piece.columns = nullptr;
  }

  CompressedView a_;
  SparseRows b_;
  SpgemmOptions options_;
  FoundKernel found_;
  SpgemmArgs args_{};
  std::int64_t room_ = 0;
  std::int64_t longest_hashed_ = 0;  // entries of the longest row that is hashed, at most
  BorrowedScratch scratch_;
  AlignedBuffer row_entries_;
  SpgemmPieces pieces_;
  MergedParts merged_;
  SparseParts result_;

  std::mutex mutex_;
  std::int64_t next_ = 0, offset_ = 0;              // the first piece that is not done, and where it begins
  std::int64_t held_ = 0;                           // bytes of all entries so far
  std::vector<std::vector<std::int64_t>> waiting_;  // pieces of each thread that are not in place
};

}  // namespace

Status bound_spgemm(const CompressedView& a, const SparseRows& b, int threads, SpgemmBounds& bounds) {
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

void bound_spgemm_rows(const CompressedView& a, const SparseRows& b, int threads, std::int64_t* most) {
  with_operands(a, b, [&](const auto& operands) {
    over_rows(a, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) most[row] = std::min(operands.work(row), b.minor);
    });
  });
}

Status prepare_sparse(const CompressedView& a, const SparseRows& b, const SpgemmOptions& options,
                      std::unique_ptr<SparseProduct>& product) {
  const KernelId id = options.select ? KernelId::csr_csr_top : KernelId::csr_csr;
  const FoundKernel found = find_kernel(id, a.dtype, a.index_type, options.highest);
  if (found.run == nullptr) return Status::ok;
  auto made = std::make_unique<Product>(a, b, options, found);
  const Status status = made->prepare();
  if (status == Status::ok) product = std::move(made);
  return status;
}

}  // namespace deepgemm
