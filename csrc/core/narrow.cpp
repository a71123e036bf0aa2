#include "core/narrow.h"

#include <algorithm>
#include <utility>

#include "core/gemm_args.h"
#include "core/narrow_args.h"
#include "core/parallel.h"

namespace deepgemm {
namespace {

// Multiply-adds of vectors, at about a nanosecond for eight; widening a vector counts as some more.
constexpr std::int64_t kWorkPerTask = 32000;
constexpr std::int64_t kWidening = 3;

// Unsigned elements are read as signed ones, half of their range lower.
bool lowered(const NarrowSource& source) {
  return source.nibbles ? !source.is_signed : source.dtype == DType::u8;
}

// Numbers for groups and columns in whole panels, in the order of the kernel's vectors; zeros where there are
// none.
bool fill_panels(const NarrowSource& source, const float* from, std::int64_t panels, std::int64_t lanes,
                 float shift, AlignedBuffer& to) {
  const std::int64_t width = narrow_columns(lanes, source.nibbles);
  if (!to.resize(static_cast<std::size_t>(source.groups() * panels * width) * sizeof(float))) return false;
  float* next = static_cast<float*>(to.data());
  for (std::int64_t g = 0; g < source.groups(); ++g) {
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      for (std::int64_t p = 0; p < width; ++p) {
        const std::int64_t j = panel * width + narrow_column(p, lanes, source.nibbles);
        *next++ = j >= source.cols ? 0.0f : (from != nullptr ? from[g * source.cols + j] : 0.0f) - shift;
      }
    }
  }
  return true;
}

bool all_zero(const AlignedBuffer& floats) {
  const float* first = static_cast<const float*>(floats.data());
  return std::all_of(first, first + floats.bytes() / sizeof(float), [](float x) { return x == 0.0f; });
}

class NarrowProduct final : public Product {
 public:
  NarrowProduct(std::shared_ptr<const NarrowMatrix> right, DType left, DType out)
      : right_(std::move(right)), left_(left), out_(out) {}

  const char* kernel() const override { return "narrow_panels"; }
  Isa isa() const override { return right_->isa(); }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    return right_->multiply(other, left_, out, out_, threads);
  }

 private:
  std::shared_ptr<const NarrowMatrix> right_;
  DType left_, out_;
};

}  // namespace

Status make_narrow(const NarrowSource& source, bool pack, Isa highest, int threads, NarrowMatrix& made) {
  const DType read = source.dtype == DType::u8 ? DType::i8 : source.dtype;
  made.source_ = source;
  made.block_ = find_kernel(source.nibbles ? KernelId::narrow_block_nibbles : KernelId::narrow_block, read,
                            IndexType::i32, highest);
  made.pack_ = find_kernel(KernelId::narrow_pack, read, IndexType::i32, made.block_.isa);
  made.lanes_ = gemm_blocking(made.block_.isa, DType::f32).lanes;
  made.panel_cols_ = narrow_columns(made.lanes_, source.nibbles);
  made.row_bytes_ = narrow_columns(made.lanes_, false) * static_cast<std::int64_t>(size_of(read));
  if (source.scales != nullptr) {
    const auto fill = [&](const float* from, float shift, AlignedBuffer& to) {
      return fill_panels(source, from, made.panels(), made.lanes_, shift, to);
    };
    if (!fill(source.scales, 0.0f, made.scales_)) return Status::no_memory;
    if (source.zeros != nullptr || lowered(source)) {
      const float half = !lowered(source) ? 0.0f : source.nibbles ? 8.0f : 128.0f;
      if (!fill(source.zeros, half, made.zeros_)) return Status::no_memory;
      if (all_zero(made.zeros_)) made.zeros_.free();
    }
  }
  if (!pack) return Status::ok;
  if (!made.packed_.resize(static_cast<std::size_t>(made.panels() * source.rows() * made.row_bytes_))) {
    return Status::no_memory;
  }
  parallel::run(threads, made.panels(), [&](std::int64_t panel, int) {
    made.pack(panel, panel + 1,
              static_cast<char*>(made.packed_.data()) + panel * source.rows() * made.row_bytes_);
  });
  return Status::ok;
}

// Panels from `begin` on, to where `to` points.
void NarrowMatrix::pack(std::int64_t begin, std::int64_t end, void* to) const {
  const std::int64_t panel_bytes = rows() * row_bytes_;
  const std::int64_t size = static_cast<std::int64_t>(size_of(source_.dtype));
  const std::uint8_t flip = !lowered(source_) ? 0 : source_.nibbles ? 0x88 : 0x80;
  for (std::int64_t panel = begin; panel < end; ++panel) {
    const std::int64_t first = panel * (row_bytes_ / size);
    const NarrowPackArgs args{
        static_cast<const char*>(source_.data.data) + first * source_.data.col_stride * size,
        source_.data.row_stride,
        source_.data.col_stride,
        rows(),
        std::min(row_bytes_ / size, source_.data.cols - first),
        flip,
        static_cast<char*>(to) + (panel - begin) * panel_bytes,
        panel_bytes};
    pack_.run(&args, 0, 1, 0, nullptr);
  }
}

