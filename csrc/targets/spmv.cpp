// The sparse × vector kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/spmv-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::csr_vector, DType::f32, IndexType::i32, csr_vector<float, int32_t>},
    {KernelId::csr_vector, DType::f32, IndexType::i64, csr_vector<float, int64_t>},
    {KernelId::csr_vector, DType::f64, IndexType::i32, csr_vector<double, int32_t>},
    {KernelId::csr_vector, DType::f64, IndexType::i64, csr_vector<double, int64_t>},
    {KernelId::csr_vector, DType::c64, IndexType::i32, csr_vector_complex<float, int32_t>},
    {KernelId::csr_vector, DType::c64, IndexType::i64, csr_vector_complex<float, int64_t>},
    {KernelId::csr_vector, DType::c128, IndexType::i32, csr_vector_complex<double, int32_t>},
    {KernelId::csr_vector, DType::c128, IndexType::i64, csr_vector_complex<double, int64_t>},
    {KernelId::sell_vector, DType::f32, IndexType::i32, sell_vector<float>},
    {KernelId::sell_vector, DType::f64, IndexType::i32, sell_vector<double>},
    {KernelId::sell_vector, DType::f16, IndexType::i32, sell_vector<float, Float16>},
    {KernelId::sell_vector, DType::bf16, IndexType::i32, sell_vector<float, BFloat16>},
    {KernelId::sell_vector, DType::i8, IndexType::i32, sell_vector<float, int8_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(spmv, deepgemm::DG_ISA::kEntries)
