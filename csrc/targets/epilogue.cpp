// The last steps of dense products of one ISA.
#include "targets/table-inl.h"

#include "kernels/epilogue-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::epilogue, DType::f32, IndexType::i32, epilogue<float, float>},
    {KernelId::epilogue, DType::f64, IndexType::i32, epilogue<double, double>},
    {KernelId::epilogue, DType::f16, IndexType::i32, epilogue<float, Float16>},
    {KernelId::epilogue, DType::bf16, IndexType::i32, epilogue<float, BFloat16>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(epilogue, deepgemm::DG_ISA::kEntries)
