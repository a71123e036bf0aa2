// Products in panels of columns: operands that kernels cannot read well as they lie are copied, a panel
// of their columns at a time, into aligned rows that stand side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "core/types.h"

namespace deepgemm::panels {

// Bytes of one row of a panel: narrow enough that 128 rows stay in an L1 of 48 KB, and wide enough that
// streaming S once for each panel costs little (4 vectors of 64 bytes).
constexpr std::int64_t kRowBytes = 256;

struct Wanted {
  std::int64_t stored;     // bytes of S, which count towards what the copies may take
  std::size_t size;        // bytes of one element
  bool aligned_x = false;  // copy X also where its columns lie side by side, if that leaves panels wide
};

using PanelFn = void (*)(void* context, const DenseView& x, const DenseView& y);

// Calls fn for panels of all columns, one after another, with views of unit column stride: x holds what
// X holds, and what is put into y goes to Y. Without any copying there is one panel of all columns.
// Copies take at most a few megabytes or a twelfth of operands and result: a product promises to stay
// within a tenth of them.
Status run(const DenseView& x, const DenseView& y, const Wanted& wanted, int threads, PanelFn fn,
           void* context);

template <class F>
Status run(const DenseView& x, const DenseView& y, const Wanted& wanted, int threads, F&& body) {
  using Body = std::remove_reference_t<F>;
  return run(
      x, y, wanted, threads,
      [](void* context, const DenseView& a, const DenseView& b) { (*static_cast<Body*>(context))(a, b); },
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
