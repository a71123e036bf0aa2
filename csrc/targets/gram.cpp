// The symmetric products of one ISA.
#include "targets/table-inl.h"

#include "kernels/gram-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr KernelEntry kEntries[] = {
    {KernelId::gram, DType::f32, IndexType::i32, gram<float, int32_t>},
    {KernelId::gram, DType::f32, IndexType::i64, gram<float, int64_t>},
    {KernelId::gram, DType::f64, IndexType::i32, gram<double, int32_t>},
    {KernelId::gram, DType::f64, IndexType::i64, gram<double, int64_t>},
    {KernelId::gram_count, DType::f32, IndexType::i32, sparse_gram<float, int32_t, false>},
    {KernelId::gram_count, DType::f32, IndexType::i64, sparse_gram<float, int64_t, false>},
    {KernelId::gram_count, DType::f64, IndexType::i32, sparse_gram<double, int32_t, false>},
    {KernelId::gram_count, DType::f64, IndexType::i64, sparse_gram<double, int64_t, false>},
    {KernelId::gram_fill, DType::f32, IndexType::i32, sparse_gram<float, int32_t, true>},
    {KernelId::gram_fill, DType::f32, IndexType::i64, sparse_gram<float, int64_t, true>},
    {KernelId::gram_fill, DType::f64, IndexType::i32, sparse_gram<double, int32_t, true>},
    {KernelId::gram_fill, DType::f64, IndexType::i64, sparse_gram<double, int64_t, true>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(gram, deepgemm::DG_ISA::kEntries)
