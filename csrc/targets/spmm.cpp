// The sparse × dense kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/csr-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::csr_rowwise, DType::f32, IndexType::i32, csr_rowwise<float, int32_t>},
    {KernelId::csr_rowwise, DType::f32, IndexType::i64, csr_rowwise<float, int64_t>},
    {KernelId::csr_rowwise, DType::f64, IndexType::i32, csr_rowwise<double, int32_t>},
    {KernelId::csr_rowwise, DType::f64, IndexType::i64, csr_rowwise<double, int64_t>},
    {KernelId::csr_rowwise, DType::c64, IndexType::i32, csr_rowwise_complex<float, int32_t>},
    {KernelId::csr_rowwise, DType::c64, IndexType::i64, csr_rowwise_complex<float, int64_t>},
    {KernelId::csr_rowwise, DType::c128, IndexType::i32, csr_rowwise_complex<double, int32_t>},
    {KernelId::csr_rowwise, DType::c128, IndexType::i64, csr_rowwise_complex<double, int64_t>},
    {KernelId::csr_scatter, DType::f32, IndexType::i32, csr_scatter<float, int32_t>},
    {KernelId::csr_scatter, DType::f32, IndexType::i64, csr_scatter<float, int64_t>},
    {KernelId::csr_scatter, DType::f64, IndexType::i32, csr_scatter<double, int32_t>},
    {KernelId::csr_scatter, DType::f64, IndexType::i64, csr_scatter<double, int64_t>},
    {KernelId::csr_scatter, DType::c64, IndexType::i32, csr_scatter_complex<float, int32_t>},
    {KernelId::csr_scatter, DType::c64, IndexType::i64, csr_scatter_complex<float, int64_t>},
    {KernelId::csr_scatter, DType::c128, IndexType::i32, csr_scatter_complex<double, int32_t>},
    {KernelId::csr_scatter, DType::c128, IndexType::i64, csr_scatter_complex<double, int64_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(spmm, deepgemm::DG_ISA::kEntries)
