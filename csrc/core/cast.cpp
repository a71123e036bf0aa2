#include "core/cast.h"

#include <algorithm>

#include "core/epilogue.h"
#include "core/gemm_args.h"
#include "core/kernel_table.h"
#include "core/parallel.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kCastPerTask = 1 << 14;

DenseView rows_of(const DenseView& v, std::int64_t first, std::int64_t last, DType dtype) {
  const std::int64_t bytes = first * v.row_stride * static_cast<std::int64_t>(size_of(dtype));
  return {static_cast<char*>(v.data) + bytes, last - first, v.cols, v.row_stride, v.col_stride};
}

// Packing a left operand of as many rows as a panel has widens it and puts the rows of `from` side by side.
void widen(const FoundKernel& pack, const DenseView& from, const DenseView& to) {
  const GemmPackArgs args{from.data, from.cols, from.col_stride, from.rows, from.row_stride,
                          from.cols, 1,         to.data,         0};
  pack.run(&args, 0, 1, 0, nullptr);
}

template <class T>
void to_integers(const DenseView& from, const DenseView& to, int threads) {
  if (to.cols == 1 && to.rows > 1) return to_integers<T>(from.transposed(), to.transposed(), threads);
  const std::int64_t tasks = parallel::task_count(threads, to.rows * to.cols, kCastPerTask);
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t first = to.cols * task / tasks, last = to.cols * (task + 1) / tasks;
    for (std::int64_t i = 0; i < to.rows; ++i) {
      const float* row = static_cast<const float*>(from.data) + i * from.row_stride;
      T* there = static_cast<T*>(to.data) + i * to.row_stride;
      if (to.col_stride == 1 && from.col_stride == 1) {  // a loop that compilers turn into vectors
        for (std::int64_t j = first; j < last; ++j) there[j] = static_cast<T>(row[j]);
      } else {
        for (std::int64_t j = first; j < last; ++j) {
          there[j * to.col_stride] = static_cast<T>(row[j * from.col_stride]);
        }
      }
    }
  });
}

}  // namespace

void cast(const DenseView& from, DType stored, const DenseView& to, DType target, Isa highest, int threads) {
  if (to.rows == 0 || to.cols == 0) return;
  if (target == DType::i32) return to_integers<std::int32_t>(from, to, threads);
  if (target == DType::i64) return to_integers<std::int64_t>(from, to, threads);
  const bool widens = target == DType::f32;
  const DenseView& plain = widens ? to : from;  // the side that is contiguous
  if (plain.cols == 1 ? plain.rows > 1 && plain.row_stride == 1 : plain.col_stride != 1) {
    return cast(from.transposed(), stored, to.transposed(), target, highest, threads);
  }
  const FoundKernel kernel = widens ? find_kernel(KernelId::gemm_pack_left, stored, IndexType::i32, highest)
                                    : find_kernel(KernelId::epilogue, target, IndexType::i32, highest);
  const std::int64_t elements = to.rows * to.cols;
  // A single row is cut like a column.
  const bool one = to.rows == 1;
  const std::int64_t extent = one ? to.cols : to.rows;
  const std::int64_t tasks = std::min(parallel::task_count(threads, elements, kCastPerTask), extent);
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    const std::int64_t first = extent * task / tasks, last = extent * (task + 1) / tasks;
    const auto piece = [&](const DenseView& v, DType dtype) {
      return one ? rows_of(v.transposed(), first, last, dtype).transposed() : rows_of(v, first, last, dtype);
    };
    const DenseView source = piece(from, stored), goal = piece(to, target);
    if (widens) {
      widen(kernel, source, goal);
    } else {
      const EpilogueArgs args{source, goal, {}};  // without terms it rounds
      kernel.run(&args, 0, goal.rows, thread, nullptr);
    }
  });
}

}  // namespace deepgemm
