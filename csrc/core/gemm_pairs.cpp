#include "core/gemm_pairs.h"

#include <utility>

namespace deepgemm {
namespace {

class PairsProduct final : public Product {
 public:
  PairsProduct(const DenseView& fixed, Side side, std::shared_ptr<const PackedMatrix> packed, DType out,
               Isa highest)
      : fixed_(fixed),
        side_(side),
        packed_(std::move(packed)),
        types_{DType::bf16, DType::bf16, out, DType::f32},
        highest_(highest) {}

  const char* kernel() const override { return "gemm_pairs"; }
  Isa isa() const override { return Isa::avx512; }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    if (packed_ != nullptr) return gemm_pairs(other, *packed_, out, types_, threads, terms_);
    const DenseView& left = side_ == Side::left ? fixed_ : other;
    const DenseView& right = side_ == Side::left ? other : fixed_;
    return gemm_pairs(left, right, out, types_, highest_, threads, terms_);
  }

  std::unique_ptr<Product> with_epilogue(const Epilogue& terms) const override {
    auto made = std::make_unique<PairsProduct>(*this);
    made->terms_ = terms;
    return made;
  }

 private:
  DenseView fixed_;
  Side side_;
  std::shared_ptr<const PackedMatrix> packed_;
  GemmTypes types_;
  Isa highest_;
  Epilogue terms_;
};

}  // namespace

std::unique_ptr<Product> make_pairs_product(const DenseView& fixed, Side side, DType out, Isa highest) {
  return std::make_unique<PairsProduct>(fixed, side, nullptr, out, highest);
}

std::unique_ptr<Product> make_pairs_product(std::shared_ptr<const PackedMatrix> packed, DType out) {
  const Isa isa = packed->isa();
  return std::make_unique<PairsProduct>(DenseView{}, Side::right, std::move(packed), out, isa);
}

}  // namespace deepgemm
