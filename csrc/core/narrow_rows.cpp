#include "core/narrow_rows.h"

#include <algorithm>

#include "core/bsr_args.h"
#include "core/cast.h"
#include "core/dense.h"
#include "core/gemm_args.h"
#include "core/kernel_args.h"
#include "core/panels.h"
#include "core/parallel.h"
#include "core/partition.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 4000;  // see csr_product.cpp
// Entries that are widened at a time stay in L1 beside the rows of X that they meet; rows of Y that are
// rounded behind the product do too. Kernels run rows side by side to hide the latency of their chains, so
// that some long ones go together all the same (two of 461 entries each: 62 µs a product with a vector, four
// 25).
constexpr std::int64_t kEntries = 1024;
constexpr std::int64_t kTogether = 4, kMostEntries = 16384;
constexpr std::int64_t kRows = 64;
// What a widened panel of X may take: in L2, or more where its rows are many, for S is read again for each
// panel (325,000 rows of X, 128 columns: 520 ms with 8 MB).
constexpr std::int64_t kPanelBytes = 64 << 20;
constexpr std::int64_t kScratchBytes = 64 << 20;
constexpr std::int64_t kDecodedPerTask = 1 << 14;
constexpr std::int64_t kFloat = sizeof(float);
// csr_vector looks a few entries past the end of a row.
constexpr std::int64_t kBeyond = 16;

