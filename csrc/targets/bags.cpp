// The kernels of embedding bags of one ISA.
#include "targets/table-inl.h"

#include "kernels/bag_update-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <class S>
constexpr KernelFn kSum = bags<PlainRow<S>, BagSum>;
template <class S>
constexpr KernelFn kMax = bags<PlainRow<S>, BagMax>;
template <class C>
constexpr KernelFn kScaledSum = bags<ScaledRow<C>, BagSum>;
template <class C>
constexpr KernelFn kScaledMax = bags<ScaledRow<C>, BagMax>;

constexpr KernelEntry kEntries[] = {
    {KernelId::bag_sum, DType::f32, IndexType::i32, kSum<float>},
    {KernelId::bag_sum, DType::f64, IndexType::i32, kSum<double>},
    {KernelId::bag_sum, DType::f16, IndexType::i32, kSum<Float16>},
    {KernelId::bag_sum, DType::bf16, IndexType::i32, kSum<BFloat16>},
    {KernelId::bag_sum, DType::i8, IndexType::i32, kScaledSum<Codes<int8_t>>},
    {KernelId::bag_sum, DType::u8, IndexType::i32, kScaledSum<Codes<uint8_t>>},
    {KernelId::bag_sum, DType::u4, IndexType::i32, bags<PackedRow<4>, BagSum>},
    {KernelId::bag_sum, DType::u2, IndexType::i32, bags<PackedRow<2>, BagSum>},
    {KernelId::bag_max, DType::f32, IndexType::i32, kMax<float>},
    {KernelId::bag_max, DType::f64, IndexType::i32, kMax<double>},
    {KernelId::bag_max, DType::f16, IndexType::i32, kMax<Float16>},
    {KernelId::bag_max, DType::bf16, IndexType::i32, kMax<BFloat16>},
    {KernelId::bag_max, DType::i8, IndexType::i32, kScaledMax<Codes<int8_t>>},
    {KernelId::bag_max, DType::u8, IndexType::i32, kScaledMax<Codes<uint8_t>>},
    {KernelId::bag_max, DType::u4, IndexType::i32, bags<PackedRow<4>, BagMax>},
    {KernelId::bag_max, DType::u2, IndexType::i32, bags<PackedRow<2>, BagMax>},
    {KernelId::bag_update, DType::f32, IndexType::i32, update_rows<float>},
    {KernelId::bag_update, DType::f64, IndexType::i32, update_rows<double>},
    {KernelId::bag_update, DType::f16, IndexType::i32, update_rows<Float16>},
    {KernelId::bag_update, DType::bf16, IndexType::i32, update_rows<BFloat16>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(bags, deepgemm::DG_ISA::kEntries)
