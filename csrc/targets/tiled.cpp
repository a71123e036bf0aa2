// The tiled sparse × dense kernels of one ISA.
#include "targets/table-inl.h"

#include "kernels/csr_tiled-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::csr_tiled, DType::f32, IndexType::i32, csr_tiled<float>},
    {KernelId::csr_tiled, DType::f64, IndexType::i32, csr_tiled<double>},
    {KernelId::csr_tiled, DType::f16, IndexType::i32, csr_tiled_narrow<Float16>},
    {KernelId::csr_tiled, DType::bf16, IndexType::i32, csr_tiled_narrow<BFloat16>},
    {KernelId::csr_tiled, DType::i8, IndexType::i32, csr_tiled_narrow<int8_t>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(tiled, deepgemm::DG_ISA::kEntries)
