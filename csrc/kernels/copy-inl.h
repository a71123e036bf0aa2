// Copies that turn columns into rows, in squares of registers: 4 bytes read and written for each float,
// and log2(width) shuffles for each vector.

#include "core/copy_args.h"
#include "kernels/common-inl.h"
#include "simd/transpose.h"

namespace deepgemm::DG_ISA {
namespace {

// A square of width × width, of which `rows` × `cols` exist.
template <class T, bool Whole>
DG_INLINE void turn_square(const T* from, int64_t from_stride, T* to, int64_t to_stride, int rows, int cols) {
  using V = Simd<T>;
  typename V::vec square[V::width];
  DG_UNROLL
  for (int c = 0; c < V::width; ++c) {
    if constexpr (Whole) {
      square[c] = V::load(from + c * from_stride);
    } else {
      square[c] = c < cols ? V::load_n(from + c * from_stride, rows) : V::zero();
    }
  }
  transpose(square);
  DG_UNROLL
  for (int r = 0; r < V::width; ++r) {
    if constexpr (Whole) {
      V::store(to + r * to_stride, square[r]);
    } else {
      if (r < rows) V::store_n(to + r * to_stride, square[r], cols);
    }
  }
}

// So many rows before the next columns: whole lines of `from` follow each other in each of few columns,
// and the rows of `to` that are being filled stay in L1.
constexpr int64_t kTurnRows = 64;

template <class T>
void dense_turn(const void* raw, int64_t begin, int64_t end, int, void*) {
  const TurnArgs& args = *static_cast<const TurnArgs*>(raw);
  constexpr int W = Simd<T>::width;
  for (int64_t band = 0; band < args.rows; band += kTurnRows) {
    const int64_t last = min64(band + kTurnRows, args.rows);
    for (int64_t c = begin; c < end; c += W) {
      const int cols = static_cast<int>(min64(W, end - c));
      for (int64_t r = band; r < last; r += W) {
        const T* from = static_cast<const T*>(args.from) + c * args.from_stride + r;
        T* to = static_cast<T*>(args.to) + r * args.to_stride + c;
        const int rows = static_cast<int>(min64(W, last - r));
        if (rows == W && cols == W) {
          turn_square<T, true>(from, args.from_stride, to, args.to_stride, W, W);
        } else {
          turn_square<T, false>(from, args.from_stride, to, args.to_stride, rows, cols);
        }
      }
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
