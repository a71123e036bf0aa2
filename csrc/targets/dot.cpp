// The vector × vector kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/dot-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::dot, DType::f32, IndexType::i32, dot_real<float>},
    {KernelId::dot, DType::f64, IndexType::i32, dot_real<double>},
    {KernelId::gemm_dots, DType::f32, IndexType::i32, gemm_dots<float>},
    {KernelId::gemm_dots, DType::f64, IndexType::i32, gemm_dots<double>},
    {KernelId::dot, DType::c64, IndexType::i32, dot_complex<float>},
    {KernelId::dot, DType::c128, IndexType::i32, dot_complex<double>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(dot, deepgemm::DG_ISA::kEntries)
