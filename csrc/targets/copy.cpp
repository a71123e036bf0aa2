// The copies of dense operands of one ISA.
#include "targets/table-inl.h"

#include "kernels/copy-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::dense_turn, DType::f32, IndexType::i32, dense_turn<float>},
    {KernelId::dense_turn, DType::f64, IndexType::i32, dense_turn<double>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(copy, deepgemm::DG_ISA::kEntries)
