#include "core/gemm_small.h"

#include <algorithm>

#include "core/gemm_blocked.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Above this many multiply-adds packing A is worth its time, and so is a second thread.
constexpr std::int64_t kMostWork = std::int64_t{1} << 19;
// The same for elements that are widened; of 8-bit integers the packed product takes four in a step.
constexpr std::int64_t kMostWidened = std::int64_t{1} << 18;
constexpr std::int64_t kMostWidenedBytes = std::int64_t{1} << 15;
// Sums of so many products of 8-bit integers are exact in float32.
constexpr std::int64_t kExactDepth = (1 << 24) / (255 * 255);
// A right operand that is read once for each tile of rows stays in L1.
constexpr std::int64_t kMostRightBytes = 32 << 10;
// Multiply-adds in lanes without a column, from which on turning the product over is cheaper.
constexpr std::int64_t kMostIdle = std::int64_t{1} << 16;
// A result of so few vectors of columns is not worth packing A for (20000 x 64 x 64 191 GFLOP/s by packing, a
// thread). Its rows are cut into blocks of a few tiles on every ISA.
constexpr std::int64_t kTallVectors = 4;
constexpr std::int64_t kBlockRows = 84;
// Full tiles of so few vectors may stream a larger right operand from L2, if rows of A are contiguous: 4096 x
// 4096 x 16 94 -> 122 GFLOP/s on one thread, 4096 x 1000 x 16 120 -> 190, 20000 x 500 x 32 138 -> 173.
constexpr std::int64_t kTallestVectors = 2;
constexpr std::int64_t kMostTallBytes = 512 << 10;
// Multiply-adds in vectors that one member, and one task of members, is worth at least.
constexpr std::int64_t kMemberVectors = 64;
constexpr std::int64_t kTaskVectors = std::int64_t{1} << 16;

// Both operands are of one dtype, and so is the result, or it holds sums of integers.
FoundKernel kernel_of(const GemmTypes& types, Isa isa) {
  const DType left = types.left;
  const bool same = types.right == left && types.out == left && !is_complex(left);
  const bool sums = types.right == left && types.out == DType::i32 && types.chain == DType::i32;
  if (!same && !sums) return {};
  return find_kernel(KernelId::gemm_small, left, IndexType::i32, isa);
}

}  // namespace

SmallProducts::SmallProducts(const DenseView& a, const DenseView& b, const DenseView& c,
                             const GemmTypes& types, Isa highest, const GemmAxis* axes, int axis_count) {
  const bool integers = types.chain == DType::i32;
  const Isa isa = gemm_isa(integers ? DType::f32 : types.chain, highest);
  const FoundKernel kernel = kernel_of(types, isa);
  if (kernel.run == nullptr || (integers && a.cols > kExactDepth)) return;
  widens_ = types.left != types.chain;
  most_work_ = integers ? kMostWidenedBytes : widens_ ? kMostWidened : kMostWork;
  const DType computed = integers ? DType::f32 : types.chain;
  size_ = bytes_of(computed);
  lanes_ = gemm_blocking(isa, computed).lanes;
  args_.axes = axes;
  args_.axis_count = axis_count;
  for (int d = 0; d < axis_count; ++d) count_ *= axes[d].extent;
  if (place(a, b, c) || (axis_count == 0 && place(b.transposed(), a.transposed(), c.transposed()))) {
    kernel_ = kernel;
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

// Whether a product of many rows and few columns is cut into blocks of rows.
bool SmallProducts::is_tall(const DenseView& a, const DenseView& b, const DenseView& c) const {
  if (widens_ || args_.axis_count > 0 || c.rows <= 2 * kBlockRows || 2 * c.cols < lanes_) return false;
  if (b.rows * b.cols * size_ <= kMostRightBytes) return c.cols <= kTallVectors * lanes_;
  const bool streams = b.rows * b.cols * size_ <= kMostTallBytes && a.col_stride == 1;
  return streams && c.cols <= kTallestVectors * lanes_;
}

bool SmallProducts::place(const DenseView& a, const DenseView& b, const DenseView& c) {
  if (c.col_stride != 1 && c.cols != 1) return false;
  if (widens_ && a.cols == 0) return false;  // the result alone would be widened, whatever its size
  const bool large = c.rows * c.cols * a.cols > most_work_ || b.rows * b.cols * size_ > kMostRightBytes;
  const std::int64_t idle = round_up(c.cols, lanes_) - c.cols;
  if (large ? !is_tall(a, b, c) : c.rows * a.cols * idle > kMostIdle) return false;
  args_.a = a;
  args_.b = b;
  args_.c = c;
  args_.pack_b = !widens_ && b.col_stride != 1 && b.cols != 1;
  if (large) cut_rows();
  return true;
}

// Bytes of each thread: elements that are widened, or the right operand.
std::int64_t SmallProducts::workspace() const {
  const DenseView &a = args_.a, &b = args_.b, &c = args_.c;
  if (widens_) return (a.rows * a.cols + b.rows * b.cols + c.rows * c.cols) * size_;
  return args_.pack_b ? b.rows * round_up(b.cols, lanes_) * size_ : 0;
}

Status SmallProducts::run(int threads) const {
  const std::int64_t vectors = kMemberVectors + args_.c.rows * args_.a.cols * ceil_div(args_.b.cols, lanes_);
  const std::int64_t tasks =
      count_ == 1 ? 1 : std::min(parallel::task_count(threads, vectors * count_, kTaskVectors), count_);
  const std::int64_t each = workspace();
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
