// Exact products of 8-bit integers: signs are turned over while packing, sums along k put that right.
#include <algorithm>

#include "core/cpu.h"
#include "core/gemm_blocked.h"
#include "core/gemm_small.h"
#include "core/integer_rows.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kSummedPerTask = 1 << 16;
constexpr std::int64_t kFinishedPerTask = 1 << 14;
// Up to so many products of an unsigned and a signed byte fit 32 bits; a multiple of kGroup.
constexpr std::int64_t kSafeDepth = 65792;

GemmKernels kernels_for(const GemmTypes& types, Isa highest) {
  if (cpu::has("vnni")) {
    const GemmKernels fast(types, highest, KernelId::gemm_block_vnni);
    if (fast.block.run != nullptr) return fast;
  }
  return GemmKernels(types, highest);
}

DenseView grouped_right(const DenseView& b) {
  return {b.data, (b.rows + kGroup - 1) / kGroup, b.cols, kGroup * b.row_stride, b.col_stride};
}

DenseView grouped_left(const DenseView& a) { return grouped_right(a.transposed()).transposed(); }

// Sums of the columns of a matrix of bytes.
void sum_columns(const DenseView& b, DType stored, Isa highest, int threads, std::int64_t* sums) {
  const FoundKernel sum = find_kernel(KernelId::gemm_sums, stored, IndexType::i32, highest);
  const GemmSumsArgs args{b.data, b.col_stride, b.row_stride, b.rows, sums};
  const std::int64_t tasks = std::min(parallel::task_count(threads, b.rows * b.cols, kSummedPerTask), b.cols);
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    sum.run(&args, b.cols * task / tasks, b.cols * (task + 1) / tasks, thread, nullptr);
  });
}

// One product with all that its strips share; an int64 result is summed over stretches of kSafeDepth. What
// raising leaves out is where their sums begin; what lowering does may exceed 32 bits and then comes last.
class IntegerProduct {
 public:
  IntegerProduct(const DenseView& a, const DenseView& b, const PackedIntegers* packed, const DenseView& c,
                 const GemmTypes& types, Isa isa, int threads)
      : a_(a),
        b_(b),
        packed_(packed),
        c_(c),
        request_{{types.left, types.right, DType::i32, DType::i32}, kernels_for(types, isa), threads, false},
        finish_(find_kernel(KernelId::gemm_finish, DType::i64, IndexType::i32, request_.kernels.block.isa)),
        out_size_(bytes_of(types.out)),
        lowered_(types.right == DType::u8),
        raised_(types.left == DType::i8) {}

  Status run() { return out_size_ == 4 ? whole() : in_stretches(); }

 private:
  // What lowering leaves out is known before the product: sums of 32 bits begin there.
  Status whole() {
    const std::size_t lines = static_cast<std::size_t>(c_.rows + c_.cols);
    const Workspace memory(static_cast<std::size_t>(c_.rows) * sizeof(std::int64_t) +
                           lines * sizeof(std::int32_t));
    if (memory.data() == nullptr) return Status::no_memory;
    row_sums_ = static_cast<std::int64_t*>(memory.data());
    auto* const start_rows = reinterpret_cast<std::int32_t*>(row_sums_ + c_.rows);
    start_cols_ = start_rows + c_.rows;
    sum(0, a_.cols);
    if (lowered_) {
      for (std::int64_t i = 0; i < c_.rows; ++i) start_rows[i] = wrapped(kRaise * row_sums_[i]);
      request_.start_rows = start_rows;
    }
    return stretch(0, c_.rows, 0, c_.cols, 0, a_.cols, c_);
  }

  Status in_stretches() {
    const GemmStrips strips(c_, packed_ != nullptr);
    const std::int64_t size = sizeof(std::int32_t);
    const Workspace memory(static_cast<std::size_t>(c_.rows) * sizeof(std::int64_t) +
                           static_cast<std::size_t>((strips.rows * strips.cols + c_.cols) * size));
    if (memory.data() == nullptr) return Status::no_memory;
    row_sums_ = static_cast<std::int64_t*>(memory.data());
    start_cols_ = reinterpret_cast<std::int32_t*>(row_sums_ + c_.rows);
    void* const buffer = start_cols_ + c_.cols;
    for (std::int64_t k = 0; k == 0 || k < a_.cols; k += kSafeDepth) {
      const std::int64_t depth = std::min(kSafeDepth, a_.cols - k);
      sum(k, depth);
      for (std::int64_t col = 0; col < c_.cols; col += strips.cols) {
        const std::int64_t n = std::min(strips.cols, c_.cols - col);
        for (std::int64_t row = 0; row < c_.rows; row += strips.rows) {
          const std::int64_t m = std::min(strips.rows, c_.rows - row);
          const DenseView strip{buffer, m, n, n, 1};
          const Status status = stretch(row, m, col, n, k, depth, strip);
          if (status != Status::ok) return status;
          finish(strip, row, col, k > 0);
        }
      }
    }
    return Status::ok;
  }

