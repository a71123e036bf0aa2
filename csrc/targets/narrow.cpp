// The dense × narrow kernels of one ISA, and what widens sparse codes.
#include "targets/table-inl.h"

#include "kernels/codes-inl.h"
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
    {KernelId::decode_rows, DType::i8, IndexType::i32, decode_rows<int8_t>},
    {KernelId::decode_rows, DType::u8, IndexType::i32, decode_rows<uint8_t>},
    {KernelId::decode_rows, DType::f8e4m3, IndexType::i32, decode_rows<Float8E4M3>},
    {KernelId::decode_rows, DType::f8e5m2, IndexType::i32, decode_rows<Float8E5M2>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(narrow, deepgemm::DG_ISA::kEntries)
