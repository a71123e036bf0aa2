// Products of tiles whose values stay as they are stored, with X and Y in their own dtypes: X is widened into
// the panels that tiles read, and Y rounded from rows of sums that are in the caches still.
#include <algorithm>
#include <cstring>

#include "core/cast.h"
#include "core/dense.h"
#include "core/gemm_args.h"
#include "core/kernel_table.h"
#include "core/panels.h"
#include "core/parallel.h"
#include "core/tiled.h"
#include "core/tiled_args.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kWorkPerTask = 4000;  // as in csr_product.cpp
constexpr std::int64_t kFloat = sizeof(float);
constexpr std::int64_t kTasksPerThread = 2;  // as in tiled_product.cpp, and the next two
constexpr std::int64_t kRowsPerTask = 2048;
constexpr std::int64_t kApartBytes = 512;
// Panels of columns of S that tasks widen for themselves: rows of X of 256 bytes in half of an L2. Wider ones
// are widened once for all, some columns of X at a time: rather many, for S is read again for each (325,000
// rows of X, 128 columns: 314 ms with 8 MB).
constexpr std::int64_t kNearPanel = 2048;
constexpr std::int64_t kSharedBytes = 64 << 20;
constexpr std::int64_t kWidenPerTask = 1 << 14;

std::int64_t bytes_of(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }

class NarrowTiled final : public Product {
 public:
  NarrowTiled(std::shared_ptr<const Tiled> tiled, DType other, DType out, const FoundKernel& found)
      : tiled_(std::move(tiled)),
        other_(other),
        out_(out),
        found_(found),
        widen_(find_kernel(KernelId::gemm_pack_left, other, IndexType::i32, found.isa)) {}

  const char* kernel() const override { return "csr_tiled_narrow"; }
  Isa isa() const override { return found_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    const TiledStructure& s = *tiled_->structure;
    const bool near = s.panels > 1 && s.panel_cols <= kNearPanel;
    const std::int64_t most = near ? y.cols : kSharedBytes / (s.cols * kFloat + 1);
    const std::int64_t width = panels::even_width(y.cols, std::max<std::int64_t>(most, 8), kFloat);
    const Shape shape = shape_of(y, width, near, threads);
    const Workspace memory(
        static_cast<std::size_t>(shape.shared_bytes + shape.threads * (shape.panel_bytes + shape.sum_bytes)));
    char* const buffer = static_cast<char*>(memory.data());
    if (buffer == nullptr) return Status::no_memory;
    // A panel's rows are widened up to its last column; what they hold beyond is multiplied too.
    if (width * kFloat < shape.row_bytes || y.cols % width != 0) {
      std::memset(buffer, 0, static_cast<std::size_t>(shape.shared_bytes));
    }
    if (near) {
      parallel::run(shape.threads, shape.slabs * shape.parts, [&](std::int64_t task, int thread) {
        run_part(x, y, shape, task / shape.parts, task % shape.parts, nullptr,
                 scratch(buffer, shape, thread));
      });
      return Status::ok;
    }
    for (std::int64_t slab = 0; slab < shape.slabs; ++slab) {
      widen_shared(panels::columns(x, slab * width, columns_in(y, shape, slab), bytes_of(other_)), shape,
                   buffer);
      parallel::run(shape.threads, shape.parts, [&](std::int64_t part, int thread) {
        run_part(x, y, shape, slab, part, buffer, scratch(buffer, shape, thread));
      });
    }
    return Status::ok;
  }

 private:
  // How a product is cut: slabs of columns, parts of the blocks of rows, and what each thread needs.
  struct Shape {
    std::int64_t width, row_bytes, slabs, parts;
    std::int64_t step;  // blocks whose sums are delivered together
    int threads;
    std::int64_t shared_bytes, panel_bytes, sum_bytes;
    bool sums;  // Y cannot take them as it stands
  };

