#include "core/split_product.h"

#include <algorithm>
#include <new>
#include <vector>

#include "core/dense.h"
#include "core/kernel_args.h"
#include "core/kernel_table.h"
#include "core/parallel.h"
#include "core/partition.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Pieces are long enough that opening one costs nothing, and short enough that a row of some ten thousand
// entries keeps the lanes of csr_vector busy, which takes four of them side by side.
constexpr std::int64_t kPieceEntries = 2048;
constexpr std::int64_t kWorkPerTask = 4000;  // as in csr_product.cpp
constexpr std::int64_t kMostTasks = 64;

// A row that is cut: its pieces are rows [first, last) of the compressed rows that the pieces form.
struct CutRow {
  std::int64_t row, first, last;
};

// What one task does: rows of S, or pieces of a cut row.
struct Task {
  bool pieces;
  std::int64_t begin, end;
};

class SplitProduct final : public Product {
 public:
  SplitProduct(const CompressedView& s, bool sparse_is_left, const FoundKernel& vector,
               const FoundKernel& rowwise)
      : s_(s), sparse_is_left_(sparse_is_left), vector_(vector), rowwise_(rowwise) {
    cut_rows();
    cut_tasks();
  }

  const char* kernel() const override { return "csr_split"; }
  Isa isa() const override { return vector_.isa; }

  Status run(const DenseView& x, const DenseView& y, int threads) const override {
    if (y.rows == 0 || y.cols == 0) return Status::ok;
    const std::size_t size = size_of(s_.dtype);
    const auto bytes = [&](std::int64_t rows) { return static_cast<std::size_t>(rows * y.cols) * size; };
    // The kernels want columns side by side, and a vector x without gaps.
    const bool packs_x = x.cols > 1 ? x.col_stride != 1 : x.row_stride != 1;
    const bool packs_y = y.cols > 1 && y.col_stride != 1;
    const Workspace memory(bytes(piece_count_ + (packs_x ? x.rows : 0) + (packs_y ? y.rows : 0)));
    char* sums = static_cast<char*>(memory.data());
    if (sums == nullptr) return Status::no_memory;
    DenseView given = x, result = y;
    if (packs_x) {
      given = {sums + bytes(piece_count_), x.rows, x.cols, x.cols, 1};
      dense::copy(x, given, size, threads);
    }
    if (packs_y) {
      result = {sums + bytes(piece_count_ + (packs_x ? x.rows : 0)), y.rows, y.cols, y.cols, 1};
    }
    const DenseView partial{sums, piece_count_, y.cols, y.cols, 1};
    parallel::run(threads, static_cast<std::int64_t>(tasks_.size()), [&](std::int64_t number, int thread) {
      const Task& task = tasks_[static_cast<std::size_t>(number)];
      if (task.pieces) {
        run_rows(piece_start_.data(), given, partial, task, thread);
      } else {
        run_rows(s_.indptr, given, result, task, thread);
      }
    });
    // On this thread alone: a few additions for each row that was cut.
    parallel::run(1, 1, [&](std::int64_t, int) { add_pieces(sums, result); });
    if (packs_y) dense::copy(result, y, size, threads);
    return Status::ok;
  }

 private:
  void run_rows(const void* indptr, const DenseView& x, const DenseView& y, const Task& task,
                int thread) const {
    if (y.cols == 1) {
      const SpmvArgs args{indptr, s_.indices,   s_.values, x.data,
                          y.data, y.row_stride, s_.nnz,    sparse_is_left_};
      vector_.run(&args, task.begin, task.end, thread, nullptr);
      return;
    }
    const SpmmArgs args{indptr,       s_.indices, s_.values,    s_.major, s_.minor,       x.data,
                        x.row_stride, y.data,     y.row_stride, y.cols,   sparse_is_left_};
    rowwise_.run(&args, task.begin, task.end, thread, nullptr);
  }

