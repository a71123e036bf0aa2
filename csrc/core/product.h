// A product that is ready to run: one kernel of one ISA with its fixed operand.
#pragma once

#include <memory>

#include "core/epilogue.h"
#include "core/types.h"

namespace deepgemm {

class Product {
 public:
  virtual ~Product() = default;
  // out = fixed × other, or other × fixed, as the concrete product was made. Writes every element of
  // `out`, reads nothing of it, and leaves no trace of the number of threads in the result.
  virtual Status run(const DenseView& other, const DenseView& out, int threads) const = 0;
  // The same product with more to do before it stores its result, of real numbers; null if it cannot. What
  // the terms point to must outlive it.
  virtual std::unique_ptr<Product> with_epilogue(const Epilogue&) const { return nullptr; }
  virtual const char* kernel() const = 0;
  virtual Isa isa() const = 0;
};

}  // namespace deepgemm
