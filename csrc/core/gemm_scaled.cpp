#include "core/gemm_scaled.h"

#include "core/gemm.h"

namespace deepgemm {
namespace {

class ScaledProduct final : public Product {
 public:
  ScaledProduct(const GemmScaling& right, std::int64_t cols, const GemmTypes& types, Isa highest)
      : right_(right), cols_(cols), types_(types), highest_(highest) {}

  const char* kernel() const override { return "dequantized_panels"; }
  Isa isa() const override { return gemm_isa(types_.chain, highest_); }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    return gemm_scaled(other, right_, cols_, out, types_, highest_, threads, terms_);
  }

  std::unique_ptr<Product> with_epilogue(const Epilogue& terms) const override {
    auto made = std::make_unique<ScaledProduct>(*this);
    made->terms_ = terms;
    return made;
  }

 private:
  GemmScaling right_;
  std::int64_t cols_;
  GemmTypes types_;
  Isa highest_;
  Epilogue terms_;
};

}  // namespace

std::unique_ptr<Product> make_scaled_product(const GemmScaling& right, std::int64_t cols, DType left,
                                             DType stored, DType out, Isa highest) {
  return std::make_unique<ScaledProduct>(right, cols, GemmTypes{left, stored, out, DType::f32}, highest);
}

}  // namespace deepgemm
