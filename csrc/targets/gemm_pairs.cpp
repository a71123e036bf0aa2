// The products of bfloat16 and float16 numbers two at a time of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm_halves-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gemm_pair_left, DType::bf16, IndexType::i32, gemm_pair<true>},
    {KernelId::gemm_pair_right, DType::bf16, IndexType::i32, gemm_pair<false>},
    {KernelId::gemm_pair_left, DType::f16, IndexType::i32, gemm_pair<true>},
    {KernelId::gemm_pair_right, DType::f16, IndexType::i32, gemm_pair<false>},
#if DG_ASSEMBLES_BF16
    {KernelId::gemm_block_pairs, DType::f32, IndexType::i32, gemm_block<Pairs<Pair>>},
#endif
#if DG_ASSEMBLES_FP16
    {KernelId::gemm_block_halves, DType::f32, IndexType::i32, gemm_halves},
#endif
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm_pairs, deepgemm::DG_ISA::kEntries)
