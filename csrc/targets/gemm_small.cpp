// The products of small dense matrices of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm_small-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gemm_small, DType::f32, IndexType::i32, gemm_small<float>},
    {KernelId::gemm_small, DType::f64, IndexType::i32, gemm_small<double>},
    {KernelId::gemm_small, DType::f16, IndexType::i32, gemm_small_widened<Float16, Float16>},
    {KernelId::gemm_small, DType::bf16, IndexType::i32, gemm_small_widened<BFloat16, BFloat16>},
    {KernelId::gemm_small, DType::i8, IndexType::i32, gemm_small_widened<int8_t, int32_t>},
    {KernelId::gemm_small, DType::u8, IndexType::i32, gemm_small_widened<uint8_t, int32_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm_small, deepgemm::DG_ISA::kEntries)
