// Stacks of small dense products: which they are, and how threads share them.
#pragma once

#include <cstdint>

#include "core/gemm.h"
#include "core/gemm_args.h"

namespace deepgemm {

// A stack of C = A B that one kernel multiplies, or one product of many rows and few columns; or nothing that
// it could. It points into itself, so that it stays where it was made.
class SmallProducts {
 public:
  // `axes` must outlive it.
  SmallProducts(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                Isa highest, const GemmAxis* axes = nullptr, int axis_count = 0);

  SmallProducts(const SmallProducts&) = delete;
  SmallProducts& operator=(const SmallProducts&) = delete;

  bool serves() const { return kernel_.run != nullptr; }
  Status run(int threads) const;

 private:
  bool is_tall(const DenseView& a, const DenseView& b, const DenseView& c) const;
  bool place(const DenseView& a, const DenseView& b, const DenseView& c);
  void cut_rows();
  std::int64_t workspace() const;

  FoundKernel kernel_;
  GemmSmallArgs args_{};
  std::int64_t size_ = 0, lanes_ = 1, count_ = 1, most_work_ = 0;
  bool widens_ = false;
  GemmAxis blocks_{};          // of a tall product, whose rows are cut into members
  DenseView rest_a_, rest_c_;  // and what they leave over
};

}  // namespace deepgemm
