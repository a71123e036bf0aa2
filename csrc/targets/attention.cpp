// The kernels of attention within segments of one ISA.
#include "targets/table-inl.h"

#include "kernels/attention-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::attention, DType::f32, IndexType::i32, attention<float, float>},
    {KernelId::attention, DType::f64, IndexType::i32, attention<double, double>},
    {KernelId::attention, DType::f16, IndexType::i32, attention<float, Float16>},
    {KernelId::attention, DType::bf16, IndexType::i32, attention<float, BFloat16>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(attention, deepgemm::DG_ISA::kEntries)