  Status stretch(std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols, std::int64_t k,
                 std::int64_t depth, const DenseView& c) {
    const DenseView a = grouped_left(window(a_, row, rows, k, depth, 1));
    if (packed_ != nullptr) {
      if (raised_) request_.start_cols = start_cols_ + col;
      return multiply_blocked(request_, a, {}, {&packed_->groups(), k / kGroup, col}, c, depth);
    }
    return multiply_blocked(request_, a, grouped_right(window(b_, k, depth, col, cols, 1)), {}, c, depth);
  }

  // Sums wrap, as those of the product do on their way.
  static std::int32_t wrapped(std::int64_t sum) { return static_cast<std::int32_t>(sum); }

  void sum(std::int64_t k, std::int64_t depth) {
    if (lowered_) {
      sum_columns(window(a_, 0, a_.rows, k, depth, 1).transposed(), request_.types.left,
                  request_.kernels.block.isa, request_.threads, row_sums_);
    }
    if (!raised_ || packed_ == nullptr) return;
    for (std::int64_t j = 0; j < c_.cols; ++j) {
      std::int64_t sum = lowered_ ? -kRaise * depth : 0;  // of B as it was packed
      for (std::int64_t at = k; at < k + depth; at += kSafeDepth) {
        sum += packed_->sums()[at / kSafeDepth * c_.cols + j];
      }
      start_cols_[j] = wrapped(-kRaise * sum);
    }
  }

  void finish(const DenseView& strip, std::int64_t row, std::int64_t col, bool add) const {
    const GemmFinishArgs args{strip, window(c_, row, strip.rows, col, strip.cols, out_size_),
                              lowered_ ? row_sums_ + row : nullptr, add};
    const std::int64_t m = strip.rows, work = m * strip.cols;
    const std::int64_t tasks = std::min(parallel::task_count(request_.threads, work, kFinishedPerTask), m);
    parallel::run(request_.threads, tasks, [&](std::int64_t task, int thread) {
      finish_.run(&args, m * task / tasks, m * (task + 1) / tasks, thread, nullptr);
    });
  }

  const DenseView a_, b_;
  const PackedIntegers* const packed_;
  const DenseView c_;
  GemmRequest request_;
  const FoundKernel finish_;
  const std::int64_t out_size_;
  const bool lowered_, raised_;  // B and A as they are packed
  std::int64_t* row_sums_ = nullptr;
  std::int32_t* start_cols_ = nullptr;  // of a packed B: tasks that pack it find their own
};

}  // namespace

Status gemm_integers(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                     Isa highest, int threads) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const SmallProducts small(a, b, c, types, highest);
  if (small.serves()) return small.run(threads);
  const Isa isa = gemm_isa(DType::i32, highest);
  if (serves_integer_rows(b, c, types)) return gemm_integer_rows(a, b, c, types, isa, threads);
  if (serves_integer_rows(a.transposed(), c.transposed(), types)) {
    return gemm_integer_rows(b.transposed(), a.transposed(), c.transposed(), types.transposed(), isa,
                             threads);
  }
  if (better_transposed(c, a.cols / kGroup, gemm_blocking(isa, DType::i32).lanes)) {
    return IntegerProduct(b.transposed(), a.transposed(), nullptr, c.transposed(), types.transposed(), isa,
                          threads)
        .run();
  }
  return IntegerProduct(a, b, nullptr, c, types, isa, threads).run();
}

Status gemm_integers(const DenseView& a, const PackedIntegers& b, const DenseView& c, const GemmTypes& types,
                     int threads) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  return IntegerProduct(a, {}, &b, c, types, b.groups().isa(), threads).run();
}

Status prepack_integers(const DenseView& b, DType stored, Isa highest, int threads, PackedIntegers& packed) {
  const GemmKernels kernels = kernels_for({stored, stored, DType::i32, DType::i32}, highest);
  const DenseView groups = grouped_right(b);
  const std::int64_t stretches = (b.rows + kSafeDepth - 1) / kSafeDepth;
  PackedMatrix& to = packed.groups_;
  if (!to.memory_.resize(prepacked_bytes(groups.rows, b.cols, DType::i32, highest)) ||
      !packed.sums_.resize(static_cast<std::size_t>(stretches * b.cols) * sizeof(std::int64_t))) {
    return Status::no_memory;
  }
  to.rows_ = groups.rows;
  to.cols_ = b.cols;
  to.dtype_ = DType::i32;
  to.isa_ = kernels.block.isa;
  packed.rows_ = b.rows;
  packed.stored_ = stored;
  if (b.rows > 0 && b.cols > 0) {
    pack_panels(kernels, groups, DType::i32, threads, to.memory_.data(), b.rows);
  }
  for (std::int64_t s = 0; s < stretches; ++s) {
    const std::int64_t first = s * kSafeDepth, depth = std::min(kSafeDepth, b.rows - first);
    sum_columns(window(b, first, depth, 0, b.cols, 1), stored, kernels.block.isa, threads,
                static_cast<std::int64_t*>(packed.sums_.data()) + s * b.cols);
  }
  return Status::ok;
}

}  // namespace deepgemm
