#include "core/gemm_split.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/dense.h"
#include "core/gemm_args.h"
#include "core/gemm_blocked.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Of the inner index: some dozens of rows or columns of them stay in L2 beside those of the other operand.
constexpr std::int64_t kPiece = 2048;
// So many columns fill half of the lanes of float32, the fewest that are not better spread over k as well.
constexpr std::int64_t kLeastLanes = 8;
constexpr std::int64_t kTasksPerThread = 8;

class SplitGemm {
 public:
  SplitGemm(const DenseView& a, const DenseView& b, const DenseView& c, DType dtype, Isa isa, int threads)
      : a_(a), b_(b), c_(c), dtype_(dtype), isa_(isa), threads_(threads), size_(bytes_of(dtype)) {
    arrange();
  }

  Status run() const {
    if (c_.rows == 0 || c_.cols == 0) return Status::ok;
    const std::int64_t pieces = std::max<std::int64_t>(ceil_div(a_.cols, kPiece), 1);
    const Workspace memory(static_cast<std::size_t>(pieces * c_.rows * c_.cols * size_));
    if (memory.data() == nullptr) return Status::no_memory;
    // Pieces of one task follow one another, for the sake of the prefetcher.
    const std::int64_t tasks = std::min<std::int64_t>(pieces, threads_ == 1 ? 1 : kTasksPerThread * threads_);
    std::atomic<Status> status{Status::ok};
    parallel::run(threads_, tasks, [&](std::int64_t task, int) {
      for (std::int64_t p = pieces * task / tasks; p < pieces * (task + 1) / tasks; ++p) {
        const Status one = piece(p, partial(memory.data(), p));
        if (one != Status::ok) status.store(one, std::memory_order_relaxed);
      }
    });
    if (status.load() != Status::ok) return status.load();
    if (dtype_ == DType::f32) {
      add<float>(memory.data(), pieces);
    } else {
      add<double>(memory.data(), pieces);
    }
    return Status::ok;
  }

 private:
  // What lanes run along, which the order follows.
  enum class Lanes : std::uint8_t {
    columns,  // adjacent columns of B
    inner,    // k, contiguous in both operands, or in copies
    flat,     // few columns of B and k together
  };

  void arrange() {
    if (c_.rows > c_.cols) turn();
    if (a_.col_stride == 1 && b_.row_stride == 1) return;
    for (const Lanes lanes : {Lanes::columns, Lanes::flat}) {
      for (int side = 0; side < 2; ++side) {
        if (fits(lanes)) {
          lanes_ = lanes;
          return;
        }
        turn();
      }
    }
  }

  void turn() {
    std::swap(a_, b_);
    a_ = a_.transposed();
    b_ = b_.transposed();
    c_ = c_.transposed();
  }

  bool fits(Lanes lanes) const {
    if (b_.col_stride != 1) return false;
    if (lanes == Lanes::columns) return b_.cols >= kLeastLanes;
    const bool woven = a_.row_stride == 1 && a_.col_stride > 0 && a_.col_stride <= b_.cols;
    return b_.cols > 1 && b_.cols <= kMostFlat && b_.row_stride == b_.cols && (a_.col_stride == 1 || woven);
  }

  DenseView partial(void* memory, std::int64_t p) const {
    return {offset(memory, p * c_.rows * c_.cols, size_), c_.rows, c_.cols, c_.cols, 1};
  }

  Status piece(std::int64_t p, const DenseView& to) const {
    const std::int64_t first = p * kPiece, depth = std::min(kPiece, a_.cols - first);
    const DenseView a = window(a_, 0, a_.rows, first, depth, size_);
    const DenseView b = window(b_, first, depth, 0, b_.cols, size_);
    if (lanes_ == Lanes::columns) {
      GemmSmallArgs one{};
      one.a = a;
      one.b = b;
      one.c = to;
      run_kernel(KernelId::gemm_small, one, 1);
      return Status::ok;
    }
    if (lanes_ == Lanes::flat) {
      run_kernel(KernelId::gemm_flat, GemmDotsArgs{a, b, to, a_.cols - first - depth}, to.rows);
      return Status::ok;
    }
    const Workspace lines(static_cast<std::size_t>((c_.rows + c_.cols) * depth * size_));
    if (lines.data() == nullptr) return Status::no_memory;
    const DenseView a_lines = along(a, lines.data());
    const DenseView b_lines =
        along(b.transposed(), offset(lines.data(), c_.rows * depth, size_)).transposed();
    run_kernel(KernelId::gemm_dots, GemmDotsArgs{a_lines, b_lines, to, 0}, to.rows);
    return Status::ok;
  }

  template <class Args>
  void run_kernel(KernelId id, const Args& args, std::int64_t count) const {
    find_kernel(id, dtype_, IndexType::i32, isa_).run(&args, 0, count, 0, nullptr);
  }

  // Rows that are contiguous: those that are given, or copies.
  DenseView along(const DenseView& rows, void* memory) const {
    if (rows.col_stride == 1) return rows;
    const DenseView copy{memory, rows.rows, rows.cols, rows.cols, 1};
    dense::copy(rows, copy, static_cast<std::size_t>(size_), 1);
    return copy;
  }

  template <class T>
  void add(void* memory, std::int64_t pieces) const {
    const std::int64_t count = c_.rows * c_.cols;
    T* const sums = static_cast<T*>(memory);
    for (std::int64_t p = 1; p < pieces; ++p) {
      for (std::int64_t i = 0; i < count; ++i) sums[i] += sums[p * count + i];
    }
    dense::copy(partial(memory, 0), c_, static_cast<std::size_t>(size_), 1);
  }

  DenseView a_, b_, c_;
  const DType dtype_;
  const Isa isa_;
  const int threads_;
  const std::int64_t size_;
  Lanes lanes_ = Lanes::inner;
};

class GemmSplitProduct final : public Product {
 public:
  GemmSplitProduct(const DenseView& fixed, Side side, DType dtype, Isa highest)
      : fixed_(fixed), side_(side), dtype_(dtype), isa_(gemm_isa(dtype, highest)) {}

  const char* kernel() const override { return "gemm_split"; }
  Isa isa() const override { return isa_; }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    const DenseView& left = side_ == Side::left ? fixed_ : other;
    const DenseView& right = side_ == Side::left ? other : fixed_;
    return SplitGemm(left, right, out, dtype_, isa_, threads).run();
  }

 private:
  DenseView fixed_;
  Side side_;
  DType dtype_;
  Isa isa_;
};

}  // namespace

std::unique_ptr<Product> make_gemm_split_product(const DenseView& fixed, Side side, DType dtype,
                                                 Isa highest) {
  if (dtype != DType::f32 && dtype != DType::f64) return nullptr;
  return std::make_unique<GemmSplitProduct>(fixed, side, dtype, highest);
}

}  // namespace deepgemm
