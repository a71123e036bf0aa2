#include "core/dense.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/parallel.h"

namespace deepgemm::dense {
namespace {

constexpr std::int64_t kBlock = 32;  // a square of 32 lines stays in L1 on both sides
constexpr std::int64_t kElementsPerTask = 1 << 15;

template <class Word>
void copy_block(const DenseView& from, const DenseView& to, std::int64_t r0, std::int64_t r1) {
  const Word* source = static_cast<const Word*>(from.data);
  Word* target = static_cast<Word*>(to.data);
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

// A value is finite when its exponent is not all ones; comparing magnitudes as integers needs no
// floating-point and vectorises.
template <class Word, Word Infinity>
bool row_finite(const Word* p, std::int64_t n, std::int64_t stride) {
  constexpr Word kMagnitude = static_cast<Word>(~Word{0}) >> 1;
  Word bad = 0;
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i) bad |= static_cast<Word>((p[i] & kMagnitude) >= Infinity);
  } else {
    for (std::int64_t i = 0; i < n; ++i) bad |= static_cast<Word>((p[i * stride] & kMagnitude) >= Infinity);
  }
  return bad == 0;
}

template <class Word, Word Infinity>
bool rows_finite(DenseView v, int parts, int threads) {
  // Walk along the shorter stride.
  if (std::abs(v.row_stride) < std::abs(v.col_stride)) v = v.transposed();
  std::atomic<bool> finite{true};
  const std::int64_t tasks = std::min(parallel::task_count(threads, v.rows * v.cols, kElementsPerTask),
                                      std::max<std::int64_t>(v.rows, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const Word* base = static_cast<const Word*>(v.data);
    for (std::int64_t r = v.rows * task / tasks; r < v.rows * (task + 1) / tasks; ++r) {
      if (!finite.load(std::memory_order_relaxed)) return;
      const Word* row = base + parts * r * v.row_stride;
      bool good = true;
      if (parts == 1 || v.col_stride == 1) {
        good = row_finite<Word, Infinity>(row, parts * v.cols, parts == 1 ? v.col_stride : 1);
      } else {
        good = row_finite<Word, Infinity>(row, v.cols, parts * v.col_stride) &&
               row_finite<Word, Infinity>(row + 1, v.cols, parts * v.col_stride);
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
      std::int64_t p = row_start[r];
      for (std::int64_t c = 0; c < view.cols; ++c) {
        if (row[c * view.col_stride].is_zero()) continue;
        indices[p] = static_cast<std::int32_t>(c);
        out[p++] = row[c * view.col_stride];
      }
    });
  });
}

void copy(const DenseView& from, const DenseView& to, std::size_t size, int threads) {
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
  if (dtype == DType::f32 || dtype == DType::c64) {
    return rows_finite<std::uint32_t, 0x7f800000u>(view, parts, threads);
  }
  return rows_finite<std::uint64_t, 0x7ff0000000000000ull>(view, parts, threads);
}

}  // namespace deepgemm::dense