  void cut_rows() {
    std::vector<std::int64_t> start;
    for (std::int64_t row = 0; row < s_.major; ++row) {
      const std::int64_t begin = index_at(s_.indptr, s_.index_type, row);
      const std::int64_t length = index_at(s_.indptr, s_.index_type, row + 1) - begin;
      if (length <= 2 * kPieceEntries) continue;
      const std::int64_t pieces = length / kPieceEntries;
      const std::int64_t first = static_cast<std::int64_t>(start.size());
      for (std::int64_t p = 0; p <= pieces; ++p) start.push_back(begin + length * p / pieces);
      cuts_.push_back({row, first, first + pieces});
    }
    // Between the last piece of a row and the first one of the next lies a row that is never run.
    piece_count_ = static_cast<std::int64_t>(start.size());
    if (!piece_start_.resize(start.size() * size_of(s_.index_type))) throw std::bad_alloc();
    if (s_.index_type == IndexType::i64) {
      std::copy(start.begin(), start.end(), static_cast<std::int64_t*>(piece_start_.data()));
    } else {
      std::transform(start.begin(), start.end(), static_cast<std::int32_t*>(piece_start_.data()),
                     [](std::int64_t p) { return static_cast<std::int32_t>(p); });
    }
  }

  // Pieces first, because they are the largest tasks.
  void cut_tasks() {
    const std::int64_t work = std::max(kWorkPerTask, work_before(s_, s_.major) / kMostTasks);
    const std::int64_t pieces = std::max<std::int64_t>(4, work / kPieceEntries / 4 * 4);
    for (const CutRow& cut : cuts_) {
      for (std::int64_t p = cut.first; p < cut.last; p += pieces) {
        tasks_.push_back({true, p, std::min(p + pieces, cut.last)});
      }
    }
    std::int64_t row = 0;
    for (const CutRow& cut : cuts_) {
      add_row_tasks(row, cut.row, work);
      row = cut.row + 1;
    }
    add_row_tasks(row, s_.major, work);
  }

  void add_row_tasks(std::int64_t begin, std::int64_t end, std::int64_t work) {
    while (begin < end) {
      const std::int64_t target = work_before(s_, begin) + work;
      std::int64_t stop = begin + 1, far = end;
      while (stop < far) {
        const std::int64_t middle = stop + (far - stop) / 2;
        if (work_before(s_, middle) < target) {
          stop = middle + 1;
        } else {
          far = middle;
        }
      }
      tasks_.push_back({false, begin, stop});
      begin = stop;
    }
  }

  void add_pieces(const char* sums, const DenseView& y) const {
    const std::int64_t parts = is_complex(s_.dtype) ? 2 : 1;
    if (s_.dtype == DType::f32 || s_.dtype == DType::c64) {
      add_pieces_typed(reinterpret_cast<const float*>(sums), y, parts);
    } else {
      add_pieces_typed(reinterpret_cast<const double*>(sums), y, parts);
    }
  }

  template <class T>
  void add_pieces_typed(const T* sums, const DenseView& y, std::int64_t parts) const {
    const std::int64_t width = y.cols * parts;
    for (const CutRow& cut : cuts_) {
      T* to = static_cast<T*>(y.data) + cut.row * y.row_stride * parts;
      for (std::int64_t column = 0; column < width; ++column) {
        T sum = T(0);
        for (std::int64_t p = cut.first; p < cut.last; ++p) sum += sums[p * width + column];
        to[column] = sum;
      }
    }
  }

  CompressedView s_;
  bool sparse_is_left_;
  FoundKernel vector_, rowwise_;
  std::vector<CutRow> cuts_;
  std::vector<Task> tasks_;
  AlignedBuffer piece_start_;  // of s_.index_type
  std::int64_t piece_count_ = 0;
};

}  // namespace

std::unique_ptr<Product> make_split_product(const CompressedView& s, bool sparse_is_left, Isa highest) try {
  const FoundKernel vector = find_kernel(KernelId::csr_vector, s.dtype, s.index_type, highest);
  const FoundKernel rowwise = find_kernel(KernelId::csr_rowwise, s.dtype, s.index_type, highest);
  if (vector.run == nullptr || rowwise.run == nullptr) return nullptr;
  return std::make_unique<SplitProduct>(s, sparse_is_left, vector, rowwise);
} catch (const std::bad_alloc&) {
  return nullptr;
}

}  // namespace deepgemm
