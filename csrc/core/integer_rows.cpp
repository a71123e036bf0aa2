#include "core/integer_rows.h"

#include <algorithm>
#include <cstring>

#include "core/cpu.h"
#include "core/gemm_blocked.h"
#include "core/integer_rows_args.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kBytesPerTask = 1 << 16;  // of B
constexpr std::int64_t kSumsPerTask = 1 << 14;   // that are brought into the result
constexpr std::int64_t kSumBytes = 32 << 10;     // that streams keep in L1
constexpr std::int64_t kMostColumns = 1 << 16;   // at a time, which bounds the memory for sums
constexpr std::int64_t kPartsPerThread = 2;      // each has sums of its own
constexpr std::int64_t kRowsTogether = 16;       // of B, which a stream takes at a time

FoundKernel kernel_of(bool by_columns, Isa highest) {
  if (cpu::has("vnni")) {
    const KernelId id = by_columns ? KernelId::integer_dots_vnni : KernelId::integer_streams_vnni;
    const FoundKernel fast = find_kernel(id, DType::i32, IndexType::i32, highest);
    if (fast.run != nullptr) return fast;
  }
  const KernelId id = by_columns ? KernelId::integer_dots : KernelId::integer_streams;
  return find_kernel(id, DType::i32, IndexType::i32, highest);
}

bool adjacent_columns(const DenseView& b) {
  return b.col_stride == 1 && (b.row_stride != 1 || b.cols >= b.rows);
}

class IntegerRows {
 public:
  IntegerRows(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types, Isa highest,
              int threads)
      : a_(a),
        b_(b),
        c_(c),
        rows_(c.rows),
        streams_(adjacent_columns(b)),
        rows_signed_(types.left == DType::i8),
        flips_((types.right == DType::i8) == rows_signed_),
        kernel_(kernel_of(!streams_, highest)),
        threads_(threads),
        tasks_(parallel::task_count(threads, b.rows * b.cols, kBytesPerTask)) {}

  Status run() {
    // Streams cut B into blocks of columns, and these along k where there are too few for the threads.
    const std::int64_t sum_bytes = rows_ * static_cast<std::int64_t>(sizeof(std::int32_t));
    const std::int64_t width = kSumBytes / sum_bytes / kIntegerFill * kIntegerFill;
    const std::int64_t blocks = ceil_div(b_.cols, width);
    const std::int64_t wanted = std::min<std::int64_t>(tasks_, kPartsPerThread * threads_);
    if (streams_) parts_ = std::min(ceil_div(wanted, blocks), b_.rows / kRowsTogether + 1);
    a_stride_ = round_up(b_.rows, kIntegerFill);
    sums_stride_ = round_up(b_.cols, kIntegerFill);
    const std::int64_t sums = parts_ * rows_ * sums_stride_;
    const Workspace memory(static_cast<std::size_t>(sums) * sizeof(std::int32_t) +
                           static_cast<std::size_t>(rows_ * a_stride_));
    if (memory.data() == nullptr) return Status::no_memory;
    sums_ = static_cast<std::int32_t*>(memory.data());
    copied_ = reinterpret_cast<std::uint8_t*>(sums_ + sums);
    copy_rows();
    if (streams_) {
      parallel::run(threads_, blocks * parts_, [&](std::int64_t task, int thread) {
        stream(task % blocks * width, width, task / blocks, thread);
      });
    } else {
      const IntegerRowsArgs args = args_for(b_, sums_);
      const std::int64_t tasks = std::min(tasks_, b_.cols);
      parallel::run(threads_, tasks, [&](std::int64_t task, int thread) {
        kernel_.run(&args, b_.cols * task / tasks, b_.cols * (task + 1) / tasks, thread, nullptr);
      });
    }
    deliver();
    return Status::ok;
  }

