// The products of a few rows with narrow storage of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm_thin-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gemm_thin, DType::f16, IndexType::i32, gemm_thin<Float16>},
    {KernelId::gemm_thin, DType::bf16, IndexType::i32, gemm_thin<BFloat16>},
    {KernelId::gemm_thin, DType::f8e4m3, IndexType::i32, gemm_thin<Float8E4M3>},
    {KernelId::gemm_thin, DType::f8e5m2, IndexType::i32, gemm_thin<Float8E5M2>},
    {KernelId::gemm_thin, DType::i8, IndexType::i32, gemm_thin<int8_t>},
    {KernelId::gemm_thin, DType::u8, IndexType::i32, gemm_thin<uint8_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm_thin, deepgemm::DG_ISA::kEntries)
