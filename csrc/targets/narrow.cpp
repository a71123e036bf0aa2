// The dense × narrow kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/narrow-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::narrow_pack, DType::f16, IndexType::i32, narrow_pack<uint16_t>},
    {KernelId::narrow_pack, DType::bf16, IndexType::i32, narrow_pack<uint16_t>},
    {KernelId::narrow_pack, DType::i8, IndexType::i32, narrow_pack<uint8_t>},
    {KernelId::narrow_block, DType::f16, IndexType::i32, narrow_block<Float16>},
    {KernelId::narrow_block, DType::bf16, IndexType::i32, narrow_block<BFloat16>},
    {KernelId::narrow_block, DType::i8, IndexType::i32, narrow_block_scaled<Plain<int8_t>>},
    {KernelId::narrow_block_nibbles, DType::i8, IndexType::i32, narrow_block_scaled<Packed>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(narrow, deepgemm::DG_ISA::kEntries)
