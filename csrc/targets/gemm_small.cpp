// The products of small dense matrices of one ISA.
#include "targets/table-inl.h"

#include "kernels/gemm_small-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gemm_small, DType::f32, IndexType::i32, gemm_small<float>},
    {KernelId::gemm_small, DType::f64, IndexType::i32, gemm_small<double>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gemm_small, deepgemm::DG_ISA::kEntries)
