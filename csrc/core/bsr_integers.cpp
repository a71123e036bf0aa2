#include "core/bsr_integers.h"

#include <algorithm>

#include "core/bsr_integer_args.h"
#include "core/cpu.h"
#include "core/gemm_args.h"
#include "core/panels.h"
#include "core/parallel.h"
#include "core/partition.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 16000;  // see bsr_product.cpp
constexpr std::int64_t kPackedPerTask = 1 << 15;
// Panels of X that are packed at a time.
constexpr std::int64_t kPackedBytes = 8 << 20;

FoundKernel block_kernel(DType stored, Isa highest) {
  if (cpu::has("vnni")) {
    const FoundKernel fast = find_kernel(KernelId::bsr_integers_vnni, stored, IndexType::i32, highest);
    if (fast.run != nullptr) return fast;
  }
  return find_kernel(KernelId::bsr_integers, stored, IndexType::i32, highest);
}

// The instruction multiplies unsigned by signed bytes. X is what is raised or lowered by kRaise where both
// are of one kind, because what that leaves out are sums along the rows of S: known before the product.
class BlockIntegers final : public Product {
 public:
  BlockIntegers(const BlockView& s, std::int64_t width, DType other, DType out, Isa highest)
      : s_(s.blocks),
        height_(s.height),
        groups_(s.width / kGroup),
        width_(width),
        out_(out),
        block_(block_kernel(s.blocks.dtype, highest)),
        pack_(find_kernel(raises() ? KernelId::gemm_group_left : KernelId::gemm_group_right, other,
                          IndexType::i32, block_.isa)) {
    made_ = s.blocks.dtype != other || sum_rows();
  }

  const char* kernel() const override { return "bsr_integers"; }
  Isa isa() const override { return block_.isa; }
  bool made() const { return made_; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    const std::int64_t columns = block_integer_columns(isa()), words = s_.minor * groups_;
    const std::int64_t panel_words = words * columns, panels = (y.cols + columns - 1) / columns;
    const std::int64_t most =
        std::clamp<std::int64_t>(kPackedBytes / std::max<std::int64_t>(panel_words * kWord, 1), 1, panels);
    const Workspace memory(static_cast<std::size_t>(most * panel_words * kWord));
    if (memory.data() == nullptr) return Status::no_memory;
    auto* const packed = static_cast<std::uint32_t*>(memory.data());
    for (std::int64_t first = 0; first < panels; first += most) {
      const std::int64_t count = std::min(most, panels - first);
      pack(x, first, count, packed, threads);
      const std::int64_t last = std::min(y.cols, (first + count) * columns);
      const std::int64_t work = (last - first * columns + columns - 1) / columns *
                                (work_before(s_, s_.major) + s_.nnz * height_ * groups_);
      const std::int64_t tasks = std::min(parallel::task_count(threads, work, kWorkPerTask), s_.major);
      parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
        for (std::int64_t p = 0; p < count; ++p) {
          const std::int64_t column = (first + p) * columns, n = std::min(columns, y.cols - column);
          const BsrIntegerArgs args =
              args_of(packed + p * panel_words, n, panels::columns(y, column, n, out_size()));
          block_.run(&args, first_row(s_, task, tasks), first_row(s_, task + 1, tasks), thread, nullptr);
        }
      });
    }
    return Status::ok;
  }

 private:
  static constexpr std::int64_t kWord = sizeof(std::uint32_t);

  bool raises() const { return s_.dtype == DType::i8; }
  std::int64_t out_size() const { return static_cast<std::int64_t>(size_of(out_)); }

  // Packed columns of a raised operand are as narrow as what is left of them, of a lowered one filled up.
  BsrIntegerArgs args_of(const std::uint32_t* x, std::int64_t n, const DenseView& y) const {
    const std::int64_t stride = raises() ? n : block_integer_columns(isa());
    const auto* start = static_cast<const std::int32_t*>(start_.data());
    return {
        s_.indptr, s_.indices, s_.index_type == IndexType::i64, s_.values, height_, groups_, start, x, stride,
        y,         out_};
  }

  // Columns of blocks are packed one by one where groups would reach over their ends.
  void pack(const DenseView& x, std::int64_t first, std::int64_t count, std::uint32_t* to,
            int threads) const {
    const std::int64_t columns = block_integer_columns(isa()), panel_words = s_.minor * groups_ * columns;
    const std::int64_t from = first * columns, n = std::min(x.cols - from, count * columns);
    const bool whole = width_ == groups_ * kGroup;
    const std::int64_t tasks = std::min(parallel::task_count(threads, x.rows * n, kPackedPerTask), s_.minor);
    parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
      const std::int64_t begin = s_.minor * task / tasks, end = s_.minor * (task + 1) / tasks;
      const std::int64_t step = whole ? end - begin : 1;
      for (std::int64_t block = begin; block < end; block += step) {
        for (std::int64_t p = 0; p < count; ++p) {
          const std::int64_t column = p * columns, wide = std::min(columns, n - column);
          const char* source = static_cast<const char*>(x.data) + block * width_ * x.row_stride +
                               (from + column) * x.col_stride;
          const std::int64_t stride = raises() ? wide : columns;
          const GemmPackArgs args{source,
                                  wide,
                                  x.col_stride,
                                  step * groups_,
                                  kGroup * x.row_stride,
                                  columns,
                                  1,
                                  to + p * panel_words + block * groups_ * stride,
                                  step * width_};
          pack_.run(&args, 0, 1, thread, nullptr);
        }
      }
    });
  }

  // What sums of each row begin with; it wraps, as the sums do on their way.
  bool sum_rows() {
    if (!start_.resize(static_cast<std::size_t>(s_.major * height_) * sizeof(std::int32_t))) return false;
    auto* to = static_cast<std::uint32_t*>(start_.data());
    const auto* values = static_cast<const std::uint8_t*>(s_.values);
    const std::int64_t length = groups_ * kGroup;
    for (std::int64_t row = 0; row < s_.major; ++row, to += height_) {
      std::fill_n(to, height_, 0u);
      for (std::int64_t p = index_at(s_.indptr, s_.index_type, row);
           p < index_at(s_.indptr, s_.index_type, row + 1); ++p) {
        for (std::int64_t i = 0; i < height_; ++i) {
          const std::uint8_t* line = values + (p * height_ + i) * length;
          std::int32_t sum = 0;
          for (std::int64_t j = 0; j < length; ++j)
            sum += raises() ? static_cast<std::int8_t>(line[j]) : line[j];
          to[i] += static_cast<std::uint32_t>(raises() ? -sum : sum) * static_cast<std::uint32_t>(kRaise);
        }
      }
    }
    return true;
  }

  CompressedView s_;  // of blocks
  std::int64_t height_, groups_, width_;
  DType out_;
  FoundKernel block_, pack_;
  AlignedBuffer start_;
  bool made_ = false;
};

}  // namespace

std::unique_ptr<Product> make_bsr_integers(const BlockView& s, std::int64_t width, DType other, DType out,
                                           Isa highest) {
  auto product = std::make_unique<BlockIntegers>(s, width, other, out, highest);
  return product->made() ? std::move(product) : nullptr;
}

}  // namespace deepgemm
