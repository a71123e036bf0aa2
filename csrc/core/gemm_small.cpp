#include "core/gemm_small.h"

#include <algorithm>

#include "core/gemm_blocked.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Above this many multiply-adds packing A is worth its time, and so is a second thread.
constexpr std::int64_t kMostWork = std::int64_t{1} << 19;
// A right operand that is read once for each tile of rows stays in L1.
constexpr std::int64_t kMostRightBytes = 32 << 10;
// Multiply-adds in lanes without a column, from which on turning the product over is cheaper.
constexpr std::int64_t kMostIdle = std::int64_t{1} << 16;
// A result of so few vectors of columns is not worth packing A for (20000 x 64 x 64 191 GFLOP/s by packing, a
// thread). Its rows are cut into blocks of a few tiles on every ISA.
constexpr std::int64_t kTallVectors = 4;
constexpr std::int64_t kBlockRows = 84;
// Multiply-adds in vectors that one member, and one task of members, is worth at least.
constexpr std::int64_t kMemberVectors = 64;
constexpr std::int64_t kTaskVectors = std::int64_t{1} << 16;

}  // namespace

SmallProducts::SmallProducts(const DenseView& a, const DenseView& b, const DenseView& c,
                             const GemmTypes& types, Isa highest, const GemmAxis* axes, int axis_count)
    : size_(static_cast<std::int64_t>(size_of(types.chain))) {
  const bool real = types.chain == DType::f32 || types.chain == DType::f64;
  const bool same = types.left == types.chain && types.right == types.chain && types.out == types.chain;
  if (!real || !same) return;
  const Isa isa = gemm_isa(types.chain, highest);
  lanes_ = gemm_blocking(isa, types.chain).lanes;
  args_.axes = axes;
  args_.axis_count = axis_count;
  for (int d = 0; d < axis_count; ++d) count_ *= axes[d].extent;
  if (place(a, b, c) || (axis_count == 0 && place(b.transposed(), a.transposed(), c.transposed()))) {
    kernel_ = find_kernel(KernelId::gemm_small, types.chain, IndexType::i32, isa);
  }
}

// Blocks of rows are the members of a stack.
void SmallProducts::cut_rows() {
  DenseView &a = args_.a, &c = args_.c;
  count_ = c.rows / kBlockRows;
  blocks_ = {count_, kBlockRows * a.row_stride, 0, kBlockRows * c.row_stride};
  args_.axes = &blocks_;
  args_.axis_count = 1;
  rest_a_ = window(a, count_ * kBlockRows, c.rows % kBlockRows, 0, a.cols, size_);
  rest_c_ = window(c, count_ * kBlockRows, c.rows % kBlockRows, 0, c.cols, size_);
  a.rows = c.rows = kBlockRows;
}

bool SmallProducts::place(const DenseView& a, const DenseView& b, const DenseView& c) {
  const std::int64_t idle = (c.cols + lanes_ - 1) / lanes_ * lanes_ - c.cols;
  const bool unit = c.col_stride == 1 || c.cols == 1;
  if (!unit || b.rows * b.cols * size_ > kMostRightBytes) return false;
  const bool large = c.rows * c.cols * a.cols > kMostWork;
  const bool tall = args_.axis_count == 0 && c.rows > 2 * kBlockRows && c.cols <= kTallVectors * lanes_ &&
                    2 * c.cols >= lanes_;
  if (large ? !tall : c.rows * a.cols * idle > kMostIdle) return false;
  args_.a = a;
  args_.b = b;
  args_.c = c;
  args_.pack_b = b.col_stride != 1 && b.cols != 1;
  if (large) cut_rows();
  return true;
}

Status SmallProducts::run(int threads) const {
  const DenseView& b = args_.b;
  const std::int64_t width = (b.cols + lanes_ - 1) / lanes_ * lanes_;
  const std::int64_t vectors = kMemberVectors + args_.c.rows * args_.a.cols * (width / lanes_);
  const std::int64_t tasks =
      count_ == 1 ? 1 : std::min(parallel::task_count(threads, vectors * count_, kTaskVectors), count_);
  const std::int64_t each = args_.pack_b ? b.rows * width * size_ : 0;
  const Workspace memory(static_cast<std::size_t>(tasks == 1 ? each : each * threads));
  if (memory.data() == nullptr) return Status::no_memory;
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    char* const own = static_cast<char*>(memory.data()) + thread * each;
    kernel_.run(&args_, count_ * task / tasks, count_ * (task + 1) / tasks, thread, own);
    if (task == tasks - 1 && rest_c_.rows > 0) {
      GemmSmallArgs rest = args_;
      rest.a = rest_a_;
      rest.c = rest_c_;
      rest.axis_count = 0;
      kernel_.run(&rest, 0, 1, thread, own);
    }
  });
  return Status::ok;
}

}  // namespace deepgemm
