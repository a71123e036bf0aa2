#include "core/gram.h"

#include <algorithm>
#include <complex>

#include "core/gram_args.h"
#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Units are pairs of entries, about a nanosecond each; opening a row of A takes as long as some of them, and
// an element of the result is cleared in a fraction.
constexpr std::int64_t kWorkPerTask = 4000;
constexpr std::int64_t kOpenWork = 4;
constexpr std::int64_t kClearedPerUnit = 8;

// Rows [begin, end) of the result in columns [first, last).
struct Piece {
  std::int64_t begin, end, first, last;
};

std::int64_t row_work(const GramOperand& a, std::int64_t i) {
  const IndexType type = a.rows.index_type;
  std::int64_t work = 1 + (a.rows.minor - i) / kClearedPerUnit;
  for (std::int64_t p = index_at(a.column_ptr, type, i), stop = index_at(a.column_ptr, type, i + 1); p < stop;
       ++p) {
    const std::int64_t k = index_at(a.rows_of, type, p);
    work += kOpenWork + index_at(a.rows.indptr, type, k + 1) - index_at(a.positions, type, p);
  }
  return work;
}

// First column at or after `from` before which so many entries of A stand.
std::int64_t column_after(const GramOperand& a, std::int64_t from, std::int64_t entries) {
  std::int64_t low = from, high = a.rows.minor;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (index_at(a.column_ptr, a.rows.index_type, middle) < entries) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Cuts the upper triangle into pieces of about `target` work. A row of more than twice that is cut by
// columns, so that one popular column of A does not keep the other threads waiting. At most 3 work / target
// + 2.
std::int64_t cut(const GramOperand& a, const std::int64_t* work, std::int64_t target, bool cut_rows,
                 Piece* pieces) {
  const std::int64_t n = a.rows.minor;
  std::int64_t count = 0, begin = 0, gathered = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (cut_rows && work[i] > 2 * target) {
      if (begin < i) pieces[count++] = {begin, i, 0, n};
      const std::int64_t parts = work[i] / target;
      const std::int64_t before = index_at(a.column_ptr, a.rows.index_type, i);
      std::int64_t first = i;
      for (std::int64_t part = 1; part <= parts && first < n; ++part) {
        const double share = static_cast<double>(part) / static_cast<double>(parts);
        const auto entries = static_cast<std::int64_t>(share * static_cast<double>(a.rows.nnz - before));
        const std::int64_t last = part == parts ? n : column_after(a, first, before + entries);
        if (last > first) pieces[count++] = {i, i + 1, first, last};
        first = last;
      }
      begin = i + 1;
      gathered = 0;
    } else if ((gathered += work[i]) >= target) {
      pieces[count++] = {begin, i + 1, 0, n};
      begin = i + 1;
      gathered = 0;
    }
  }
  if (begin < n) pieces[count++] = {begin, n, 0, n};
  return count;
}

class Pieces {
 public:
  Pieces(const GramOperand& a, int threads, bool cut_rows) {
    // Cheap against the product: one step for each entry, where the product takes one for each pair.
    const std::int64_t n = a.rows.minor;
    const AlignedBuffer work_memory(static_cast<std::size_t>(n) * sizeof(std::int64_t));
    std::int64_t* work = static_cast<std::int64_t*>(work_memory.data());
    if (work == nullptr) return;
    const std::int64_t parts = std::min(parallel::task_count(threads, a.rows.nnz + n, kWorkPerTask), n);
    parallel::run(parts > 1 ? threads : 1, parts, [&](std::int64_t part, int) {
      for (std::int64_t i = n * part / parts; i < n * (part + 1) / parts; ++i) work[i] = row_work(a, i);
    });
    std::int64_t total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += work[i];
    const std::int64_t tasks = parallel::task_count(threads, total, kWorkPerTask);
    const std::int64_t target = tasks > 1 ? std::max<std::int64_t>(total / tasks, 1) : total + 1;
    if (!memory_.resize(static_cast<std::size_t>(3 * (total / target) + 2) * sizeof(Piece))) return;
    count_ = cut(a, work, target, cut_rows, static_cast<Piece*>(memory_.data()));
  }
  bool ok() const { return count_ > 0; }
  std::int64_t count() const { return count_; }
  const Piece& operator[](std::int64_t i) const { return static_cast<const Piece*>(memory_.data())[i]; }

 private:
  AlignedBuffer memory_;
  std::int64_t count_ = 0;
};

// Copies the upper triangle onto the lower one, a square of 32 x 32 at a time.
template <class Word>
void mirror_rows(const DenseView& out, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kSquare = 32;
  Word* data = static_cast<Word*>(out.data);
  for (std::int64_t left = 0; left < end; left += kSquare) {
    for (std::int64_t r = std::max(begin, left); r < end; ++r) {
      Word* to = data + r * out.row_stride;
      for (std::int64_t c = left, stop = std::min(left + kSquare, r); c < stop; ++c) {
        to[c] = data[c * out.row_stride + r];
      }
    }
  }
}

void mirror_upper(const DenseView& out, DType dtype, int threads) {
  constexpr std::int64_t kRows = 32;
  const std::int64_t blocks = (out.rows + kRows - 1) / kRows;
  const std::int64_t tasks =
      parallel::task_count(threads, out.rows * out.rows / 2, 8 * kWorkPerTask) > 1 ? blocks : std::int64_t{1};
  parallel::run(tasks > 1 ? threads : 1, tasks, [&](std::int64_t task, int) {
    // The longest rows first: what comes last should be short.
    const std::int64_t first = tasks > 1 ? (blocks - 1 - task) * kRows : 0;
    const std::int64_t last = tasks > 1 ? std::min(first + kRows, out.rows) : out.rows;
    for (std::int64_t begin = first; begin < last; begin += kRows) {
      const std::int64_t end = std::min(begin + kRows, last);
      switch (size_of(dtype)) {
        case 4:
          mirror_rows<float>(out, begin, end);
          break;
        case 8:
          mirror_rows<double>(out, begin, end);
          break;
        default:
          mirror_rows<std::complex<double>>(out, begin, end);
      }
    }
  });
}

}  // namespace

Status gram(const GramOperand& a, const void* weights, const DenseView& out, bool mirror, Isa highest,
            int threads) {
  const std::int64_t n = a.rows.minor;
  if (n == 0) return Status::ok;
  const FoundKernel kernel = find_kernel(KernelId::gram, a.rows.dtype, a.rows.index_type, highest);
  const GramArgs args{a.rows.indptr,
                      a.rows.indices,
                      a.rows.values,
                      a.column_ptr,
                      a.rows_of,
                      a.positions,
                      weights,
                      out.data,
                      out.row_stride,
                      n,
                      0,
                      n};

  const Pieces pieces(a, threads, true);
  if (!pieces.ok()) return Status::no_memory;
  parallel::run(pieces.count() > 1 ? threads : 1, pieces.count(), [&](std::int64_t task, int thread) {
    GramArgs part = args;
    part.first_column = pieces[task].first;
    part.last_column = pieces[task].last;
    kernel.run(&part, pieces[task].begin, pieces[task].end, thread, nullptr);
  });
  if (mirror) mirror_upper(out, a.rows.dtype, threads);
  return Status::ok;
}

}  // namespace deepgemm