std::int64_t whole_lines(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

class NarrowRows final : public Product {
 public:
  NarrowRows(const BlockView& s, const CodeScales& scales, DType other, DType out, Isa highest)
      : s_(s.blocks),
        height_(s.height),
        width_(s.width),
        scales_(scales),
        other_(other),
        out_(out),
        rows_(find_kernel(single() ? KernelId::csr_rowwise : KernelId::bsr_dense, DType::f32,
                          single() ? s_.index_type : IndexType::i32, highest)),
        vector_(find_kernel(single() ? KernelId::csr_vector : KernelId::bsr_vector, DType::f32,
                            single() ? s_.index_type : IndexType::i32, rows_.isa)),
        widen_values_(find_kernel(scales.scales != nullptr ? KernelId::decode_rows : KernelId::gemm_pack_left,
                                  s_.dtype, IndexType::i32, rows_.isa)) {
    for (std::int64_t r = 0; r < s_.major; ++r)
      longest_ = std::max(longest_, values_before(r + 1) - values_before(r));
  }

  const char* kernel() const override { return single() ? "csr_narrow" : "bsr_narrow"; }
  Isa isa() const override { return rows_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    const bool stands = other_ == DType::f32 && (x.cols == 1 ? x.row_stride == 1 : x.col_stride == 1) &&
                        !panels::worth_aligning(x, kFloat, s_.nnz * width_);
    const std::int64_t most = kPanelBytes / std::max<std::int64_t>(x.rows * kFloat, 1);
    const std::int64_t width = stands ? y.cols : panels::even_width(y.cols, most, kFloat);
    const std::int64_t panel_bytes = stands ? 0 : whole_lines(x.rows * width * kFloat);
    const bool direct = out_ == DType::f32 && (y.col_stride == 1 || y.cols == 1);
    const std::int64_t values = std::max(longest_, kMostEntries) + kBeyond;
    const Scratch parts{whole_lines(values * kFloat), scales_.nibbles ? whole_lines(values) : 0};
    const std::int64_t tile_rows = std::max(kRows, height_);
    const std::int64_t each =
        parts.values + parts.codes + (direct ? 0 : whole_lines(tile_rows * width * kFloat));
    // A long row is widened whole: rather fewer threads than one such stretch for each of many.
    threads = static_cast<int>(std::clamp<std::int64_t>(kScratchBytes / each, 1, threads));
    const Workspace memory(static_cast<std::size_t>(panel_bytes + threads * each));
    char* const scratch = static_cast<char*>(memory.data());
    if (scratch == nullptr) return Status::no_memory;
    for (std::int64_t column = 0; column < y.cols; column += width) {
      const std::int64_t n = std::min(width, y.cols - column);
      DenseView panel = panels::columns(x, column, n, bytes(other_));
      if (!stands) {
        const DenseView wide{scratch, x.rows, n, n, 1};
        cast(panel, other_, wide, DType::f32, isa(), threads);
        panel = wide;
      }
      const DenseView result = panels::columns(y, column, n, bytes(out_));
      const std::int64_t work = (work_before(s_, s_.major) + values_before(s_.major)) * (1 + n * kFloat / 64);
      const std::int64_t tasks = std::min(parallel::task_count(threads, work, kWorkPerTask), s_.major);
      parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
        multiply(first_row(s_, task, tasks), first_row(s_, task + 1, tasks), panel, result, direct,
                 scratch + panel_bytes + thread * each, parts);
      });
    }
    return Status::ok;
  }

 private:
  // Bytes of a thread's stretch of widened values, and of codes on the way there; a tile of Y follows.
  struct Scratch {
    std::int64_t values, codes;
  };

  static std::int64_t bytes(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }
  bool single() const { return height_ == 1 && width_ == 1; }
  std::int64_t start(std::int64_t row) const { return index_at(s_.indptr, s_.index_type, row); }
  std::int64_t values_before(std::int64_t row) const { return start(row) * height_ * width_; }

  // Rows of blocks [begin, end), as many at a time as their values and results have room.
  void multiply(std::int64_t begin, std::int64_t end, const DenseView& x, const DenseView& y, bool direct,
                char* scratch, const Scratch& parts) const {
    float* const values = reinterpret_cast<float*>(scratch);
    char* const codes = scratch + parts.values;
    const std::int64_t most = direct ? end - begin : std::max<std::int64_t>(kRows / height_, 1);
    while (begin < end) {
      std::int64_t last = begin + 1;
      while (last < end && last - begin < most && fits(begin, last + 1)) ++last;
      widen(begin, last, values, codes);
      const std::int64_t first = begin * height_, rows = (last - begin) * height_;
      DenseView here{static_cast<char*>(y.data) + first * y.row_stride * bytes(out_), rows, y.cols,
                     y.row_stride, y.col_stride};
      const DenseView tile{direct ? here.data : codes + parts.codes, rows, here.cols,
                           direct ? y.row_stride : y.cols, 1};
      run_kernel(begin, last, values, x, tile);
      if (!direct) deliver(tile, here);
      begin = last;
    }
  }

  bool fits(std::int64_t begin, std::int64_t end) const {
    const std::int64_t values = values_before(end) - values_before(begin);
    return values <= kEntries || ((end - begin) * height_ <= kTogether && values <= kMostEntries);
  }

  // The values of rows of blocks [begin, end); codes that share bytes are taken apart in `codes`.
  void widen(std::int64_t begin, std::int64_t end, float* to, char* codes) const {
    const std::int64_t first = values_before(begin), count = values_before(end) - first;
    if (count == 0) return;
    if (scales_.scales != nullptr) {
      const bool wide = s_.index_type == IndexType::i64;
      const DecodeArgs args{s_.indptr, s_.indices, wide, s_.values, height_, width_, scales_, to};
      widen_values_.run(&args, begin, end, 0, codes);
      return;
    }
    const char* from = static_cast<const char*>(s_.values) + first * bytes(s_.dtype);
    const GemmPackArgs args{from, count, 1, 1, count, count, 1, to, 0};
    widen_values_.run(&args, 0, 1, 0, nullptr);
  }

  // Kernels count entries from that of the matrix: the pointer to the widened ones is moved back as far.
  void run_kernel(std::int64_t begin, std::int64_t end, const float* values, const DenseView& x,
                  const DenseView& y) const {
    const auto moved = reinterpret_cast<std::uintptr_t>(values) -
                       static_cast<std::uintptr_t>(values_before(begin)) * sizeof(float);
    const void* const all = reinterpret_cast<const void*>(moved);
    const void* const indptr =
        static_cast<const char*>(s_.indptr) + begin * static_cast<std::int64_t>(size_of(s_.index_type));
    const FoundKernel& kernel = y.cols == 1 ? vector_ : rows_;
    if (!single()) {
      const bool wide = s_.index_type == IndexType::i64;
      const BsrArgs args{indptr,   s_.indices, wide,         all,    height_,      width_, end - begin,
                         s_.minor, x.data,     x.row_stride, y.data, y.row_stride, y.cols, true};
      kernel.run(&args, 0, end - begin, 0, nullptr);
    } else if (y.cols == 1) {
      const std::int64_t readable = std::min(s_.nnz, start(end) + kBeyond);
      const SpmvArgs args{indptr, s_.indices, all, x.data, y.data, y.row_stride, readable, true};
      kernel.run(&args, 0, end - begin, 0, nullptr);
    } else {
      const SpmmArgs args{indptr,       s_.indices, all,          end - begin, s_.minor, x.data,
                          x.row_stride, y.data,     y.row_stride, y.cols,      true};
      kernel.run(&args, 0, end - begin, 0, nullptr);
    }
  }

  void deliver(const DenseView& from, const DenseView& to) const {
    if (out_ == DType::f32) return dense::copy(from, to, sizeof(float), 1);
    cast(from, DType::f32, to, out_, isa(), 1);
  }

  CompressedView s_;  // of blocks
  std::int64_t height_, width_;
  CodeScales scales_;
  DType other_, out_;
  FoundKernel rows_, vector_, widen_values_;
  std::int64_t longest_ = 0;  // values of the longest row of blocks
};

}  // namespace

std::unique_ptr<Product> make_narrow_rows(const BlockView& s, const CodeScales& scales, DType other,
                                          DType out, Isa highest) {
  return std::make_unique<NarrowRows>(s, scales, other, out, highest);
}

void decode(const BlockView& s, const CodeScales& scales, float* to, int threads) {
  const CompressedView& rows = s.blocks;
  const std::int64_t size = s.height * s.width;
  const FoundKernel kernel = find_kernel(KernelId::decode_rows, rows.dtype, IndexType::i32, best_isa());
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, rows.nnz * size, kDecodedPerTask), rows.major);
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    const std::int64_t begin = first_row(rows, task, tasks), end = first_row(rows, task + 1, tasks);
    const std::int64_t first = index_at(rows.indptr, rows.index_type, begin) * size;
    const DecodeArgs args{rows.indptr, rows.indices, rows.index_type == IndexType::i64,
                          rows.values, s.height,     s.width,
                          scales,      to + first};
    kernel.run(&args, begin, end, thread, nullptr);
  });
}

}  // namespace deepgemm
