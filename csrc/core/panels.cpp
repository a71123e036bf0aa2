#include "core/panels.h"

#include <algorithm>
#include <cstdlib>

#include "core/dense.h"
#include "core/workspace.h"

namespace deepgemm::panels {
namespace {

constexpr std::int64_t kLine = 64;
// Three quarters of what a thread keeps of its scratch; tiles of Y take the rest. With 8 MB the 325,557 rows
// of a web graph had panels of 6 columns, each of which reads all of S again: X @ A with 8 columns took 5.2
// ms and takes 2.4 (A @ X: 2.1), with 32 20 and 15 (6.7), with 128 57 and 37 (17). What did not help: panels
// of 16 or 32 columns at most, whose copies stay in a cache of 32 MB (level at 32 columns, a tenth to a third
// slower at 128); scratch in place of unwritten memory where both are as wide (level).
constexpr std::int64_t kFreeBytes = 24 << 20;
// Rows of a tile, if its unit allows: whole lines of each column of Y follow each other.
constexpr std::int64_t kTileRows = 256;
constexpr std::int64_t kOften = 8;  // copying a row costs about as much as this many entries that use it
// Uses of each row that pay for a copy made for alignment alone. It saves a load in five, and half of what a
// thread reads of it lies in the other one's cache: with 10 to 60 uses of rows that fill a good part of L2,
// products took 1.4 to 1.7 times as long by it (4,900 to 39,000 rows, 8 to 128 columns of float32); 2,048
// rows that are used 40 times gain a tenth.
constexpr std::int64_t kNearUses = 32, kFarUses = 128;
constexpr std::int64_t kNearBytes = 512 << 10;

bool needs_packing(const DenseView& v) { return v.col_stride != 1 && v.cols > 1; }

bool straddles_lines(const DenseView& v, std::size_t size) {
  const auto bytes = static_cast<std::uintptr_t>(size);
  const auto row = static_cast<std::uintptr_t>(v.cols) * bytes;
  const auto offset = reinterpret_cast<std::uintptr_t>(v.data) % kLine;
  const auto step = static_cast<std::uintptr_t>(std::abs(v.row_stride)) * bytes;
  if (row <= kLine && kLine % row == 0 && offset % row == 0 && step % row == 0) return false;
  return offset != 0 || step % kLine != 0;
}

// Some columns of X and Y, and whether what is unwritten of Y holds the copy of X.
struct Panel {
  std::int64_t width;
  bool lent;
};

// Elements from one row to the next of copies that take up to `budget` bytes.
std::int64_t stride_of(std::int64_t width, std::int64_t rows, std::int64_t budget, std::int64_t size) {
  const std::int64_t padded = packed_stride(width, size);
  return rows * padded * size <= budget ? padded : width;
}

// The part of Y that no panel has filled yet is scratch for the next copy of X, where Y is turned and so its
// columns follow each other: X has about as many elements.
class Unwritten {
 public:
  Unwritten(const DenseView& y, std::int64_t size) : y_(y), size_(size) {
    whole_ = y.row_stride == 1 && y.col_stride == y.rows;
  }

  // Columns of Y to do next, from `column` on, so that those after them hold as many of X; 0 for none.
  std::int64_t width(std::int64_t column, std::int64_t x_rows) const {
    if (!whole_) return 0;
    const std::int64_t most = (y_.cols - column) * y_.rows / (x_rows + y_.rows);
    return even_width(most, most, size_);
  }

  // Where a copy of X of `bytes` begins if columns before `column` are taken: at a line, if there is room.
  // NumPy's memory begins at 16 bytes, so two matrices of one size do not leave it.
  char* at(std::int64_t column, std::int64_t bytes) const {
    char* begin = static_cast<char*>(y_.data) + column * y_.rows * size_;
    const auto offset = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(begin) % kLine);
    const std::int64_t gap = offset == 0 ? 0 : kLine - offset;
    return (y_.cols - column) * y_.rows * size_ >= bytes + gap ? begin + gap : begin;
  }

 private:
  DenseView y_;
  std::int64_t size_;
  bool whole_;
};

}  // namespace

