// The dense × dense kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
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