  Shape shape_of(const DenseView& y, std::int64_t width, bool near, int threads) const {
    const TiledStructure& s = *tiled_->structure;
    Shape shape{};
    shape.width = width;
    shape.row_bytes = whole_vectors(width * kFloat);
    shape.slabs = (y.cols + width - 1) / width;
    const std::int64_t work = s.work_before(s.blocks) * (1 + y.cols * kFloat / 64);
    const std::int64_t tasks = parallel::task_count(threads, work, kWorkPerTask);
    shape.threads = tasks <= 1 ? 1 : threads;
    const std::int64_t uses = s.nnz / (threads * kTasksPerThread);
    const std::int64_t each = panels::used_often({nullptr, s.cols, 1, 1, 1}, uses) ? kTasksPerThread : 1;
    const std::int64_t wanted =
        !near || tasks <= 1 ? tasks : (threads * each + shape.slabs - 1) / shape.slabs;
    const std::int64_t least = near ? (s.rows + kRowsPerTask - 1) / kRowsPerTask : 1;
    shape.parts = std::min(std::max(wanted, least), s.blocks);
    shape.sums = out_ != DType::f32 || y.cols % width != 0 || width * kFloat != shape.row_bytes ||
                 (y.col_stride != 1 && y.cols > 1) || std::abs(y.row_stride) * kFloat > kApartBytes;
    shape.step = 1;
    for (std::int64_t part = 0; near && part < shape.parts; ++part) {
      shape.step =
          std::max(shape.step, s.first_block(part + 1, shape.parts) - s.first_block(part, shape.parts));
    }
    shape.sum_bytes = shape.sums ? shape.step * s.block_rows * shape.row_bytes : 0;
    shape.panel_bytes = near ? s.panel_cols * shape.row_bytes : 0;
    shape.shared_bytes = near ? 0 : s.cols * shape.row_bytes;
    return shape;
  }

  static char* scratch(char* buffer, const Shape& shape, int thread) {
    return buffer + shape.shared_bytes + thread * (shape.panel_bytes + shape.sum_bytes);
  }

  static std::int64_t columns_in(const DenseView& y, const Shape& shape, std::int64_t slab) {
    return std::min(shape.width, y.cols - slab * shape.width);
  }

  // Some rows of X as floats, their columns side by side. Rows of a panel that have room left are widened one
  // by one.
  void widen(const DenseView& x, std::int64_t row_bytes, char* to) const {
    const bool together = x.cols * kFloat == row_bytes;
    if (together && x.col_stride == 1 && x.row_stride == x.cols && x.rows > 1) {
      return widen({x.data, 1, x.rows * x.cols, x.rows * x.cols, 1}, x.rows * row_bytes, to);
    }
    const std::int64_t step = together ? std::max<std::int64_t>(x.rows, 1) : 1;
    for (std::int64_t row = 0; row < x.rows; row += step) {
      const char* from = static_cast<const char*>(x.data) + row * x.row_stride * bytes_of(other_);
      const GemmPackArgs args{from,   x.cols, x.col_stride,         step, x.row_stride,
                              x.cols, 1,      to + row * row_bytes, 0};
      widen_.run(&args, 0, 1, 0, nullptr);
    }
  }

  void widen_shared(const DenseView& x, const Shape& shape, char* to) const {
    const std::int64_t tasks = std::min(parallel::task_count(shape.threads, x.rows * x.cols, kWidenPerTask),
                                        std::max<std::int64_t>(x.rows, 1));
    parallel::run(shape.threads, tasks, [&](std::int64_t task, int) {
      const std::int64_t first = x.rows * task / tasks, last = x.rows * (task + 1) / tasks;
      char* data = static_cast<char*>(x.data) + first * x.row_stride * bytes_of(other_);
      widen({data, last - first, x.cols, x.row_stride, x.col_stride}, shape.row_bytes,
            to + first * shape.row_bytes);
    });
  }

