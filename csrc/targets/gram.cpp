// The symmetric products of one ISA.
#include "targets/table-inl.h"

#include "kernels/gram-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gram, DType::f32, IndexType::i32, gram<float, int32_t>},
    {KernelId::gram, DType::f32, IndexType::i64, gram<float, int64_t>},
    {KernelId::gram, DType::f64, IndexType::i32, gram<double, int32_t>},
    {KernelId::gram, DType::f64, IndexType::i64, gram<double, int64_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gram, deepgemm::DG_ISA::kEntries)
