// The dense × dense kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm-inl.h"

namespace deepgemm::DG_ISA {
namespace {

#define DG_PACKS(dtype, S)                                                                     \
  {KernelId::gemm_pack_left, DType::dtype, IndexType::i32, gemm_pack<Real<float>, true, S>}, { \
    KernelId::gemm_pack_right, DType::dtype, IndexType::i32, gemm_pack<Real<float>, false, S>  \
  }

constexpr KernelEntry kEntries[] = {
    DG_PACKS(f16, Float16),
    DG_PACKS(bf16, BFloat16),
    DG_PACKS(f8e4m3, Float8E4M3),
    DG_PACKS(f8e5m2, Float8E5M2),
    DG_PACKS(i8, int8_t),
    DG_PACKS(u8, uint8_t),
    {KernelId::gemm_pack_left, DType::f32, IndexType::i32, gemm_pack<Real<float>, true>},
    {KernelId::gemm_pack_left, DType::f64, IndexType::i32, gemm_pack<Real<double>, true>},
    {KernelId::gemm_pack_left, DType::c64, IndexType::i32, gemm_pack<Complex<float>, true>},
    {KernelId::gemm_pack_left, DType::c128, IndexType::i32, gemm_pack<Complex<double>, true>},
    {KernelId::gemm_pack_right, DType::f32, IndexType::i32, gemm_pack<Real<float>, false>},
    {KernelId::gemm_pack_right, DType::f64, IndexType::i32, gemm_pack<Real<double>, false>},
    {KernelId::gemm_pack_right, DType::c64, IndexType::i32, gemm_pack<Complex<float>, false>},
    {KernelId::gemm_pack_right, DType::c128, IndexType::i32, gemm_pack<Complex<double>, false>},
    {KernelId::gemm_block, DType::f32, IndexType::i32, gemm_block<Real<float>>},
    {KernelId::gemm_block, DType::f64, IndexType::i32, gemm_block<Real<double>>},
    {KernelId::gemm_block, DType::c64, IndexType::i32, gemm_block<Complex<float>>},
    {KernelId::gemm_block, DType::c128, IndexType::i32, gemm_block<Complex<double>>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm, deepgemm::DG_ISA::kEntries)
