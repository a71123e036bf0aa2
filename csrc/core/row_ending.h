// What follows a product, done to rows as soon as they are filled: they are in the caches of the thread that
// filled them. A pass over all of them afterwards read and wrote 5 MB once more, for half of the time of a
// product of 20 entries a row and 64 columns.
#pragma once

#include <algorithm>

#include "core/epilogue.h"
#include "core/kernel_table.h"

namespace deepgemm {

class RowEnding {
 public:
  RowEnding() = default;
  RowEnding(const Epilogue& terms, DType chain, Isa highest)
      : terms_(terms),
        size_(static_cast<std::int64_t>(size_of(chain))),
        run_(find_kernel(KernelId::epilogue, chain, IndexType::i32, highest).run) {}

  // Calls body(begin, part) for parts of `rows`, in order and of whole multiples of `unit` rows, and finishes
  // each: `rows` stands for those of the result from `first` on, and from `column` on.
  template <class Body>
  void fill(const DenseView& rows, std::int64_t first, std::int64_t column, std::int64_t unit,
            const Body& body) const {
    if (run_ == nullptr) return body(std::int64_t{0}, rows);
    const std::int64_t unit_bytes = std::max<std::int64_t>(unit * rows.cols * size_, 1);
    const std::int64_t step = std::max<std::int64_t>(kBytes / unit_bytes, 1) * unit;
    for (std::int64_t begin = 0; begin < rows.rows; begin += step) {
      DenseView part = rows;
      part.rows = std::min(step, rows.rows - begin);
      part.data = static_cast<char*>(rows.data) + begin * rows.row_stride * size_;
      body(begin, part);
      EpilogueArgs args{part, part, terms_.from(first + begin, column, size_)};
      if (part.cols == 1) {  // lanes run along the columns
        args = {part.transposed(), part.transposed(), args.terms.transposed()};
      }
      run_(&args, 0, args.to.rows, 0, nullptr);
    }
  }

 private:
  static constexpr std::int64_t kBytes = 32 << 10;

  Epilogue terms_;
  std::int64_t size_ = 0;
  KernelFn run_ = nullptr;
};

}  // namespace deepgemm
