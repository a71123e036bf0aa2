// The kernels of embedding bags of one ISA.
#include "targets/table-inl.h"

#include "kernels/bag_update-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <class Rows>
constexpr KernelFn kSum = bags<Rows, BagSum>;
template <class Rows>
constexpr KernelFn kMax = bags<Rows, BagMax>;

constexpr KernelEntry kEntries[] = {
    {KernelId::bag_sum, DType::f32, IndexType::i32, kSum<Plain<float>>},
    {KernelId::bag_sum, DType::f64, IndexType::i32, kSum<Plain<double>>},
    {KernelId::bag_sum, DType::f16, IndexType::i32, kSum<Plain<Float16>>},
    {KernelId::bag_sum, DType::bf16, IndexType::i32, kSum<Plain<BFloat16>>},
    {KernelId::bag_sum, DType::i8, IndexType::i32, kSum<Scaled<Codes<int8_t>>>},
    {KernelId::bag_sum, DType::u8, IndexType::i32, kSum<Scaled<Codes<uint8_t>>>},
    {KernelId::bag_sum, DType::u4, IndexType::i32, kSum<PackedIntegers<4>>},
    {KernelId::bag_sum, DType::u2, IndexType::i32, kSum<PackedIntegers<2>>},
    {KernelId::bag_max, DType::f32, IndexType::i32, kMax<Plain<float>>},
    {KernelId::bag_max, DType::f64, IndexType::i32, kMax<Plain<double>>},
    {KernelId::bag_max, DType::f16, IndexType::i32, kMax<Plain<Float16>>},
    {KernelId::bag_max, DType::bf16, IndexType::i32, kMax<Plain<BFloat16>>},
    {KernelId::bag_max, DType::i8, IndexType::i32, kMax<Scaled<Codes<int8_t>>>},
    {KernelId::bag_max, DType::u8, IndexType::i32, kMax<Scaled<Codes<uint8_t>>>},
    {KernelId::bag_max, DType::u4, IndexType::i32, kMax<PackedIntegers<4>>},
    {KernelId::bag_max, DType::u2, IndexType::i32, kMax<PackedIntegers<2>>},
    {KernelId::bag_update, DType::f32, IndexType::i32, update_rows<float>},
    {KernelId::bag_update, DType::f64, IndexType::i32, update_rows<double>},
    {KernelId::bag_update, DType::f16, IndexType::i32, update_rows<Float16>},
    {KernelId::bag_update, DType::bf16, IndexType::i32, update_rows<BFloat16>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(bags, deepgemm::DG_ISA::kEntries)
