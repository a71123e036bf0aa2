#include "core/gemm_pairs.h"

#include <utility>

#include "core/gemm_blocked.h"

namespace deepgemm {
namespace {

class PairsProduct final : public Product {
 public:
  PairsProduct(const DenseView& fixed, Side side, std::shared_ptr<const PackedMatrix> packed, DType stored,
               DType out, Isa highest)
      : fixed_(fixed),
        side_(side),
        packed_(std::move(packed)),
        types_{stored, stored, out, DType::f32},
        highest_(highest) {}

  const char* kernel() const override { return types_.left == DType::f16 ? "gemm_halves" : "gemm_pairs"; }
  Isa isa() const override { return Isa::avx512; }

  Status run(const DenseView& other, const DenseView& out, int threads) const override {
    const DenseView& left = side_ == Side::left ? fixed_ : other;
    const DenseView& right = side_ == Side::left ? other : fixed_;
    std::int32_t overflowed = 0;
    const Status status = packed_ != nullptr
                              ? gemm_pairs(left, *packed_, out, types_, threads, terms_, &overflowed)
                              : gemm_pairs(left, right, out, types_, highest_, threads, terms_, &overflowed);
    if (status != Status::ok || overflowed == 0) return status;
    if (packed_ == nullptr) return gemm(left, right, out, types_, highest_, threads, false, terms_);
    return run_unpacked(left, out, threads);
  }

  std::unique_ptr<Product> with_epilogue(const Epilogue& terms) const override {
    auto made = std::make_unique<PairsProduct>(*this);
    made->terms_ = terms;
    return made;
  }

 private:
  // A copy that was kept for the sake of inf would double the panels.
  Status run_unpacked(const DenseView& left, const DenseView& out, int threads) const {
    const std::int64_t rows = left.cols, cols = packed_->cols();
    const Workspace memory(static_cast<std::size_t>(rows * cols * bytes_of(types_.right)));
    if (memory.data() == nullptr) return Status::no_memory;
    const DenseView right{memory.data(), rows, cols, cols, 1};
    unpack_pairs(*packed_, right, threads);
    return gemm(left, right, out, types_, highest_, threads, false, terms_);
  }

  DenseView fixed_;
  Side side_;
  std::shared_ptr<const PackedMatrix> packed_;
  GemmTypes types_;
  Isa highest_;
  Epilogue terms_;
};

}  // namespace

std::unique_ptr<Product> make_pairs_product(const DenseView& fixed, Side side, DType stored, DType out,
                                            Isa highest) {
  return std::make_unique<PairsProduct>(fixed, side, nullptr, stored, out, highest);
}

std::unique_ptr<Product> make_pairs_product(std::shared_ptr<const PackedMatrix> packed, DType out) {
  const Isa isa = packed->isa();
  const DType stored = packed->dtype();
  return std::make_unique<PairsProduct>(DenseView{}, Side::right, std::move(packed), stored, out, isa);
}

}  // namespace deepgemm
