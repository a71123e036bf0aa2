// The sparse × sparse kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/spgemm-inl.h"
#include "kernels/spgemm_dense-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::csr_csr, DType::f32, IndexType::i32, csr_csr<RealChain<float>, int32_t>},
    {KernelId::csr_csr, DType::f32, IndexType::i64, csr_csr<RealChain<float>, int64_t>},
    {KernelId::csr_csr, DType::f64, IndexType::i32, csr_csr<RealChain<double>, int32_t>},
    {KernelId::csr_csr, DType::f64, IndexType::i64, csr_csr<RealChain<double>, int64_t>},
    {KernelId::csr_csr, DType::c64, IndexType::i32, csr_csr<ComplexChain<float>, int32_t>},
    {KernelId::csr_csr, DType::c64, IndexType::i64, csr_csr<ComplexChain<float>, int64_t>},
    {KernelId::csr_csr, DType::c128, IndexType::i32, csr_csr<ComplexChain<double>, int32_t>},
    {KernelId::csr_csr, DType::c128, IndexType::i64, csr_csr<ComplexChain<double>, int64_t>},
    {KernelId::csr_csr_top, DType::f32, IndexType::i32, csr_csr_top<float, int32_t>},
    {KernelId::csr_csr_top, DType::f32, IndexType::i64, csr_csr_top<float, int64_t>},
    {KernelId::csr_csr_top, DType::f64, IndexType::i32, csr_csr_top<double, int32_t>},
    {KernelId::csr_csr_top, DType::f64, IndexType::i64, csr_csr_top<double, int64_t>},
    {KernelId::csr_csr_dense, DType::f32, IndexType::i32, csr_csr_dense<RealChain<float>, int32_t>},
    {KernelId::csr_csr_dense, DType::f32, IndexType::i64, csr_csr_dense<RealChain<float>, int64_t>},
    {KernelId::csr_csr_dense, DType::f64, IndexType::i32, csr_csr_dense<RealChain<double>, int32_t>},
    {KernelId::csr_csr_dense, DType::f64, IndexType::i64, csr_csr_dense<RealChain<double>, int64_t>},
    {KernelId::csr_csr_dense, DType::c64, IndexType::i32, csr_csr_dense<ComplexChain<float>, int32_t>},
    {KernelId::csr_csr_dense, DType::c64, IndexType::i64, csr_csr_dense<ComplexChain<float>, int64_t>},
    {KernelId::csr_csr_dense, DType::c128, IndexType::i32, csr_csr_dense<ComplexChain<double>, int32_t>},
    {KernelId::csr_csr_dense, DType::c128, IndexType::i64, csr_csr_dense<ComplexChain<double>, int64_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(spgemm, deepgemm::DG_ISA::kEntries)
