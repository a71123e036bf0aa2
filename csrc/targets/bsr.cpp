// The block-sparse × dense kernels of one ISA; they tell widths of indices apart themselves.
#include "targets/table-inl.h"

#include "kernels/bsr-inl.h"
#include "kernels/bsr_integer-inl.h"
#include "kernels/bsr_vector-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::bsr_dense, DType::f32, IndexType::i32, bsr_dense<float>},
    {KernelId::bsr_dense, DType::f64, IndexType::i32, bsr_dense<double>},
    {KernelId::bsr_dense, DType::c64, IndexType::i32, bsr_dense_complex<float>},
    {KernelId::bsr_dense, DType::c128, IndexType::i32, bsr_dense_complex<double>},
    {KernelId::bsr_scatter, DType::f32, IndexType::i32, bsr_scatter<float>},
    {KernelId::bsr_scatter, DType::f64, IndexType::i32, bsr_scatter<double>},
    {KernelId::bsr_scatter, DType::c64, IndexType::i32, bsr_scatter_complex<float>},
    {KernelId::bsr_scatter, DType::c128, IndexType::i32, bsr_scatter_complex<double>},
    {KernelId::bsr_vector, DType::f32, IndexType::i32, bsr_vector<float>},
    {KernelId::bsr_vector, DType::f64, IndexType::i32, bsr_vector<double>},
    {KernelId::bsr_integers, DType::i8, IndexType::i32, bsr_integers<int32_t, true>},
    {KernelId::bsr_integers, DType::u8, IndexType::i32, bsr_integers<int32_t, false>},
#if DG_HAS_VNNI
    {KernelId::bsr_integers_vnni, DType::i8, IndexType::i32, bsr_integers<Vnni, true>},
    {KernelId::bsr_integers_vnni, DType::u8, IndexType::i32, bsr_integers<Vnni, false>},
#endif
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(bsr, deepgemm::DG_ISA::kEntries)
