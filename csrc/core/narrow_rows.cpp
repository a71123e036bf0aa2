#include "core/narrow_rows.h"

#include <algorithm>

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
// rounded behind the product do too.
constexpr std::int64_t kEntries = 1024;
constexpr std::int64_t kRows = 64;
// What a widened panel of X may take: in L2, or more where its rows are many, for S is read again for each
// panel (325,000 rows of X, 128 columns: 520 ms with 8 MB).
constexpr std::int64_t kPanelBytes = 64 << 20;
constexpr std::int64_t kScratchBytes = 64 << 20;
constexpr std::int64_t kFloat = sizeof(float);
// csr_vector looks a few entries past the end of a row.
constexpr std::int64_t kBeyond = 16;

std::int64_t whole_lines(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

class NarrowRows final : public Product {
 public:
  NarrowRows(const CompressedView& s, DType other, DType out, Isa highest)
      : s_(s),
        other_(other),
        out_(out),
        rows_(find_kernel(KernelId::csr_rowwise, DType::f32, s.index_type, highest)),
        vector_(find_kernel(KernelId::csr_vector, DType::f32, s.index_type, rows_.isa)),
        widen_values_(find_kernel(KernelId::gemm_pack_left, s.dtype, IndexType::i32, rows_.isa)) {
    for (std::int64_t r = 0; r < s_.major; ++r) longest_ = std::max(longest_, start(r + 1) - start(r));
  }

  const char* kernel() const override { return "csr_narrow"; }
  Isa isa() const override { return rows_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    const bool stands = other_ == DType::f32 && (x.cols == 1 ? x.row_stride == 1 : x.col_stride == 1) &&
                        !panels::worth_aligning(x, kFloat, s_.nnz);
    const std::int64_t most = kPanelBytes / std::max<std::int64_t>(x.rows * kFloat, 1);
    const std::int64_t width = stands ? y.cols : panels::even_width(y.cols, most, kFloat);
    const std::int64_t panel_bytes = stands ? 0 : whole_lines(x.rows * width * kFloat);
    const bool direct = out_ == DType::f32 && (y.col_stride == 1 || y.cols == 1);
    const std::int64_t values_bytes = whole_lines((std::max(longest_, kEntries) + kBeyond) * kFloat);
    const std::int64_t each = values_bytes + (direct ? 0 : whole_lines(kRows * width * kFloat));
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
      const std::int64_t work = work_before(s_, s_.major) * (1 + n * kFloat / 64);
      const std::int64_t tasks = std::min(parallel::task_count(threads, work, kWorkPerTask), s_.major);
      parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
        multiply(first_row(s_, task, tasks), first_row(s_, task + 1, tasks), panel, result, direct,
                 scratch + panel_bytes + thread * each, values_bytes);
      });
    }
    return Status::ok;
  }

 private:
  static std::int64_t bytes(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }
  std::int64_t start(std::int64_t row) const { return index_at(s_.indptr, s_.index_type, row); }

  // Rows [begin, end), as many at a time as their entries and results have room.
  void multiply(std::int64_t begin, std::int64_t end, const DenseView& x, const DenseView& y, bool direct,
                char* scratch, std::int64_t values_bytes) const {
    float* const values = reinterpret_cast<float*>(scratch);
    const std::int64_t most = direct ? end - begin : kRows;
    while (begin < end) {
      std::int64_t last = begin + 1;
      while (last < end && last - begin < most && start(last + 1) - start(begin) <= kEntries) ++last;
      widen(start(begin), start(last), values);
      DenseView here{static_cast<char*>(y.data) + begin * y.row_stride * bytes(out_), last - begin, y.cols,
                     y.row_stride, y.col_stride};
      const DenseView tile{direct ? here.data : scratch + values_bytes, here.rows, here.cols,
                           direct ? y.row_stride : y.cols, 1};
      run_kernel(begin, last, values, x, tile);
      if (!direct) deliver(tile, here);
      begin = last;
    }
  }

  void widen(std::int64_t first, std::int64_t last, float* to) const {
    if (first == last) return;
    const char* from = static_cast<const char*>(s_.values) + first * bytes(s_.dtype);
    const GemmPackArgs args{from, last - first, 1, 1, last - first, last - first, 1, to, 0};
    widen_values_.run(&args, 0, 1, 0, nullptr);
  }

  // Kernels count entries from that of the matrix: the pointer to the widened ones is moved back as far.
  void run_kernel(std::int64_t begin, std::int64_t end, const float* values, const DenseView& x,
                  const DenseView& y) const {
    const auto moved =
        reinterpret_cast<std::uintptr_t>(values) - static_cast<std::uintptr_t>(start(begin)) * sizeof(float);
    const void* const all = reinterpret_cast<const void*>(moved);
    const void* const indptr =
        static_cast<const char*>(s_.indptr) + begin * static_cast<std::int64_t>(size_of(s_.index_type));
    if (y.cols == 1) {
      const std::int64_t readable = std::min(s_.nnz, start(end) + kBeyond);
      const SpmvArgs args{indptr, s_.indices, all, x.data, y.data, y.row_stride, readable, true};
      vector_.run(&args, 0, end - begin, 0, nullptr);
    } else {
      const SpmmArgs args{indptr,       s_.indices, all,          end - begin, s_.minor, x.data,
                          x.row_stride, y.data,     y.row_stride, y.cols,      true};
      rows_.run(&args, 0, end - begin, 0, nullptr);
    }
  }

  void deliver(const DenseView& from, const DenseView& to) const {
    if (out_ == DType::f32) return dense::copy(from, to, sizeof(float), 1);
    cast(from, DType::f32, to, out_, isa(), 1);
  }

  CompressedView s_;
  DType other_, out_;
  FoundKernel rows_, vector_, widen_values_;
  std::int64_t longest_ = 0;
};

}  // namespace

std::unique_ptr<Product> make_narrow_rows(const CompressedView& s, DType other, DType out, Isa highest) {
  return std::make_unique<NarrowRows>(s, other, out, highest);
}

}  // namespace deepgemm
