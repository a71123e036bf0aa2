// The kernels of one ISA for dot products, one or a few of them.
#include "targets/table-inl.h"

#include "kernels/gemm_dots-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::dot, DType::f32, IndexType::i32, dot_real<float>},
    {KernelId::dot, DType::f64, IndexType::i32, dot_real<double>},
    {KernelId::gemm_dots, DType::f32, IndexType::i32, gemm_dots<float>},
    {KernelId::gemm_dots, DType::f64, IndexType::i32, gemm_dots<double>},
    {KernelId::gemm_flat, DType::f32, IndexType::i32, gemm_flat<float>},
    {KernelId::gemm_flat, DType::f64, IndexType::i32, gemm_flat<double>},
    {KernelId::dot, DType::c64, IndexType::i32, dot_complex<float>},
    {KernelId::dot, DType::c128, IndexType::i32, dot_complex<double>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(dot, deepgemm::DG_ISA::kEntries)
