// The exact products of 8-bit numbers of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm_integer-inl.h"
#include "kernels/integer_rows-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gemm_group_left, DType::i8, IndexType::i32, gemm_group<true, int8_t>},
    {KernelId::gemm_group_left, DType::u8, IndexType::i32, gemm_group<true, uint8_t>},
    {KernelId::gemm_group_right, DType::i8, IndexType::i32, gemm_group<false, int8_t>},
    {KernelId::gemm_group_right, DType::u8, IndexType::i32, gemm_group<false, uint8_t>},
    {KernelId::gemm_sums, DType::i8, IndexType::i32, gemm_sums<int8_t>},
    {KernelId::gemm_sums, DType::u8, IndexType::i32, gemm_sums<uint8_t>},
    {KernelId::gemm_finish, DType::i64, IndexType::i32, gemm_finish},
    {KernelId::gemm_block, DType::i32, IndexType::i32, gemm_block<Integer<int32_t>>},
    {KernelId::integer_streams, DType::i32, IndexType::i32, integer_streams<int32_t>},
    {KernelId::integer_dots, DType::i32, IndexType::i32, integer_dots<int32_t>},
#if DG_HAS_VNNI
    {KernelId::gemm_block_vnni, DType::i32, IndexType::i32, gemm_block<Integer<Vnni>>},
    {KernelId::integer_streams_vnni, DType::i32, IndexType::i32, integer_streams<Vnni>},
    {KernelId::integer_dots_vnni, DType::i32, IndexType::i32, integer_dots<Vnni>},
#endif
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm_integer, deepgemm::DG_ISA::kEntries)