Status run(const DenseView& x, const DenseView& y, const Wanted& wanted, int threads, PanelFn fn,
           void* context) {
  const std::int64_t size = static_cast<std::int64_t>(wanted.size);
  const std::int64_t given = wanted.stored + (x.rows + y.rows) * x.cols * size;
  const std::int64_t budget = std::max(kFreeBytes, given / 12);
  const bool tiles_y = needs_packing(y) && wanted.tile_unit > 0 &&
                       std::max(kTileRows, wanted.tile_unit) * kRowBytes * threads <= budget;
  const bool packs_y = needs_packing(y) && !tiles_y;
  bool packs_x = needs_packing(x) || wanted.aligned_x;
  // A copy for alignment alone must not make panels narrower than they would be.
  const std::int64_t whole = std::min(x.cols * size, kRowBytes);
  if ((x.rows + (packs_y ? y.rows : 0)) * whole > budget) packs_x = needs_packing(x);
  if (!packs_x && !needs_packing(y)) {
    fn(context, x, TargetRows(y, wanted.size));
    return Status::ok;
  }
  const std::int64_t rows = (packs_x ? x.rows : 0) + (packs_y ? y.rows : 0);
  const std::int64_t most = budget / std::max<std::int64_t>(rows * size, 1);
  const Unwritten unwritten(y, size);
  const bool lends = packs_x && tiles_y;
  // Columns of the panel from `column` on, and whether what is unwritten of Y holds its copy of X.
  const auto next = [&](std::int64_t column) {
    const std::int64_t own = even_width(y.cols - column, most, size);
    const std::int64_t lent = lends && own < y.cols - column ? unwritten.width(column, x.rows) : 0;
    return Panel{std::max(own, lent), lent >= own};
  };
  std::int64_t widest = 0, own_bytes = 0;
  for (std::int64_t column = 0; column < y.cols;) {
    const Panel panel = next(column);
    widest = std::max(widest, panel.width);
    if (!panel.lent)
      own_bytes = std::max(own_bytes, rows * stride_of(panel.width, rows, budget, size) * size);
    column += panel.width;
  }
  const std::int64_t unit = std::max<std::int64_t>(wanted.tile_unit, 1);
  const std::int64_t tile_rows = std::min(std::max(kTileRows / unit, std::int64_t{1}) * unit, y.rows);
  const std::int64_t tile_stride = packed_stride(widest, size);
  const std::int64_t tile_lines = (tile_rows * tile_stride * size * threads + kLine - 1) / kLine;
  const std::int64_t tile_bytes = tiles_y ? tile_lines * kLine : 0;
  const Workspace memory(static_cast<std::size_t>(tile_bytes + own_bytes));
  char* tiles = static_cast<char*>(memory.data());
  if (tiles == nullptr) return Status::no_memory;
  for (std::int64_t column = 0; column < y.cols;) {
    const Panel panel = next(column);
    const std::int64_t n = panel.width;
    const std::int64_t stride = panel.lent ? n : stride_of(n, rows, budget, size);
    char* buffer = panel.lent ? unwritten.at(column + n, x.rows * n * size) : tiles + tile_bytes;
    DenseView x_panel = columns(x, column, n, size);
    const DenseView y_panel = columns(y, column, n, size);
    column += n;
    if (packs_x) {
      const DenseView packed{buffer, x.rows, n, stride, 1};
      dense::copy(x_panel, packed, wanted.size, threads);
      x_panel = packed;
      buffer += x.rows * stride * size;
    }
    if (tiles_y) {
      fn(context, x_panel, TargetRows(y_panel, wanted.size, tiles, tile_rows, tile_stride));
      continue;
    }
    const DenseView result = packs_y ? DenseView{buffer, y.rows, n, stride, 1} : y_panel;
    fn(context, x_panel, TargetRows(result, wanted.size));
    if (packs_y) dense::copy(result, y_panel, wanted.size, threads);
  }
  return Status::ok;
}

TargetRows TargetRows::columns(std::int64_t first, std::int64_t count) const {
  TargetRows part = *this;
  part.y_ = panels::columns(y_, first, count, static_cast<std::int64_t>(size_));
  return part;
}

DenseView columns(const DenseView& v, std::int64_t first, std::int64_t count, std::int64_t size) {
  return {static_cast<char*>(v.data) + first * v.col_stride * size, v.rows, count, v.row_stride,
          v.col_stride};
}

std::int64_t packed_stride(std::int64_t width, std::int64_t size) {
  const std::int64_t bytes = width * size;
  return bytes < kLine ? width : (bytes + kLine - 1) / kLine * kLine / size;
}

std::int64_t even_width(std::int64_t cols, std::int64_t most, std::int64_t size) {
  const std::int64_t line = std::max<std::int64_t>(kLine / size, 1);
  most = std::clamp<std::int64_t>(most, 1, kRowBytes / size);
  if (most >= line) most = most / line * line;
  if (cols <= most) return cols;
  const std::int64_t count = (cols + most - 1) / most, even = (cols + count - 1) / count;
  return std::min(most, (even + line - 1) / line * line);
}

bool used_often(const DenseView& v, std::int64_t entries) { return entries >= kOften * v.rows; }

bool worth_aligning(const DenseView& x, std::size_t size, std::int64_t entries) {
  const std::int64_t bytes = x.rows * std::min(x.cols * static_cast<std::int64_t>(size), kRowBytes);
  const std::int64_t least = bytes <= kNearBytes ? kNearUses : kFarUses;
  return entries >= least * x.rows && straddles_lines(x, size);
}

}  // namespace deepgemm::panels