// Rows that one pass over a panel serves. More of them read it again, and rows of the matrix that lie a power
// of two apart have no place in the caches side by side.
constexpr std::int64_t kInPlaceRows = 4;

bool NarrowMatrix::in_place(std::int64_t panel, std::int64_t c_rows) const {
  return c_rows <= kInPlaceRows && source_.data.col_stride == 1 && !lowered(source_) &&
         (panel + 1) * panel_cols_ <= cols();
}

Status NarrowMatrix::multiply(const DenseView& a, DType left, const DenseView& c, DType out,
                              int threads) const {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const std::int64_t most = narrow_tile_rows(lanes_), tiles = (c.rows + most - 1) / most;
  const std::int64_t tile_rows = (c.rows + tiles - 1) / tiles;
  const bool packed = packed_.data() != nullptr;
  // Beside A in tiles each thread has a tile of C, and a panel of B where B is not packed.
  const auto whole_lines = [](std::size_t bytes) { return (bytes + 63) / 64 * 64; };
  const std::size_t a_bytes = whole_lines(static_cast<std::size_t>(c.rows * rows()) * sizeof(float));
  const std::size_t tile_bytes = whole_lines(narrow_workspace(lanes_, source_.nibbles));
  const std::size_t each =
      tile_bytes + (packed ? 0 : whole_lines(static_cast<std::size_t>(rows() * row_bytes_)));
  const Workspace memory(a_bytes + static_cast<std::size_t>(threads) * each);
  if (memory.data() == nullptr) return Status::no_memory;
  char* const scratch = static_cast<char*>(memory.data()) + a_bytes;

  const FoundKernel pack_left = find_kernel(KernelId::gemm_pack_left, left, IndexType::i32, isa());
  const GemmPackArgs pack_args{a.data,    a.rows, a.row_stride,  a.cols, a.col_stride,
                               tile_rows, 1,      memory.data(), 0};
  const std::int64_t pack_tasks =
      std::min<std::int64_t>(parallel::task_count(threads, c.rows * rows() / 16, kWorkPerTask), tiles);
  parallel::run(threads, pack_tasks, [&](std::int64_t task, int thread) {
    pack_left.run(&pack_args, tiles * task / pack_tasks, tiles * (task + 1) / pack_tasks, thread, nullptr);
  });

  const NarrowArgs args{static_cast<const float*>(memory.data()),
                        c.rows,
                        tile_rows,
                        rows(),
                        static_cast<const char*>(packed_.data()),
                        rows() * row_bytes_,
                        row_bytes_,
                        static_cast<const float*>(scales_.data()),
                        static_cast<const float*>(zeros_.data()),
                        panels() * panel_cols_,
                        source_.scales != nullptr ? source_.group : std::max<std::int64_t>(rows(), 1),
                        c,
                        out};
  const std::int64_t work = rows() * panels() * (panel_cols_ / lanes_) * (c.rows + kWidening);
  const std::int64_t tasks = std::min(parallel::task_count(threads, work, kWorkPerTask), panels());
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    char* const mine = scratch + static_cast<std::size_t>(thread) * each;
    const std::int64_t begin = panels() * task / tasks, end = panels() * (task + 1) / tasks;
    if (packed) {
      block_.run(&args, begin, end, thread, mine);
      return;
    }
    NarrowArgs here = args;
    for (std::int64_t panel = begin; panel < end; ++panel) {
      // The kernel counts panels from the first one. In place `b` is that one; a panel packed here stands
      // alone, so that the step between panels is 0.
      const std::int64_t size = static_cast<std::int64_t>(size_of(source_.dtype));
      if (in_place(panel, c.rows)) {
        here.b = static_cast<const char*>(source_.data.data);
        here.b_panel = row_bytes_;
        here.b_row = source_.data.row_stride * size;
      } else {
        pack(panel, panel + 1, mine + tile_bytes);
        here.b = mine + tile_bytes;
        here.b_panel = 0;
        here.b_row = row_bytes_;
      }
      block_.run(&here, panel, panel + 1, thread, mine);
    }
  });
  return Status::ok;
}

std::unique_ptr<Product> make_narrow_product(std::shared_ptr<const NarrowMatrix> right, DType left,
                                             DType out) {
  return std::make_unique<NarrowProduct>(std::move(right), left, out);
}

}  // namespace deepgemm
