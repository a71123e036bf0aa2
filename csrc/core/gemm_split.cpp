#include "core/gemm_split.h"

#include <algorithm>
#include <atomic>

#include "core/dense.h"
#include "core/gemm_args.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Of the inner index: 16 rows or columns of them stay in L2 beside those of the other operand.
constexpr std::int64_t kPiece = 4096;
// From so many rows or columns on they fill the lanes, and no dot products are needed.
constexpr std::int64_t kLeastLanes = 16;

class SplitGemm {
 public:
  SplitGemm(const DenseView& a, const DenseView& b, const DenseView& c, DType dtype, Isa isa, int threads)
      : a_(a), b_(b), c_(c), dtype_(dtype), isa_(isa), threads_(threads), size_(size_of(dtype)) {}

  Status run() const {
    const std::int64_t pieces = std::max<std::int64_t>((a_.cols + kPiece - 1) / kPiece, 1);
    const Workspace memory(static_cast<std::size_t>(pieces * c_.rows * c_.cols) * size_);
    if (memory.data() == nullptr) return Status::no_memory;
    std::atomic<Status> status{Status::ok};
    parallel::run(threads_, pieces, [&](std::int64_t p, int) {
      const Status one = piece(p, partial(memory.data(), p));
      if (one != Status::ok) status.store(one, std::memory_order_relaxed);
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
  DenseView partial(void* memory, std::int64_t p) const {
    char* data = static_cast<char*>(memory) + static_cast<std::size_t>(p * c_.rows * c_.cols) * size_;
    return {data, c_.rows, c_.cols, c_.cols, 1};
  }

  Status piece(std::int64_t p, const DenseView& to) const {
    const std::int64_t first = p * kPiece, depth = std::min(kPiece, a_.cols - first);
    DenseView a = a_, b = b_;
    a.data = static_cast<char*>(a.data) + first * a.col_stride * static_cast<std::int64_t>(size_);
    b.data = static_cast<char*>(b.data) + first * b.row_stride * static_cast<std::int64_t>(size_);
    a.cols = b.rows = depth;
    if (std::max(c_.rows, c_.cols) >= kLeastLanes) {
      return gemm(a, b, to, GemmTypes::all(dtype_), isa_, 1);
    }
    const Workspace lines(static_cast<std::size_t>((c_.rows + c_.cols) * depth) * size_);
    if (lines.data() == nullptr) return Status::no_memory;
    char* const b_lines =
        static_cast<char*>(lines.data()) + static_cast<std::size_t>(c_.rows * depth) * size_;
    const FoundKernel kernel = find_kernel(KernelId::gemm_dots, dtype_, IndexType::i32, isa_);
    const GemmDotsArgs args{along(a, lines.data()), along(b.transposed(), b_lines).transposed(), to};
    kernel.run(&args, 0, c_.rows, 0, nullptr);
    return Status::ok;
  }

  // Rows that are contiguous: those that are given, or copies.
  DenseView along(const DenseView& rows, void* memory) const {
    if (rows.col_stride == 1) return rows;
    const DenseView copy{memory, rows.rows, rows.cols, rows.cols, 1};
    dense::copy(rows, copy, size_, 1);
    return copy;
  }

  template <class T>
  void add(const void* memory, std::int64_t pieces) const {
    const T* partial = static_cast<const T*>(memory);
    for (std::int64_t i = 0; i < c_.rows; ++i) {
      for (std::int64_t j = 0; j < c_.cols; ++j) {
        T sum = T(0);
        for (std::int64_t p = 0; p < pieces; ++p) sum += partial[(p * c_.rows + i) * c_.cols + j];
        static_cast<T*>(c_.data)[i * c_.row_stride + j * c_.col_stride] = sum;
      }
    }
  }

  const DenseView a_, b_, c_;
  const DType dtype_;
  const Isa isa_;
  const int threads_;
  const std::size_t size_;
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
