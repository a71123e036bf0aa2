// Products in panels of columns: operands that kernels cannot read well as they lie are copied, a panel
// of their columns at a time, into aligned rows that stand side by side; a result whose columns lie apart is
// turned into place, a tile of its rows at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "core/dense.h"
#include "core/types.h"

namespace deepgemm::panels {

// Bytes of one row of a panel: narrow enough that 128 rows stay in an L1 of 48 KB, and wide enough that
// streaming S once for each panel costs little (4 vectors of 64 bytes).
constexpr std::int64_t kRowBytes = 256;

struct Wanted {
  std::int64_t stored;     // bytes of S, which count towards what the copies may take
  std::size_t size;        // bytes of one element
  bool aligned_x = false;  // copy X also where its columns lie side by side, if that leaves panels wide
  // Whole multiples of so many rows make a tile; 0 where kernels fill rows in no order, and so want all of
  // them side by side.
  std::int64_t tile_unit = 0;
};

// The rows of Y as kernels fill them: with their columns side by side, in place or else in a tile of the
// thread, which is turned into place while it is in L2. A product that put all of Y aside wrote and read it
// once more.
class TargetRows {
 public:
  TargetRows(const DenseView& y, std::size_t size) : y_(y), size_(size) {}
  TargetRows(const DenseView& y, std::size_t size, char* tiles, std::int64_t tile_rows, std::int64_t stride)
      : y_(y), size_(size), tiles_(tiles), tile_rows_(tile_rows), stride_(stride) {}

  std::int64_t cols() const { return y_.cols; }
  // All rows at once, where they are no tiles.
  const DenseView& whole() const { return y_; }
  TargetRows columns(std::int64_t first, std::int64_t count) const;

  // Calls body(first, rows) until rows [begin, end) of Y are filled: `rows` stands for first, first + 1, ...
  template <class Body>
  void fill(std::int64_t begin, std::int64_t end, int thread, const Body& body) const {
    if (tiles_ == nullptr) {
      body(begin, rows(begin, end - begin));
      return;
    }
    char* tile = tiles_ + thread * tile_rows_ * stride_ * static_cast<std::int64_t>(size_);
    for (std::int64_t first = begin; first < end; first += tile_rows_) {
      const DenseView part{tile, std::min(tile_rows_, end - first), y_.cols, stride_, 1};
      body(first, part);
      dense::copy(part, rows(first, part.rows), size_, 1);
    }
  }

 private:
  DenseView rows(std::int64_t first, std::int64_t count) const {
    char* data = static_cast<char*>(y_.data) + first * y_.row_stride * static_cast<std::int64_t>(size_);
    return {data, count, y_.cols, y_.row_stride, y_.col_stride};
  }

  DenseView y_;
  std::size_t size_;
  char* tiles_ = nullptr;
  std::int64_t tile_rows_ = 0, stride_ = 0;
};

using PanelFn = void (*)(void* context, const DenseView& x, const TargetRows& y);

// Calls fn for panels of all columns, one after another, with views of unit column stride: x holds what
// X holds, and what is put into y goes to Y. Without any copying there is one panel of all columns.
// Copies of X and Y take at most 24 MB or a twelfth of operands and result: a product promises to stay within
// 32 MB, which threads keep between products anyway, or a tenth of them. Where both are turned, copies of X
// lie in what is not yet written of Y, if that allows wider panels.
Status run(const DenseView& x, const DenseView& y, const Wanted& wanted, int threads, PanelFn fn,
           void* context);

template <class F>
Status run(const DenseView& x, const DenseView& y, const Wanted& wanted, int threads, F&& body) {
  using Body = std::remove_reference_t<F>;
  return run(
      x, y, wanted, threads,
      [](void* context, const DenseView& a, const TargetRows& b) { (*static_cast<Body*>(context))(a, b); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

// Some columns of a view.
DenseView columns(const DenseView& v, std::int64_t first, std::int64_t count, std::int64_t size);
// Columns of each panel where at most so many may be copied at once: about the same in all, and no more
// than kRowBytes hold.
std::int64_t even_width(std::int64_t cols, std::int64_t most, std::int64_t size);
// Elements from one copied row to the next: whole lines, unless a row is shorter than a line.
std::int64_t packed_stride(std::int64_t width, std::int64_t size);

// Whether rows of X lie in more cache lines than their bytes need, and are read so often, by `entries` of
// S, that a copy pays. NumPy aligns to 16 bytes, so most arrays do (at 128 columns of float32 with X in
// L2, 57 GFLOP/s became 77).
bool worth_aligning(const DenseView& x, std::size_t size, std::int64_t entries);
// Whether each row is used so often by `entries` of S that copying it costs little.
bool used_often(const DenseView& v, std::int64_t entries);

}  // namespace deepgemm::panels