 private:
  void copy_rows() {
    const auto* from = static_cast<const std::uint8_t*>(a_.data);
    for (std::int64_t i = 0; i < rows_; ++i) {
      std::uint8_t* to = copied_ + i * a_stride_;
      for (std::int64_t k = 0; k < a_.cols; ++k) to[k] = from[i * a_.row_stride + k * a_.col_stride];
      std::memset(to + a_.cols, 0, static_cast<std::size_t>(a_stride_ - a_.cols));
      starts_[i] = flips_ ? left_out(to) : 0;
    }
  }

  // What the turned signs of B leave out of the sums of a row. It wraps, as the sums do on their way.
  std::uint32_t left_out(const std::uint8_t* row) const {
    std::int64_t sum = 0;
    for (std::int64_t k = 0; k < a_.cols; ++k)
      sum += rows_signed_ ? static_cast<std::int8_t>(row[k]) : row[k];
    return static_cast<std::uint32_t>(rows_signed_ ? -kRaise * sum : kRaise * sum);
  }

  IntegerRowsArgs args_for(const DenseView& b, std::int32_t* sums) const {
    const std::uint8_t flip = flips_ ? 0x80 : 0;
    return {copied_, a_stride_, static_cast<int>(rows_), rows_signed_, flip, b, sums, sums_stride_};
  }

  void stream(std::int64_t first, std::int64_t width, std::int64_t part, int thread) const {
    DenseView block = b_;
    block.data = static_cast<std::uint8_t*>(b_.data) + first;
    block.cols = std::min(width, b_.cols - first);
    const auto bound = [&](std::int64_t p) {
      return p == parts_ ? b_.rows : b_.rows * p / parts_ / kRowsTogether * kRowsTogether;
    };
    const IntegerRowsArgs args = args_for(block, sums_ + part * rows_ * sums_stride_ + first);
    kernel_.run(&args, bound(part), bound(part + 1), thread, nullptr);
  }

  void deliver() const {
    const std::int64_t tasks =
        std::min(parallel::task_count(threads_, parts_ * rows_ * b_.cols, kSumsPerTask), b_.cols);
    parallel::run(threads_, tasks, [&](std::int64_t task, int) {
      const std::int64_t end = b_.cols * (task + 1) / tasks;
      for (std::int64_t i = 0; i < rows_; ++i) {
        std::int32_t* const to = static_cast<std::int32_t*>(c_.data) + i * c_.row_stride;
        for (std::int64_t j = b_.cols * task / tasks; j < end; ++j) {
          std::uint32_t sum = starts_[i];
          for (std::int64_t p = 0; p < parts_; ++p) {
            sum += static_cast<std::uint32_t>(sums_[(p * rows_ + i) * sums_stride_ + j]);
          }
          to[j * c_.col_stride] = static_cast<std::int32_t>(sum);
        }
      }
    });
  }

  const DenseView a_, b_, c_;
  const std::int64_t rows_;
  const bool streams_, rows_signed_, flips_;
  const FoundKernel kernel_;
  const int threads_;
  const std::int64_t tasks_;
  std::int64_t parts_ = 1, a_stride_ = 0, sums_stride_ = 0;
  std::int32_t* sums_ = nullptr;
  std::uint8_t* copied_ = nullptr;
  std::uint32_t starts_[kMostIntegerRows] = {};
};

}  // namespace

bool serves_integer_rows(const DenseView& b, const DenseView& c, const GemmTypes& types) {
  if (c.rows > kMostIntegerRows || types.out != DType::i32) return false;
  // Columns shorter than a vector are better turned, many at a time.
  return b.row_stride == 1 && !adjacent_columns(b) ? b.rows >= kIntegerFill : b.col_stride == 1;
}

Status gemm_integer_rows(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                         Isa highest, int threads) {
  for (std::int64_t col = 0; col < c.cols; col += kMostColumns) {
    const std::int64_t n = std::min(kMostColumns, c.cols - col);
    const DenseView columns = window(c, 0, c.rows, col, n, bytes_of(DType::i32));
    const Status status =
        IntegerRows(a, window(b, 0, b.rows, col, n, 1), columns, types, highest, threads).run();
    if (status != Status::ok) return status;
  }
  return Status::ok;
}

}  // namespace deepgemm
