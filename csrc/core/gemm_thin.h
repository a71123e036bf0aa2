// Dense products of a few rows with an operand that is stored narrower than the chain's dtype: it is read
// once, where it stands, and widened in registers.
#pragma once

#include "core/gemm.h"

namespace deepgemm {

// C = A B with at most kThinRows rows, or as many columns, in which case it is turned over; or nothing that
// it could serve.
class ThinProduct {
 public:
  ThinProduct(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
              Isa highest);

  bool serves() const { return kernel_.run != nullptr; }
  Status run(const Epilogue& terms, int threads) const;

 private:
  DenseView a_, b_, c_;
  GemmTypes types_;
  bool turned_ = false;
  FoundKernel kernel_;
};

}  // namespace deepgemm
