// The sampled dense × dense kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/sddmm-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::sddmm, DType::f32, IndexType::i32, sddmm_real<float, int32_t>},
    {KernelId::sddmm, DType::f32, IndexType::i64, sddmm_real<float, int64_t>},
    {KernelId::sddmm, DType::f64, IndexType::i32, sddmm_real<double, int32_t>},
    {KernelId::sddmm, DType::f64, IndexType::i64, sddmm_real<double, int64_t>},
    {KernelId::sddmm, DType::c64, IndexType::i32, sddmm_complex<float, int32_t>},
    {KernelId::sddmm, DType::c64, IndexType::i64, sddmm_complex<float, int64_t>},
    {KernelId::sddmm, DType::c128, IndexType::i32, sddmm_complex<double, int32_t>},
    {KernelId::sddmm, DType::c128, IndexType::i64, sddmm_complex<double, int64_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(sddmm, deepgemm::DG_ISA::kEntries)
