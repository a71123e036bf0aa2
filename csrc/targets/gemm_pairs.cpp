// The products of bfloat16 numbers two at a time of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm_pairs-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gemm_pair_left, DType::bf16, IndexType::i32, gemm_pair<true>},
    {KernelId::gemm_pair_right, DType::bf16, IndexType::i32, gemm_pair<false>},
#if DG_HAS_PAIRS
    {KernelId::gemm_block_pairs, DType::f32, IndexType::i32, gemm_block<Pairs<Pair>>},
#endif
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm_pairs, deepgemm::DG_ISA::kEntries)
