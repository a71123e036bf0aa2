// Stacks of small dense products: which they are, and how threads share them.
#pragma once

#include <cstdint>

#include "core/gemm.h"
#include "core/gemm_args.h"

namespace deepgemm {

// A stack of C = A B that one kernel multiplies, or nothing that it could.
class SmallProducts {
 public:
  // `axes` must outlive it.
  SmallProducts(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                Isa highest, const GemmAxis* axes = nullptr, int axis_count = 0);

  bool serves() const { return kernel_.run != nullptr; }
  Status run(int threads) const;

 private:
  bool place(const DenseView& a, const DenseView& b, const DenseView& c);

  FoundKernel kernel_;
  GemmSmallArgs args_{};
  std::int64_t size_ = 0, lanes_ = 1, count_ = 1;
};

}  // namespace deepgemm
