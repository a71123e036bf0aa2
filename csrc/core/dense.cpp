#include "core/dense.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/copy_args.h"
#include "core/kernel_table.h"
#include "core/parallel.h"

namespace deepgemm::dense {
namespace {

constexpr std::int64_t kBlock = 32;  // a square of 32 lines stays in L1 on both sides
constexpr std::int64_t kElementsPerTask = 1 << 15;
constexpr std::int64_t kTurnBand = 64;  // a task turns whole cache lines on both sides
constexpr std::int64_t kLeastTurn = 4;  // fewer rows or columns leave most of a square of registers empty

// Rows whose elements lie side by side on both sides. A call of memcpy for each short row takes longer
// than its copy (5 ns for 32 bytes, which made copies cost more than products).
template <class Word>
void copy_rows(const DenseView& from, const DenseView& to, std::int64_t r0, std::int64_t r1) {
  const Word* source = static_cast<const Word*>(from.data) + r0 * from.row_stride;
  Word* target = static_cast<Word*>(to.data) + r0 * to.row_stride;
  if (from.row_stride == to.cols && to.row_stride == to.cols) {
    std::memcpy(target, source, static_cast<std::size_t>((r1 - r0) * to.cols) * sizeof(Word));
    return;
  }
  constexpr std::int64_t kLongRow = 256;
  for (std::int64_t r = r0; r < r1; ++r, source += from.row_stride, target += to.row_stride) {
    if (to.cols * static_cast<std::int64_t>(sizeof(Word)) >= kLongRow) {
      std::memcpy(target, source, static_cast<std::size_t>(to.cols) * sizeof(Word));
    } else {
      for (std::int64_t c = 0; c < to.cols; ++c) target[c] = source[c];
    }
  }
}

template <class Word>
void copy_block(const DenseView& from, const DenseView& to, std::int64_t r0, std::int64_t r1) {
  if (from.col_stride == 1 && to.col_stride == 1) return copy_rows<Word>(from, to, r0, r1);
  const Word* source = static_cast<const Word*>(from.data);
  Word* target = static_cast<Word*>(to.data);
  if (to.cols < kLeastTurn) {  // long loops over rows, not short ones over columns
    for (std::int64_t c = 0; c < to.cols; ++c) {
      const Word* in = source + r0 * from.row_stride + c * from.col_stride;
      Word* out = target + r0 * to.row_stride + c * to.col_stride;
      for (std::int64_t r = r0; r < r1; ++r, in += from.row_stride, out += to.row_stride) *out = *in;
    }
    return;
  }
  for (std::int64_t c0 = 0; c0 < to.cols; c0 += kBlock) {
    const std::int64_t c1 = std::min(c0 + kBlock, to.cols);
    for (std::int64_t r = r0; r < r1; ++r) {
      for (std::int64_t c = c0; c < c1; ++c) {
        target[r * to.row_stride + c * to.col_stride] = source[r * from.row_stride + c * from.col_stride];
      }
    }
  }
}

struct Word16 {
  std::uint64_t half[2];
};

// Zero times a value is zero if the value is finite and nan if not, which needs no comparison and so
// vectorises for the oldest CPU: 16 partial sums reach the bandwidth of the memory, while tests of the
// exponent bits stayed at 4 GB/s.
template <class Real>
bool row_finite(const Real* p, std::int64_t n, std::int64_t stride) {
  Real sum[16] = {};
  std::int64_t i = 0;
  if (stride == 1) {
    for (; i + 16 <= n; i += 16) {
      for (int l = 0; l < 16; ++l) sum[l] += p[i + l] * Real(0);
    }
  }
  for (; i < n; ++i) sum[0] += p[i * stride] * Real(0);
  bool finite = true;
  for (const Real s : sum) finite &= s == Real(0);
  return finite;
}

template <class Real>
bool stretch_finite(const Real* p, std::int64_t n, int threads) {
  std::atomic<bool> finite{true};
  const std::int64_t tasks = std::max<std::int64_t>(parallel::task_count(threads, n, kElementsPerTask), 1);
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t begin = n * task / tasks, end = n * (task + 1) / tasks;
    if (!row_finite(p + begin, end - begin, 1)) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

template <class Real>
bool rows_finite(DenseView v, int parts, int threads) {
  // Walk along the shorter stride.
  if (std::abs(v.row_stride) < std::abs(v.col_stride)) v = v.transposed();
  // Rows without gaps are one, because short ones would leave partial sums unused (8 columns: 4 GB/s).
  if (v.col_stride == 1 && v.row_stride == v.cols) {
    return stretch_finite(static_cast<const Real*>(v.data), parts * v.rows * v.cols, threads);
  }
  std::atomic<bool> finite{true};
  const std::int64_t tasks = std::min(parallel::task_count(threads, v.rows * v.cols, kElementsPerTask),
                                      std::max<std::int64_t>(v.rows, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const Real* base = static_cast<const Real*>(v.data);
    for (std::int64_t r = v.rows * task / tasks; r < v.rows * (task + 1) / tasks; ++r) {
      if (!finite.load(std::memory_order_relaxed)) return;
      const Real* row = base + parts * r * v.row_stride;
      bool good = true;
      if (parts == 1 || v.col_stride == 1) {
        good = row_finite(row, parts * v.cols, parts == 1 ? v.col_stride : 1);
      } else {
        good = row_finite(row, v.cols, parts * v.col_stride) &&
               row_finite(row + 1, v.cols, parts * v.col_stride);
      }
      if (!good) finite.store(false, std::memory_order_relaxed);
    }
  });
  return finite.load();
}

template <class Real, int Parts>
struct Number {
  Real part[Parts];
  bool is_zero() const {
    bool zero = true;
    for (const Real p : part) zero &= p == Real(0);
    return zero;
  }
};

// Calls body with a Number of the right type.
template <class Body>
auto with_number(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::f32:
      return body(Number<float, 1>{});
    case DType::f64:
      return body(Number<double, 1>{});
    case DType::c64:
      return body(Number<float, 2>{});
    case DType::c128:
      break;
  }
  return body(Number<double, 2>{});
}

template <class Body>
void for_each_row(const DenseView& view, int threads, const Body& body) {
  const std::int64_t tasks = std::min(parallel::task_count(threads, view.rows * view.cols, kElementsPerTask),
                                      std::max<std::int64_t>(view.rows, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    for (std::int64_t r = view.rows * task / tasks; r < view.rows * (task + 1) / tasks; ++r) body(r);
  });
}

// Copies columns that lie side by side into rows that do, by a kernel. False if these are none.
bool turn(const DenseView& from, const DenseView& to, std::size_t size, int threads) {
  if (from.row_stride != 1 || to.col_stride != 1 || std::min(to.rows, to.cols) < kLeastTurn) return false;
  if (size != 4 && size != 8) return false;
  const DType moved_as = size == 4 ? DType::f32 : DType::f64;
  const FoundKernel found = find_kernel(KernelId::dense_turn, moved_as, IndexType::i32, best_isa());
  if (found.run == nullptr) return false;
  // Tasks are cut along the longer side.
  const bool by_rows = to.rows >= to.cols;
  const std::int64_t extent = by_rows ? to.rows : to.cols, bands = (extent + kTurnBand - 1) / kTurnBand;
  const std::int64_t tasks =
      std::min(parallel::task_count(threads, to.rows * to.cols, kElementsPerTask), bands);
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    const std::int64_t begin = bands * task / tasks * kTurnBand;
    const std::int64_t end = std::min(bands * (task + 1) / tasks * kTurnBand, extent);
    TurnArgs args{from.data, from.col_stride, to.data, to.row_stride, to.rows};
    if (by_rows) {
      const std::int64_t bytes = static_cast<std::int64_t>(size);
      args.from = static_cast<const char*>(from.data) + begin * bytes;
      args.to = static_cast<char*>(to.data) + begin * to.row_stride * bytes;
      args.rows = end - begin;
    }
    found.run(&args, by_rows ? 0 : begin, by_rows ? to.cols : end, thread, nullptr);
  });
  return true;
}

}  // namespace