  // One part of the rows of one slab of columns: `shared` holds all of X as floats, or is null where each
  // panel is widened when its turn comes.
  void run_part(const DenseView& x, const DenseView& y, const Shape& shape, std::int64_t slab,
                std::int64_t part, const char* shared, char* buffer) const {
    const TiledStructure& s = *tiled_->structure;
    const std::int64_t column = slab * shape.width, n = columns_in(y, shape, slab);
    const std::int64_t stride = shape.row_bytes / kFloat, last = s.first_block(part + 1, shape.parts);
    for (std::int64_t block = s.first_block(part, shape.parts); block < last; block += shape.step) {
      const std::int64_t blocks = std::min(shape.step, last - block), row = block * s.block_rows;
      DenseView target = panels::columns(y, column, n, bytes_of(out_));
      target.data = static_cast<char*>(target.data) + row * y.row_stride * bytes_of(out_);
      target.rows = std::min(blocks * s.block_rows, s.rows - row);
      const DenseView sums{buffer + shape.panel_bytes, target.rows, n, stride, 1};
      const DenseView& result = shape.sums ? sums : target;
      const TiledArgs args = args_from(block, shared != nullptr ? shared : buffer, result, stride);
      if (shared != nullptr) {
        found_.run(&args, 0, blocks, 0, nullptr);
      } else {
        run_panels(panels::columns(x, column, n, bytes_of(other_)), shape, args, blocks, buffer);
      }
      if (shape.sums) deliver(sums, target);
    }
  }

  void run_panels(const DenseView& x, const Shape& shape, TiledArgs args, std::int64_t blocks,
                  char* buffer) const {
    const TiledStructure& s = *tiled_->structure;
    if (x.cols * kFloat < shape.row_bytes)
      std::memset(buffer, 0, static_cast<std::size_t>(shape.panel_bytes));
    for (std::int64_t panel = 0; panel < s.panels; ++panel) {
      const std::int64_t first = panel * s.panel_cols;
      char* data = static_cast<char*>(x.data) + first * x.row_stride * bytes_of(other_);
      widen({data, std::min(s.panel_cols, x.rows - first), x.cols, x.row_stride, x.col_stride},
            shape.row_bytes, buffer);
      args.first_panel = panel;
      args.last_panel = panel + 1;
      found_.run(&args, 0, blocks, 0, nullptr);
    }
  }

  TiledArgs args_from(std::int64_t block, const char* x, const DenseView& result, std::int64_t stride) const {
    const TiledStructure& s = *tiled_->structure;
    constexpr std::int64_t kFarBytes = 4 << 20;  // as in tiled_product.cpp
    return {s.entry_start.data() + block * s.panels,
            s.row_start.data() + block * s.panels,
            s.row.data(),
            s.length.data(),
            s.index.data(),
            false,
            tiled_->values.get(),
            s.block_rows,
            s.panel_cols,
            s.panels,
            0,
            s.panels,
            x,
            stride,
            result.data,
            result.row_stride,
            stride,
            s.nnz * (bytes_of(tiled_->dtype) + 2) > kFarBytes,
            true};
  }

  void deliver(const DenseView& from, const DenseView& to) const {
    if (out_ == DType::f32) return dense::copy(from, to, sizeof(float), 1);
    cast(from, DType::f32, to, out_, isa(), 1);
  }

  std::shared_ptr<const Tiled> tiled_;
  DType other_, out_;
  FoundKernel found_, widen_;
};

}  // namespace

std::unique_ptr<Product> make_narrow_tiled(std::shared_ptr<const Tiled> tiled, DType other, DType out,
                                           Isa highest) {
  const FoundKernel found = find_kernel(KernelId::csr_tiled, tiled->dtype, IndexType::i32, highest);
  if (found.run == nullptr || tiled->structure->is_wide()) return nullptr;
  return std::make_unique<NarrowTiled>(std::move(tiled), other, out, found);
}

}  // namespace deepgemm
