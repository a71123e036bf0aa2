// The kernels of operations within segments of one ISA.
#include "targets/table-inl.h"

#include "kernels/segment_columns-inl.h"
#include "kernels/segment_softmax-inl.h"
#include "kernels/segments-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// Rows of single elements or of several: two kernels for each operation, told apart by the arguments.
template <KernelFn Single, KernelFn Several>
void either(const void* raw, int64_t begin, int64_t end, int thread, void* workspace) {
  const bool single = static_cast<const SegmentArgs*>(raw)->columns == 0;
  (single ? Single : Several)(raw, begin, end, thread, workspace);
}

template <class T, template <class> class Op>
constexpr KernelFn kExtreme = either<segment_extreme<T, Op<T>>, columns_reduce<T, Op<T>>>;
template <class T, template <class> class Op>
constexpr KernelFn kPlace = either<segment_place<T, Op<T>>, columns_place<T, Op<T>>>;
template <class T>
constexpr KernelFn kSum = either<segment_sum<T>, columns_reduce<T, Sum<T>>>;
template <class T, bool Log>
constexpr KernelFn kSoftmax = either<segment_softmax<T, Log>, columns_softmax<T, Log>>;
template <class T>
constexpr KernelFn kLayerNorm = either<segment_layer_norm<T>, columns_layer_norm<T>>;
template <class T>
constexpr KernelFn kCumsum = either<segment_cumsum<T>, columns_cumsum<T>>;

constexpr KernelEntry kEntries[] = {
    {KernelId::segment_sum, DType::f32, IndexType::i32, kSum<float>},
    {KernelId::segment_sum, DType::f64, IndexType::i32, kSum<double>},
    {KernelId::segment_max, DType::f32, IndexType::i32, kExtreme<float, Largest>},
    {KernelId::segment_max, DType::f64, IndexType::i32, kExtreme<double, Largest>},
    {KernelId::segment_min, DType::f32, IndexType::i32, kExtreme<float, Smallest>},
    {KernelId::segment_min, DType::f64, IndexType::i32, kExtreme<double, Smallest>},
    {KernelId::segment_argmax, DType::f32, IndexType::i32, kPlace<float, Largest>},
    {KernelId::segment_argmax, DType::f64, IndexType::i32, kPlace<double, Largest>},
    {KernelId::segment_argmin, DType::f32, IndexType::i32, kPlace<float, Smallest>},
    {KernelId::segment_argmin, DType::f64, IndexType::i32, kPlace<double, Smallest>},
    {KernelId::segment_softmax, DType::f32, IndexType::i32, kSoftmax<float, false>},
    {KernelId::segment_softmax, DType::f64, IndexType::i32, kSoftmax<double, false>},
    {KernelId::segment_log_softmax, DType::f32, IndexType::i32, kSoftmax<float, true>},
    {KernelId::segment_log_softmax, DType::f64, IndexType::i32, kSoftmax<double, true>},
    {KernelId::segment_layer_norm, DType::f32, IndexType::i32, kLayerNorm<float>},
    {KernelId::segment_layer_norm, DType::f64, IndexType::i32, kLayerNorm<double>},
    {KernelId::segment_cumsum, DType::f32, IndexType::i32, kCumsum<float>},
    {KernelId::segment_cumsum, DType::f64, IndexType::i32, kCumsum<double>},
};

}  // namespace
}  // namespace deepgemm::DG_ISA

DG_EXPORT_TABLE(segments, deepgemm::DG_ISA::kEntries)