double sample_zeros(const DenseView& view, DType dtype, std::int64_t samples) {
  if (samples <= 0 || view.rows == 0 || view.cols == 0) return 0.0;
  return with_number(dtype, [&](auto number) {
    const auto* base = static_cast<const decltype(number)*>(view.data);
    std::int64_t zeros = 0;
    // Multiples of the golden ratio fill the interval evenly at any count and follow no row length.
    constexpr double kGolden = 0.6180339887498949;
    double at = 0.5;
    for (std::int64_t i = 0; i < samples; ++i) {
      const std::int64_t element = static_cast<std::int64_t>(at * static_cast<double>(view.rows * view.cols));
      zeros += base[element / view.cols * view.row_stride + element % view.cols * view.col_stride].is_zero();
      at += kGolden;
      at -= at >= 1.0 ? 1.0 : 0.0;
    }
    return static_cast<double>(zeros) / static_cast<double>(samples);
  });
}

void count_nonzeros(const DenseView& view, DType dtype, std::int64_t* row_count, int threads) {
  with_number(dtype, [&](auto number) {
    const auto* base = static_cast<const decltype(number)*>(view.data);
    for_each_row(view, threads, [&](std::int64_t r) {
      const auto* row = base + r * view.row_stride;
      std::int64_t count = 0;
      for (std::int64_t c = 0; c < view.cols; ++c) count += !row[c * view.col_stride].is_zero();
      row_count[r + 1] = count;
    });
  });
}

