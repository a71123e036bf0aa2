#include "core/gemm_thin.h"

#include <algorithm>

#include "core/gemm_blocked.h"
#include "core/gemm_thin_args.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Columns of a strip: with C they stay in L1 or L2, and their rows are read as long stretches.
constexpr std::int64_t kStripColumns = 1024;
constexpr std::int64_t kLeastColumns = 128;
// The same where there is no other way to occupy all threads.
constexpr std::int64_t kFewColumns = 32;
// Rows of A as they are packed stay in L2 or L3.
constexpr std::int64_t kMostPackedBytes = std::int64_t{4} << 20;
// Bytes of B for each thread below which another one is not worth waking.
constexpr std::int64_t kBytesPerThread = 64 << 10;

bool is_narrow(DType t) { return t >= DType::f16 && t <= DType::u8; }

}  // namespace

ThinProduct::ThinProduct(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                         Isa highest)
    : a_(a), b_(b), c_(c), types_(types) {
  if (types.chain != DType::f32) return;
  turned_ = c.rows > c.cols;
  if (turned_) {
    a_ = b.transposed();
    b_ = a.transposed();
    c_ = c.transposed();
    types_ = types.transposed();
  }
  const bool stands = b_.col_stride == 1 || b_.row_stride == 1;
  if (c_.rows > kThinRows || !is_narrow(types_.right) || !stands) return;
  if (c_.rows * a_.cols * bytes_of(DType::f32) > kMostPackedBytes) return;
  kernel_ = find_kernel(KernelId::gemm_thin, types_.right, IndexType::i32, highest);
}

Status ThinProduct::run(const Epilogue& terms, int threads) const {
  const std::int64_t m = c_.rows, n = c_.cols, k = a_.cols, size = bytes_of(DType::f32);
  const std::int64_t team =
      std::clamp<std::int64_t>(n * k * bytes_of(types_.right) / kBytesPerThread, 1, threads);
  const std::int64_t strips = team * ceil_div(n, team * kStripColumns);
  const std::int64_t least = n < strips * kLeastColumns ? kFewColumns : kLeastColumns;
  const std::int64_t strip = round_up(ceil_div(n, strips), least);
  const std::int64_t a_bytes = round_up(m * k * size, 64), each = m * thin_width(strip) * size;
  const Workspace memory(static_cast<std::size_t>(a_bytes + team * each));
  char* const shared = static_cast<char*>(memory.data());
  if (shared == nullptr) return Status::no_memory;

  const std::int64_t tiles = ceil_div(m, kThinTile), height = ceil_div(m, tiles);
  const GemmPackArgs pack{a_.data, m, a_.row_stride, k, a_.col_stride, height, 1, shared, 0};
  find_kernel(KernelId::gemm_pack_left, types_.left, IndexType::i32, kernel_.isa)
      .run(&pack, 0, tiles, 0, nullptr);
  const FoundKernel epilogue = find_kernel(KernelId::epilogue, types_.out, IndexType::i32, kernel_.isa);
  const Epilogue ending = turned_ ? terms.transposed() : terms;
  const GemmThinArgs args{static_cast<const float*>(memory.data()), m, height, b_};
  parallel::run(static_cast<int>(team), ceil_div(n, strip), [&](std::int64_t task, int thread) {
    char* const own = shared + a_bytes + thread * each;
    const std::int64_t begin = task * strip, cols = std::min(strip, n - begin);
    kernel_.run(&args, begin, begin + cols, thread, own);
    const EpilogueArgs last{{own, m, cols, thin_width(cols), 1},
                            window(c_, 0, m, begin, cols, bytes_of(types_.out)),
                            ending.from(0, begin, size)};
    epilogue.run(&last, 0, m, thread, nullptr);
  });
  return Status::ok;
}

}  // namespace deepgemm
