// The packing of quantised operands of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm_scaled-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gemm_pack_scaled, DType::i8, IndexType::i32, gemm_pack_scaled<Bytes<int8_t>>},
    {KernelId::gemm_pack_scaled, DType::u8, IndexType::i32, gemm_pack_scaled<Bytes<uint8_t>>},
    {KernelId::gemm_pack_scaled, DType::f8e4m3, IndexType::i32, gemm_pack_scaled<Bytes<Float8E4M3>>},
    {KernelId::gemm_pack_scaled, DType::f8e5m2, IndexType::i32, gemm_pack_scaled<Bytes<Float8E5M2>>},
    {KernelId::gemm_pack_scaled, DType::u4, IndexType::i32, gemm_pack_scaled<Halves>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm_scaled, deepgemm::DG_ISA::kEntries)