void gather_nonzeros(const DenseView& view, DType dtype, const std::int64_t* row_start, std::int32_t* indices,
                     void* values, int threads) {
  with_number(dtype, [&](auto number) {
    const auto* base = static_cast<const decltype(number)*>(view.data);
    auto* out = static_cast<decltype(number)*>(values);
    for_each_row(view, threads, [&](std::int64_t r) {
      const auto* row = base + r * view.row_stride;
      // Every element is written and only some are kept: asking first, the CPU guesses wrong at most of them
      // (2048 x 2048 with 70 % zeros took 14 ms, and takes 3.5). Rows of the result stand side by side, so
      // that what is too much goes to a piece of its own.
      constexpr std::int64_t kPiece = 256;
      std::int32_t columns[kPiece];
      decltype(number) found[kPiece];
      std::int64_t p = row_start[r];
      for (std::int64_t c0 = 0; c0 < view.cols; c0 += kPiece) {
        std::int64_t kept = 0;
        for (std::int64_t c = c0; c < std::min(c0 + kPiece, view.cols); ++c) {
          found[kept] = row[c * view.col_stride];
          columns[kept] = static_cast<std::int32_t>(c);
          kept += !found[kept].is_zero();
        }
        std::copy_n(columns, kept, indices + p);
        std::copy_n(found, kept, out + p);
        p += kept;
      }
    });
  });
}

void copy(const DenseView& from, const DenseView& to, std::size_t size, int threads) {
  if (turn(from, to, size, threads) || turn(from.transposed(), to.transposed(), size, threads)) return;
  const std::int64_t blocks = (to.rows + kBlock - 1) / kBlock;
  const std::int64_t tasks = std::min(parallel::task_count(threads, to.rows * to.cols, kElementsPerTask),
                                      std::max<std::int64_t>(blocks, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    for (std::int64_t block = blocks * task / tasks; block < blocks * (task + 1) / tasks; ++block) {
      const std::int64_t r0 = block * kBlock, r1 = std::min(r0 + kBlock, to.rows);
      if (size == 4) {
        copy_block<std::uint32_t>(from, to, r0, r1);
      } else if (size == 8) {
        copy_block<std::uint64_t>(from, to, r0, r1);
      } else {
        copy_block<Word16>(from, to, r0, r1);
      }
    }
  });
}

ContiguousVector::ContiguousVector(const DenseView& column, std::size_t size, int threads)
    : memory_(bytes(column, size)), data_(column.data) {
  if (bytes(column, size) == 0) {
    // An empty vector may stand at no address at all; null would read as "no memory".
    if (data_ == nullptr) data_ = memory_.data();
    return;
  }
  data_ = memory_.data();
  if (data_ != nullptr) copy(column, {memory_.data(), column.rows, 1, 1, 1}, size, threads);
}

bool all_finite(const DenseView& view, DType dtype, int threads) {
  const int parts = is_complex(dtype) ? 2 : 1;
  return dtype == DType::f32 || dtype == DType::c64 ? rows_finite<float>(view, parts, threads)
                                                    : rows_finite<double>(view, parts, threads);
}

}  // namespace deepgemm::dense
