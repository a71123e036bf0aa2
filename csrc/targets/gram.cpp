// The symmetric products of one ISA.
#include "targets/table-inl.h"

#include "kernels/gram-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gram, DType::f32, IndexType::i32, gram<RealChain<float>, int32_t>},
    {KernelId::gram, DType::f32, IndexType::i64, gram<RealChain<float>, int64_t>},
    {KernelId::gram, DType::f64, IndexType::i32, gram<RealChain<double>, int32_t>},
    {KernelId::gram, DType::f64, IndexType::i64, gram<RealChain<double>, int64_t>},
    {KernelId::gram, DType::c64, IndexType::i32, gram<ComplexChain<float>, int32_t>},
    {KernelId::gram, DType::c64, IndexType::i64, gram<ComplexChain<float>, int64_t>},
    {KernelId::gram, DType::c128, IndexType::i32, gram<ComplexChain<double>, int32_t>},
    {KernelId::gram, DType::c128, IndexType::i64, gram<ComplexChain<double>, int64_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gram, deepgemm::DG_ISA::kEntries)
