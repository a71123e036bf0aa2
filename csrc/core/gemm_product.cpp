#include "core/gemm_product.h"

#include <utility>

namespace deepgemm {
namespace {

class GemmProduct final : public Product {
 public:
  GemmProduct(const DenseView& fixed, Side side, const GemmTypes& types, bool swap_roles, Isa highest)
      : fixed_(fixed), side_(side), types_(types), swap_roles_(swap_roles), highest_(highest) {}

  const char* kernel() const override { return "gemm_packed"; }
  Isa isa() const override { return gemm_isa(types_.chain, highest_); }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    const DenseView& left = side_ == Side::left ? fixed_ : other;
    const DenseView& right = side_ == Side::left ? other : fixed_;
    if (types_.chain == DType::i32) return gemm_integers(left, right, out, types_, highest_, threads);
    return gemm(left, right, out, types_, highest_, threads, swap_roles_, terms_);
  }

  std::unique_ptr<Product> with_epilogue(const Epilogue& terms) const override {
    auto made = std::make_unique<GemmProduct>(*this);
    made->terms_ = terms;
    return made;
  }

 private:
  DenseView fixed_;
  Side side_;
  GemmTypes types_;
  bool swap_roles_;
  Isa highest_;
  Epilogue terms_;
};

class PackedProduct final : public Product {
 public:
  PackedProduct(std::shared_ptr<const PackedMatrix> packed, const GemmTypes& types, bool swap_roles)
      : packed_(std::move(packed)), types_(types), swap_roles_(swap_roles) {}

  const char* kernel() const override { return "gemm_packed"; }
  Isa isa() const override { return packed_->isa(); }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    return gemm(other, *packed_, out, types_, threads, swap_roles_, terms_);
  }

  std::unique_ptr<Product> with_epilogue(const Epilogue& terms) const override {
    auto made = std::make_unique<PackedProduct>(*this);
    made->terms_ = terms;
    return made;
  }

 private:
  std::shared_ptr<const PackedMatrix> packed_;
  GemmTypes types_;
  bool swap_roles_;
  Epilogue terms_;
};

class PackedIntegerProduct final : public Product {
 public:
  PackedIntegerProduct(std::shared_ptr<const PackedIntegers> packed, const GemmTypes& types)
      : packed_(std::move(packed)), types_(types) {}

  const char* kernel() const override { return "gemm_packed"; }
  Isa isa() const override { return packed_->groups().isa(); }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    return gemm_integers(other, *packed_, out, types_, threads);
  }

 private:
  std::shared_ptr<const PackedIntegers> packed_;
  GemmTypes types_;
};

}  // namespace

std::unique_ptr<Product> make_packed_product(std::shared_ptr<const PackedIntegers> packed,
                                             const GemmTypes& types) {
  return std::make_unique<PackedIntegerProduct>(std::move(packed), types);
}

std::unique_ptr<Product> make_gemm_product(const DenseView& fixed, Side side, const GemmTypes& types,
                                           bool swap_roles, Isa highest) {
  return std::make_unique<GemmProduct>(fixed, side, types, swap_roles, highest);
}

std::unique_ptr<Product> make_packed_product(std::shared_ptr<const PackedMatrix> packed,
                                             const GemmTypes& types, bool swap_roles) {
  return std::make_unique<PackedProduct>(std::move(packed), types, swap_roles);
}

}  // namespace deepgemm
